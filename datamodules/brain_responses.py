"""Responses of the brain's language network to sentences (Tuckute et al., 2024), from the two forms they come in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

__all__ = ["FILES", "PARTICIPANTS", "PUBLISHED_CEILINGS", "BrainResponses", "Form", "read_means", "read_participants"]

Form = Literal["means", "participants"]
FILES: dict[Form, str] = {
    "means": "bold_response_LH.csv",
    "participants": "brain-lang-data_participant_20230728.csv",
}
PARTICIPANTS = ("848", "853", "865", "875", "876")
PUBLISHED_CEILINGS = {  # Pearson's r for the mean over the five participants; the network's is Tuckute et al.'s
    "lang_LH_netw": 0.55915,
    "lang_LH_AntTemp": 0.4577,
    "lang_LH_IFG": 0.4525,
    "lang_LH_IFGorb": 0.4522,
    "lang_LH_MFG": 0.5154,
    "lang_LH_PostTemp": 0.5789,
}
BASELINE_ITEM = r"B\.\d+"  # others in the table of participants were chosen by a model to drive or to suppress
MEANS_COLUMNS = ("item_id", "sentence")
PARTICIPANTS_COLUMNS = ("item_id", "sentence", "target_UID", "roi", "response_target")


@dataclass(frozen=True)
class BrainResponses:
    """Sentences in the order of their numbers, and the response of one region to each.

    Args:
        item_id: `B.1`, `B.2`, … `B.1000`.
        sentences: as read by the participants.
        mean: over participants, in standard deviations of a session, float64, shape `(sentences,)`.
        by_participant: NaN where one has no response, shape `(sentences, participants)`; None where only means are
            published.
    """

    item_id: list[str]
    sentences: list[str]
    mean: np.ndarray
    by_participant: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.sentences)


def read_means(path: str | Path, region: str) -> BrainResponses:
    """Means over the five participants: a row a sentence, a column a region.

    Args:
        path: a CSV file with `item_id`, `sentence` and a column for each region.
        region: for example `lang_LH_netw`, the whole language network of the left hemisphere.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a column, a region or a response is missing, or a sentence appears twice.
    """
    table = _read(path, MEANS_COLUMNS)
    regions = [name for name in table.columns if name not in MEANS_COLUMNS]
    if region not in regions:
        raise ValueError(f"{path} has no region {region!r}; it has {', '.join(regions)}")
    table = _in_numeric_order(table, path)
    if table["item_id"].duplicated().any():
        twice = table.loc[table["item_id"].duplicated(), "item_id"].iloc[0]
        raise ValueError(f"{path} has more than one row for {twice}")
    mean = _numbers(table[region], path)
    if np.isnan(mean).any():
        raise ValueError(f"{path} lacks the response of {region} to {table['item_id'][int(np.isnan(mean).argmax())]}")
    return BrainResponses(table["item_id"].tolist(), table["sentence"].tolist(), mean)


def read_participants(path: str | Path, region: str) -> BrainResponses:
    """Responses of the five participants whose mean the paper predicts: a row a sentence, person and region.

    Args:
        path: a CSV file with `item_id`, `sentence`, `target_UID`, `roi` and `response_target`.
        region: a value of `roi`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a column, the region, a participant or all responses to a sentence are missing, or a response is
            there twice.
    """
    table = _read(path, PARTICIPANTS_COLUMNS)
    if region not in set(table["roi"]):
        raise ValueError(f"{path} has no region {region!r}; it has {', '.join(sorted(set(table['roi'].dropna())))}")
    table = table[(table["roi"] == region) & table["target_UID"].isin(PARTICIPANTS)]
    table = _in_numeric_order(table.assign(response_target=_numbers(table["response_target"], path)), path)
    if table.duplicated(["item_id", "target_UID"]).any():
        raise ValueError(f"{path} has more than one response of a participant to the same sentence in {region}")
    if table.groupby("item_id")["sentence"].nunique().max() > 1:
        raise ValueError(f"{path} gives different sentences under one item_id")
    matrix = table.pivot(index="item_id", columns="target_UID", values="response_target")
    if absent := [uid for uid in PARTICIPANTS if uid not in matrix.columns]:
        raise ValueError(f"{path} has no responses of participant {', '.join(absent)} in {region}")
    first = table.drop_duplicates("item_id")
    responses = matrix.loc[first["item_id"], list(PARTICIPANTS)].to_numpy()
    if (empty := np.isnan(responses).all(axis=1)).any():
        raise ValueError(f"{path} has no response of {region} to {first['item_id'].iloc[int(empty.argmax())]}")
    return BrainResponses(
        first["item_id"].tolist(), first["sentence"].tolist(), np.nanmean(responses, axis=1), responses
    )


def _read(path: str | Path, columns: tuple[str, ...]) -> pd.DataFrame:
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"there is no table of brain responses {path}: name its folder with --data.folder; --data.responses says "
            f"which table: {', '.join(f'{form} reads {name}' for form, name in FILES.items())}"
        )
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if missing := [name for name in columns if name not in table.columns]:
        raise ValueError(f"{path} lacks the column {', '.join(missing)}; it has {', '.join(table.columns)}")
    return table


def _in_numeric_order(table: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    """Rows of the baseline sentences, B.2 before B.10: the folds of cross-validation follow from the order."""
    table = table[table["item_id"].str.fullmatch(BASELINE_ITEM)]
    if table.empty:
        raise ValueError(f"{path} has no sentence numbered B.1, B.2, …")
    number = table["item_id"].str.slice(2).astype(int)
    return table.iloc[np.argsort(number.to_numpy(), kind="stable")].reset_index(drop=True)


def _numbers(column: pd.Series, path: str | Path) -> np.ndarray:
    try:
        return np.array([float(text or "nan") for text in column])
    except ValueError as error:
        raise ValueError(f"{path} holds a response that is not a number: {error}") from error
