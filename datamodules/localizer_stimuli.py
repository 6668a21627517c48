"""Sentences and lists of non-words that localize the language network (Fedorenko et al., 2010)."""

import csv
from pathlib import Path
from typing import NamedTuple

__all__ = ["LocalizerStimuli", "read_localizer"]

PATTERN = "langloc_fmri_run*_stim_set*.csv"
WORDS = [f"stim{number}" for number in range(2, 14)]
CONDITION = "stim14"  # S for a sentence, N for a list of non-words


class LocalizerStimuli(NamedTuple):
    """Twelve words or non-words each, in lower case, with a space between two.

    Args:
        texts: of the stimuli.
        is_sentence: whether each is a sentence.
        paths: the files they are from.
    """

    texts: list[str]
    is_sentence: list[bool]
    paths: list[Path]


def read_localizer(folder: str | Path) -> LocalizerStimuli:
    """Stimuli of all runs and sets: ten files, 240 sentences and 240 lists of non-words.

    Raises:
        FileNotFoundError: if there is no file of stimuli.
        ValueError: if a column or a word is missing, or one of the two conditions.
    """
    paths = sorted(Path(folder).glob(PATTERN))
    if not paths:
        raise FileNotFoundError(f"no localizer stimuli match {Path(folder) / PATTERN}")
    texts: list[str] = []
    is_sentence: list[bool] = []
    for path in paths:
        with open(path, newline="", encoding="utf-8") as file:
            for line, row in enumerate(csv.DictReader(file), start=2):
                words = [(row.get(name) or "").strip().lower() for name in WORDS]
                condition = (row.get(CONDITION) or "").strip()
                if not all(words) or condition not in ("S", "N"):
                    raise ValueError(
                        f"{path} line {line}: expected twelve words in {WORDS[0]} to {WORDS[-1]} and S or N in "
                        f"{CONDITION}, found {words} and {condition!r}"
                    )
                texts.append(" ".join(words))
                is_sentence.append(condition == "S")
    if min(sum(is_sentence), len(texts) - sum(is_sentence)) < 2:
        raise ValueError(f"{folder} has {sum(is_sentence)} sentences among {len(texts)} stimuli; each kind needs two")
    return LocalizerStimuli(texts, is_sentence, paths)
