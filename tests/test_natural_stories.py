"""The stories as requests to a model, and the figures that need no model, from the real files."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_stories import STORIES, write_folder

from datamodules.natural_stories import NaturalStories
from datamodules.tokenizer import get_tokenizer

TEXT = [" ".join(story).encode() for story in STORIES.values()]


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real stories; GPT-2's tokenizer lies beside them."""
    data = Path(os.environ["CONNECTOMES_SHARED"]) / "data"
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(data / "tiktoken"))
    return data / "natural_stories"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("stories"))


def stories(folder: Path, **options: Any) -> NaturalStories:
    data = NaturalStories(folder=str(folder), **{"tokenizer": "bytes", "block_size": 16, **options})
    data.setup("test")
    return data


def test_paper_reads_each_story_in_one_pass_with_nothing_before_it(folder: Path) -> None:
    data = stories(folder, protocol="paper")
    rows = [bytes([*window.request.context, *window.request.continuation]) for window in data.windows]
    assert rows == TEXT
    assert data.number_of_items == sum(map(len, TEXT)) - len(TEXT)


def test_corrected_scores_every_token_once_in_windows_of_the_models_context(folder: Path) -> None:
    data = stories(folder, protocol="corrected")
    scored = {
        window.first + place: token
        for window in data.windows
        for place, token in enumerate(window.request.continuation)
    }
    assert bytes(scored[number] for number in range(len(scored))) == b"".join(TEXT)
    assert data.number_of_items == len(scored) == sum(len(window.request.continuation) for window in data.windows)
    assert max(len(w.request.context) + len(w.request.continuation) for w in data.windows) == 17
    starts = [w for w in data.windows if w.request.context[0] == get_tokenizer("bytes").eot_token]
    assert len(starts) == len(STORIES)


@pytest.mark.parametrize(
    ("protocol", "release", "alignment"),
    [
        ("paper", "2021", "released"),
        ("paper", "participants", "released"),
        ("corrected", "2016", "realigned"),
        ("corrected", "participants", "released"),
    ],
)
def test_times_are_realigned_where_they_need_it(folder: Path, protocol: str, release: str, alignment: str) -> None:
    data = stories(folder, protocol=protocol, release=release)
    assert data.about()["alignment"] == data.alignment == alignment
    assert np.isnan(data.times.mean[data.times.first]).all() == (alignment == "realigned")
    assert "alignment" not in data.options()
    assert (data.about()["rows_long"] > 0) == (protocol == "paper")  # whole stories, beyond the context


def test_what_differs_from_the_protocol_is_an_option(folder: Path) -> None:
    assert stories(folder).options() == {}
    changed = stories(folder, release="2016", alignment="realigned", drop_edges=True)
    assert changed.options() == {"release": "2016", "alignment": "realigned", "drop_edges": "true"}


def test_what_was_read_is_known_by_its_checksums(folder: Path) -> None:
    assert set(stories(folder).source.sha256) == {"all_stories.tok", "processed_wordinfo.tsv", "freqs-1.tsv"}


def test_frequencies_need_not_be_there(tmp_path: Path) -> None:
    (write_folder(tmp_path) / "freqs-1.tsv").unlink()
    data = stories(tmp_path)
    assert data.rarity is None
    assert data.gpt3 is None


def r(x: np.ndarray, y: np.ndarray, kept: np.ndarray) -> tuple[int, float]:
    kept = kept & np.isfinite(x) & np.isfinite(y)
    return int(kept.sum()), round(float(np.corrcoef(x[kept], y[kept])[0, 1]), 4)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("release", "alignment", "tokens", "length", "rarity", "gpt3"),
    [
        ("2016", "released", 0.3481, 0.3193, 0.3041, 0.2064),
        ("2021", "released", 0.3562, 0.3215, 0.3067, 0.2121),
        ("2016", "realigned", 0.2491, 0.2436, 0.2208, 0.1668),
        ("2021", "realigned", 0.2609, 0.2525, 0.2304, 0.1755),
    ],
)
def test_predictors_without_a_model(
    shared: Path, release: str, alignment: str, tokens: float, length: float, rarity: float, gpt3: float
) -> None:
    """Without each story's first word: 10,246 words, 10,236 with a frequency; GPT-3 has none for 8 first words."""
    data = stories(shared, tokenizer="gpt2", block_size=1024, release=release, alignment=alignment)
    times, inner = data.times, ~data.times.first
    count = np.bincount(data.word_of_token, minlength=len(times)).astype(float)
    lengths = np.array([len(word) for word in times.words], dtype=float)
    assert data.rarity is not None
    assert data.gpt3 is not None
    assert r(count, times.mean, inner) == (10_246, pytest.approx(tokens, abs=1e-4))
    assert r(lengths, times.mean, inner) == (10_246, pytest.approx(length, abs=1e-4))
    assert r(data.rarity, times.mean, inner) == (10_236, pytest.approx(rarity, abs=1e-4))
    assert r(data.gpt3, times.mean, inner) == (10_246, pytest.approx(gpt3, abs=1e-4))


@pytest.mark.shared
@pytest.mark.parametrize(("release", "tokens", "length"), [("2016", 0.3496, 0.3185), ("2021", 0.3576, 0.3208)])
def test_predictors_without_a_model_on_all_words(shared: Path, release: str, tokens: float, length: float) -> None:
    data = stories(shared, tokenizer="gpt2", block_size=1024, release=release)
    every = np.full(len(data.times), True)
    count = np.bincount(data.word_of_token).astype(float)
    lengths = np.array([len(word) for word in data.times.words], dtype=float)
    assert r(count, data.times.mean, every) == (10_256, pytest.approx(tokens, abs=1e-4))
    assert r(lengths, data.times.mean, every) == (10_256, pytest.approx(length, abs=1e-4))


@pytest.mark.shared
@pytest.mark.parametrize("block_size", [16, 256, 1024])
def test_the_real_stories_are_scored_once_and_no_word_is_without_tokens(shared: Path, block_size: int) -> None:
    data = stories(shared, tokenizer="gpt2", block_size=block_size, protocol="corrected")
    assert len(data.times) == 10_256
    assert len(data.word_of_token) == data.number_of_items == 12_372
    assert np.bincount(data.word_of_token, minlength=10_256).min() == 1
    numbers = [n for request, first in data.windows for n in range(first, first + len(request.continuation))]
    assert sorted(numbers) == list(range(12_372))
    scored = {first + at: token for request, first in data.windows for at, token in enumerate(request.continuation)}
    text = get_tokenizer("gpt2").decode([scored[number] for number in range(12_372)])
    shown = [np.array(data.times.words)[data.times.story == story] for story in range(1, 11)]
    assert text == "".join(" ".join(story) for story in shown)
    assert block_size < 1024 or len(data.windows) == 20


@pytest.mark.shared
def test_the_paper_loses_eight_words_and_keeps_two_in_part(shared: Path) -> None:
    data = stories(shared, tokenizer="gpt2", block_size=1024)
    scored = [n for request, first in data.windows for n in range(first, first + len(request.continuation))]
    whole = np.bincount(data.word_of_token, minlength=10_256)
    kept = np.bincount(data.word_of_token[scored], minlength=10_256)
    assert (kept == 0).sum() == 8
    assert [data.times.words[n] for n in np.flatnonzero((kept > 0) & (kept < whole))] == ["Tulip", "Tourette's"]
