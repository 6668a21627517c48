"""Words of stories and how long people took to read them, from the three forms in which they are published."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

__all__ = ["FILES", "ReadingTimes", "Release", "read_assembly", "read_participants", "read_word_means", "realigned"]

Release = Literal["2021", "2016", "participants", "assembly"]
FILES: dict[Release, tuple[str, ...]] = {
    "2021": ("all_stories.tok", "processed_wordinfo.tsv"),
    "2016": ("all_stories.tok", "processed_wordinfo_2016.tsv"),
    "participants": ("all_stories.tok", "processed_RTs.tsv"),
    "assembly": ("assy_Futrell2018.nc",),
}
SHORTEST, LONGEST = 100, 3000  # milliseconds, both excluded (Futrell et al., 2018)
FEWEST_CORRECT = 5  # of six questions on a story
FEWEST_TIMES = 7  # of a participant; the paper leaves out the one who has six


@dataclass(frozen=True)
class ReadingTimes:
    """Words in the order of their stories, and their times in milliseconds; NaN where nobody read a word.

    Args:
        story: number of each word's story, int64, shape `(words,)`.
        position: place of each word in its story from 1, int64, shape `(words,)`.
        words: as shown to the readers.
        mean: over readers, shape `(words,)`.
        mean_log: mean over readers of the time's natural logarithm, shape `(words,)`.
        error: variance of `mean` that comes from drawing these readers, in squared milliseconds, shape `(words,)`.
        times: by word and reader, NaN where one did not read a word, shape `(words, readers)`; None where only means
            are published.

    Raises:
        ValueError: for a word that is empty or holds a space.
    """

    story: np.ndarray
    position: np.ndarray
    words: list[str]
    mean: np.ndarray
    mean_log: np.ndarray
    error: np.ndarray
    times: np.ndarray | None = None

    def __post_init__(self) -> None:
        wrong = [number for number, word in enumerate(self.words) if not word or any(map(str.isspace, word))]
        if wrong:
            raise ValueError(f"word {wrong[0] + 1} of the stories is {self.words[wrong[0]]!r}: empty, or with a space")

    def __len__(self) -> int:
        return len(self.words)

    @property
    def first(self) -> np.ndarray:
        """Which words begin a story, bool, shape `(words,)`."""
        return np.r_[True, self.story[1:] != self.story[:-1]]

    @property
    def last(self) -> np.ndarray:
        """Which words end a story, bool, shape `(words,)`."""
        return np.r_[self.story[1:] != self.story[:-1], True]


def read_word_means(folder: Path, name: str) -> ReadingTimes:
    """Means over readers by word, as `processed_wordinfo.tsv` of the Natural Stories corpus has them.

    Args:
        folder: holds `all_stories.tok` too.
        name: of the table.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a table lacks a column, or names words that the stories have not.
    """
    stories = _read_stories(folder)
    table = _read_table(folder / name, ["word", "zone", "item", "nItem", "meanItemRT", "sdItemRT", "gmeanItemRT"])
    if (twice := table.duplicated(["item", "zone"])).any():
        raise ValueError(f"{folder / name} has {twice.sum()} words twice; expected one row a word")
    joined = _join(stories, table, folder / name)
    return ReadingTimes(
        story=stories["item"].to_numpy(),
        position=stories["zone"].to_numpy(),
        words=stories["word"].tolist(),
        mean=_numbers(joined["meanItemRT"]),
        mean_log=np.log(_numbers(joined["gmeanItemRT"])),
        error=_numbers(joined["sdItemRT"]) ** 2 / _numbers(joined["nItem"]),
    )


def read_participants(folder: Path, name: str = "processed_RTs.tsv") -> ReadingTimes:
    """Times by participant, one row each, with the exclusions of Futrell et al. (2018) and of the paper.

    Args:
        folder: holds `all_stories.tok` too.
        name: of the table, with columns `WorkerId`, `item`, `zone`, `word`, `RT`, `correct`.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a table lacks a column, or names words that the stories have not.
    """
    stories = _read_stories(folder)
    table = _read_table(folder / name, ["WorkerId", "item", "zone", "word", "RT", "correct"])
    _join(stories, table.drop_duplicates(["item", "zone"]), folder / name)
    table["RT"] = _numbers(table["RT"])
    table = table[(table["RT"] > SHORTEST) & (table["RT"] < LONGEST) & (_numbers(table["correct"]) >= FEWEST_CORRECT)]
    cells = table.pivot_table(index=["item", "zone"], columns="WorkerId", values="RT", aggfunc="mean")
    cells = cells.reindex(pd.MultiIndex.from_frame(stories[["item", "zone"]]))
    return _from_cells(
        stories["item"].to_numpy(), stories["zone"].to_numpy(), stories["word"].tolist(), cells.to_numpy(dtype=float)
    )


def read_assembly(path: Path) -> ReadingTimes:
    """Brain-Score's `Futrell2018`: `data` by word and participant, `word` and `story_id`, in NetCDF's HDF5 flavour.

    Raises:
        FileNotFoundError: if there is no such file.
        RuntimeError: if h5py is not installed.
        ValueError: if it is no HDF5 file, or lacks one of the three.
    """
    try:
        import h5py
    except ImportError as error:
        raise RuntimeError(f"{path.name} is read with h5py: pip install h5py -c constraints.txt") from error
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}")
    if not h5py.is_hdf5(path):
        raise ValueError(f"{path} is not an HDF5 file; NetCDF-3 must be converted first (nccopy -k nc4)")
    with h5py.File(path) as file:
        if missing := {"data", "word", "story_id"} - set(file):
            raise ValueError(f"{path} lacks {', '.join(sorted(missing))}; it has {', '.join(sorted(file))}")
        cells = np.asarray(file["data"], dtype=float)
        filling = file["data"].attrs.get("_FillValue")
        words = [word.decode() if isinstance(word, bytes) else str(word) for word in file["word"][:]]
        labels = np.asarray(file["story_id"][:])
    if cells.ndim == 2 and cells.shape[0] != len(words) and cells.shape[1] == len(words):
        cells = cells.T
    if cells.ndim != 2 or not len(cells) == len(words) == len(labels):
        raise ValueError(f"{path}: data of shape {cells.shape} do not fit {len(words)} words, {len(labels)} story_id")
    if filling is not None:
        cells[cells == np.ravel(filling)[0]] = np.nan
    story = np.unique(labels, return_inverse=True)[1] + 1
    order = np.argsort(story, kind="stable")
    story, cells = story[order], cells[order]
    position = np.arange(len(story)) - np.searchsorted(story, story) + 1
    return _from_cells(story, position, [words[number] for number in order], cells)


def realigned(times: ReadingTimes) -> ReadingTimes:
    """The same with every time moved to the next word of its story; a story's first word has none then.

    The tables released until May 2025 are misaligned by one position, as the corpus's authors say. That a time belongs
    to the word after the one it is listed with is inferred: as listed, the length of the next word predicts reading
    times better than that of the word before, which reading word by word cannot bring about.
    """

    def moved(values: np.ndarray) -> np.ndarray:
        later = np.roll(values, 1, axis=0)
        later[times.first] = np.nan
        return later

    return replace(
        times,
        mean=moved(times.mean),
        mean_log=moved(times.mean_log),
        error=moved(times.error),
        times=None if times.times is None else moved(times.times),
    )


def _from_cells(story: np.ndarray, position: np.ndarray, words: list[str], cells: np.ndarray) -> ReadingTimes:
    """Means of what each participant took, those with too few times left out."""
    cells = cells[:, np.isfinite(cells).sum(axis=0) >= FEWEST_TIMES]
    read = np.isfinite(cells)
    n = np.where(read.any(axis=1), read.sum(axis=1), np.nan)
    mean = np.where(read, cells, 0).sum(axis=1) / n
    variance = np.where(read, (cells - mean[:, None]) ** 2, 0).sum(axis=1) / np.where(n > 1, n - 1, np.nan)
    mean_log = np.log(np.where(read, cells, 1)).sum(axis=1) / n
    return ReadingTimes(story, position, words, mean, mean_log, variance / n, cells)


def _read_stories(folder: Path) -> pd.DataFrame:
    stories = _read_table(folder / "all_stories.tok", ["word", "zone", "item"])
    stories = stories.sort_values(["item", "zone"], kind="stable", ignore_index=True)
    if stories.duplicated(["item", "zone"]).any():
        raise ValueError(f"{folder / 'all_stories.tok'} has two words at one place of a story")
    return stories


def _read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """Tab-separated text. Quotes and the words `None` and `NA` mean themselves: they are words of the stories."""
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no {path}: copy the folder naturalstories_RTS of github.com/languageMIT/naturalstories there, "
            "or name another with --data.folder"
        )
    table = pd.read_csv(path, sep="\t", quoting=3, keep_default_na=False, dtype=str, encoding="utf-8")
    if missing := [column for column in columns if column not in table]:
        raise ValueError(f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(table.columns)}")
    return table.astype({"item": "int64", "zone": "int64"})


def _join(stories: pd.DataFrame, table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The rows of a table in the order of the stories' words, empty where it has none."""
    joined = stories.merge(table, on=["item", "zone"], how="left", suffixes=("", "_listed"), indicator="found")
    found = joined["found"] == "both"
    if (lost := len(table) - int(found.sum())) > 0:
        raise ValueError(f"{path} names {lost} words that are not in all_stories.tok: another release of the stories?")
    if (other := found & (joined["word"] != joined["word_listed"])).any():
        row = joined[other].iloc[0]
        raise ValueError(
            f"{path} and all_stories.tok disagree on {other.sum()} words, the first in story {row['item']} at "
            f"{row['zone']}: {row['word_listed']!r} and {row['word']!r}"
        )
    return joined


def _numbers(column: pd.Series) -> np.ndarray:
    return pd.to_numeric(column).to_numpy(dtype=float, copy=True)
