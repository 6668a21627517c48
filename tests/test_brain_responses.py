"""Both forms of the published table give sentences in numeric order and the mean over the five participants."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_brain import participants_table, sentences, write_means, write_participants

from datamodules.brain_responses import FILES, PARTICIPANTS, PUBLISHED_CEILINGS, read_means, read_participants

SHARED = Path(os.environ.get("CONNECTOMES_SHARED", "")) / "data" / "tuckute2024"
REGION = "lang_LH_netw"


def test_sentences_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    responses = read_means(write_means(tmp_path) / FILES["means"], REGION)
    assert responses.item_id == [f"B.{number}" for number in range(1, 61)]
    assert responses.sentences == sentences()
    assert responses.by_participant is None


def test_participants_are_averaged_without_those_who_miss_a_sentence(tmp_path: Path) -> None:
    table = participants_table()
    responses = read_participants(write_participants(tmp_path, table) / FILES["participants"], REGION)
    assert responses.item_id == [f"B.{number}" for number in range(1, 61)]
    assert responses.by_participant is not None
    assert responses.by_participant.shape == (60, 5)
    assert np.argwhere(np.isnan(responses.by_participant)).tolist() == [[2, 1]]
    five = table[(table["roi"] == REGION) & table["target_UID"].isin(map(int, PARTICIPANTS))]
    expected = five.groupby("item_id")["response_target"].mean()
    np.testing.assert_allclose(responses.mean, expected[responses.item_id])


@pytest.mark.parametrize("read", [read_means, read_participants])
def test_a_missing_file_is_named(tmp_path: Path, read: object) -> None:
    with pytest.raises(FileNotFoundError, match=r"--data\.folder"):
        read(tmp_path / "none.csv", REGION)  # type: ignore[operator]


def test_a_region_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="it has lang_LH_IFG, lang_LH_netw"):
        read_means(write_means(tmp_path) / FILES["means"], "lang_RH")
    with pytest.raises(ValueError, match="it has lang_LH_IFG, lang_LH_netw"):
        read_participants(write_participants(tmp_path) / FILES["participants"], "lang_RH")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="roi"), "lacks the column roi"),
        (lambda t: t[t["target_UID"] != 865], "no responses of participant 865"),
        (lambda t: pd.concat([t, t[t["item_id"] == "B.1"]]), "more than one response"),
        (lambda t: t.assign(response_target="much"), "not a number"),
        (lambda t: t[t["item_id"] == "D.1"], "no sentence numbered"),
        (lambda t: t.assign(response_target=t["response_target"].where(t["item_id"] != "B.7")), r"no response .* B\.7"),
    ],
)
def test_a_damaged_table_of_participants_is_an_error(tmp_path: Path, change: object, message: str) -> None:
    folder = write_participants(tmp_path, change(participants_table()))  # type: ignore[operator]
    with pytest.raises(ValueError, match=message):
        read_participants(folder / FILES["participants"], REGION)


def test_a_missing_response_or_a_doubled_row_of_means_is_an_error(tmp_path: Path) -> None:
    path = write_means(tmp_path) / FILES["means"]
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[5]]) + "\n")
    with pytest.raises(ValueError, match="more than one row for B"):
        read_means(path, REGION)
    lines[5] = lines[5].rpartition(",")[0] + ","
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match="lacks the response"):
        read_means(path, REGION)


@pytest.mark.shared
def test_the_published_means() -> None:
    responses = read_means(SHARED / FILES["means"], REGION)
    assert len(responses) == 1000
    assert responses.item_id == [f"B.{number}" for number in range(1, 1001)]
    assert np.std(responses.mean, ddof=1) == pytest.approx(0.336275, abs=1e-6)
    assert sum(sentence.endswith(".") for sentence in responses.sentences) == 848
    assert all(len(read_means(SHARED / FILES["means"], region)) == 1000 for region in PUBLISHED_CEILINGS)
