"""Frequencies and GPT-3's surprisals belong to the words they are listed for."""

from pathlib import Path

import numpy as np
import pytest
from small_stories import STORIES, write_folder

from datamodules.reading_times_table import ReadingTimes, read_word_means
from datamodules.word_predictors import read_gpt3, read_rarity


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path)


@pytest.fixture
def times(folder: Path) -> ReadingTimes:
    return read_word_means(folder, "processed_wordinfo.tsv")


def write_gpt3(folder: Path, first: str = "Tulip") -> Path:
    """Pieces of up to three characters, as many nats each; a story's first has none."""
    lines = ["token,logprob,offset,model,time,id,story"]
    for item, story in STORIES.items():
        shown = [first, *story[1:]] if item == 1 else story
        for number, word in enumerate(shown):
            text = word if number == 0 else " " + word
            for start in range(0, len(text), 3):
                piece = text[start : start + 3]
                cost = "" if number == start == 0 else f"-{len(piece)}"
                quoted = piece.replace('"', '""')
                lines.append(f'"{quoted}",{cost},0,davinci,0,x,{item - 1}')
    path = folder / "all_stories_gpt3.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_rarity_is_minus_the_logarithm_of_the_count(folder: Path, times: ReadingTimes) -> None:
    rarity = read_rarity(folder / "freqs-1.tsv", times)
    expected = [-np.log(1000 // len(word) + 1) for word in times.words]
    np.testing.assert_allclose(rarity, expected)


def test_a_word_without_a_count_has_no_rarity(folder: Path, times: ReadingTimes) -> None:
    path = folder / "freqs-1.tsv"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("2.3.word")))
    missing = np.isnan(read_rarity(path, times))
    assert [word for word, bare in zip(times.words, missing, strict=True) if bare] == ["NA"]


def test_counts_of_other_stories_are_refused(folder: Path, times: ReadingTimes) -> None:
    path = folder / "freqs-1.tsv"
    path.write_text(path.read_text().replace("\t1\t", "\t1\tx"))
    with pytest.raises(ValueError, match="counts the words of other stories"):
        read_rarity(path, times)


def test_gpt3_has_its_tokens_summed_by_word(folder: Path, times: ReadingTimes) -> None:
    nats = read_gpt3(write_gpt3(folder), times)
    by_word = dict(zip(zip(times.story.tolist(), times.position.tolist(), strict=True), nats, strict=True))
    assert by_word[1, 1] == len("ip")  # without the first token of the story
    assert by_word[1, 2] == len(" mania")
    assert np.isnan(by_word[2, 1])
    assert by_word[2, 3] == len(" NA")


def test_a_typo_in_a_word_is_tolerated_and_another_text_is_not(folder: Path, times: ReadingTimes) -> None:
    assert np.isfinite(read_gpt3(write_gpt3(folder, first="Tulps"), times)).any()
    with pytest.raises(ValueError, match=r"another text of story 1: 12 words, expected 11"):
        read_gpt3(write_gpt3(folder, first="Tulip two"), times)
