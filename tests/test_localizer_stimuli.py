"""The localizer's stimuli are read in lower case, and damaged files are named."""

import os
from pathlib import Path

import pytest
from small_brain import write_localizer

from datamodules.language_localizer import localizer_tokens
from datamodules.localizer_stimuli import read_localizer
from datamodules.tokenizer import get_tokenizer

SHARED = Path(os.environ.get("CONNECTOMES_SHARED", "")) / "data" / "langloc"


def test_stimuli_are_twelve_words_in_lower_case(tmp_path: Path) -> None:
    stimuli = read_localizer(write_localizer(tmp_path))
    assert len(stimuli.texts) == 48
    assert sum(stimuli.is_sentence) == 24
    assert all(len(text.split(" ")) == 12 and text == text.lower() for text in stimuli.texts)


def test_tokens_are_cut_or_not(tmp_path: Path) -> None:
    stimuli = read_localizer(write_localizer(tmp_path))
    cut, whole = (localizer_tokens(stimuli, get_tokenizer("bytes"), first) for first in (12, None))
    assert {len(tokens) for tokens in cut} == {12}
    assert [bytes(tokens).decode() for tokens in whole] == stimuli.texts


@pytest.mark.parametrize(("old", "new"), [(",S", ",X"), ("stim13", "other")])
def test_a_damaged_file_is_an_error(tmp_path: Path, old: str, new: str) -> None:
    path = write_localizer(tmp_path) / "langloc_fmri_run2_stim_set1.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=r"run2_stim_set1\.csv line 2: expected twelve words"):
        read_localizer(tmp_path)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no localizer stimuli match"):
        read_localizer(tmp_path)


@pytest.mark.shared
def test_the_published_stimuli() -> None:
    stimuli = read_localizer(SHARED)
    assert len(stimuli.paths) == 10
    assert (sum(stimuli.is_sentence), len(stimuli.texts)) == (240, 480)
    assert len(set(stimuli.texts)) == 480
    whole = localizer_tokens(stimuli, get_tokenizer("gpt2"), None)
    lengths = {kind: [len(t) for t, s in zip(whole, stimuli.is_sentence, strict=True) if s == kind] for kind in (0, 1)}
    assert (min(lengths[1]), max(lengths[1]), min(lengths[0]), max(lengths[0])) == (12, 17, 17, 36)
    assert {len(tokens) for tokens in localizer_tokens(stimuli, get_tokenizer("gpt2"), 12)} == {12}
