"""Reading times through the command line, on small stories and a model that finds all tokens equally likely."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from scipy.stats import pearsonr
from small_stories import STORIES, words, write_folder

import cli
from datamodules.natural_stories import NaturalStories
from datamodules.scoring_batches import Request
from datamodules.tokenizer import get_tokenizer
from lightning_modules.gpt import GPT, GPTConfig
from lightning_modules.reading_times import with_two_before
from lightning_modules.scorer import score_all
from lightning_modules.story_statistics import explained_variance_gain
from lightning_modules.weights import write_weights

BYTES = GPTConfig(vocab_size=320, n_layer=1, n_head=1, n_embd=8, block_size=16)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real stories; GPT-2's tokenizer lies beside them."""
    data = Path(os.environ["CONNECTOMES_SHARED"]) / "data"
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(data / "tiktoken"))
    return data / "natural_stories"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("stories"))


def checkpoint(path: Path, config: GPTConfig = BYTES, *, uniform: bool = False, tokenizer: str = "bytes") -> Path:
    torch.manual_seed(0)
    net = GPT(config)
    for matrix in net.parameters():
        matrix.data.mul_(0 if uniform else 20)
    write_weights(path, net, {"tokenizer": tokenizer, "step": 7})
    return path


def evaluate(weights: Path, folder: Path, out: Path, *options: str) -> tuple[dict[str, Any], Any]:
    """Records by metric, and the table of words."""
    line = ["test", "natural_stories", "--model.checkpoint", str(weights), "--data.folder", str(folder)]
    assert cli.main([*line, "--files.out", str(out), "--trainer.accelerator", "cpu", *options]) == 0
    [records] = (out / "evaluations" / "natural_stories").rglob("*.jsonl")
    by_metric = {record["metric"]: record for record in map(json.loads, records.read_text().splitlines())}
    return by_metric, pq.read_table(records.with_suffix(".parquet")).to_pandas()


def test_paper_gives_the_correlation_of_summed_surprisals_with_the_times(folder: Path, tmp_path: Path) -> None:
    weights = checkpoint(tmp_path / "model.safetensors")
    records, table = evaluate(weights, folder, tmp_path)
    torch.manual_seed(0)
    net = GPT(BYTES)
    for matrix in net.parameters():
        matrix.data.mul_(20)
    surprisal = []
    for story in STORIES.values():
        before = b""
        for word in story:
            text = (b" " if before else b"") + word.encode()
            context, scored = (before, text) if before else (text[:1], text[1:])
            nats = -score_all(net, [Request(list(context), list(scored))])[0][0] if len(scored) else np.nan
            surprisal.append(nats if len(before) + len(text) <= 16 else None)  # later ones need more than the context
            before += text
    known = [number for number, nats in enumerate(surprisal) if nats is not None]
    np.testing.assert_allclose(table["surprisal"][known], [surprisal[n] for n in known], rtol=1e-4)
    kept = table.dropna(subset=["surprisal"])
    expected = pearsonr(kept["surprisal"], [300 + 10 * len(word) for word in kept["word"]]).statistic
    assert records["r"]["value"] == pytest.approx(expected, abs=1e-9)
    assert records["r"]["n"] == len(kept) == len(words()) - 1  # "A" is one token; two first words are kept in part
    assert records["r"]["statistic"] == {"kind": "pearson", "x": "surprisal", "y": "reading_time", "cluster": "story"}
    assert records["r"]["bos"] is False
    assert set(records) == {"r", "r_log", "reliability_from_errors"}


@pytest.mark.parametrize("protocol", ["paper", "corrected"])
def test_words_add_up_to_the_stories_whatever_the_batches(folder: Path, tmp_path: Path, protocol: str) -> None:
    weights = checkpoint(tmp_path / "model.safetensors")
    options = ("--data.protocol", protocol, "--data.drop_edges", "false")
    one, table = evaluate(weights, folder, tmp_path / "one", *options, "--data.batch_tokens", "1")
    many, same = evaluate(weights, folder, tmp_path / "many", *options)
    np.testing.assert_allclose(table["surprisal"], same["surprisal"], rtol=1e-4)
    assert one["r"]["value"] == pytest.approx(many["r"]["value"], abs=1e-5)
    whole = sum(len(" ".join(story).encode()) for story in STORIES.values())
    assert table["tokens"].sum() == whole
    assert table["scored_tokens"].sum() == whole - (len(STORIES) if protocol == "paper" else 0)


def test_corrected_scores_the_first_word_and_leaves_the_padding_out(folder: Path, tmp_path: Path) -> None:
    weights = checkpoint(tmp_path / "model.safetensors", uniform=True)
    records, table = evaluate(weights, folder, tmp_path, "--data.protocol", "corrected")
    np.testing.assert_allclose(table["surprisal"], table["tokens"] * np.log(257), rtol=1e-5)
    assert records["partial_r"]["value"] == 0  # nothing beyond the number of tokens
    assert records["r"]["value"] == pytest.approx(records["r"]["baselines"]["uniform"], abs=1e-5)
    assert records["r"]["n"] == len(words()) - len(STORIES)  # realigned: no time for a story's first word
    assert records["r"]["window"] == 16


def test_a_uniform_model_adds_what_the_number_of_tokens_adds(folder: Path, tmp_path: Path) -> None:
    weights = checkpoint(tmp_path / "model.safetensors", uniform=True)
    options = ("--data.protocol", "corrected", "--data.release", "participants")
    records, table = evaluate(weights, folder, tmp_path, *options)
    for metric in ("delta_loglik_per_word", "delta_r2"):
        assert records[metric]["n"] == len(words()) - 2 * len(STORIES)  # those with two words before them
        assert records[metric]["value"] == pytest.approx(records[metric]["baselines"]["tokens"], abs=1e-4)
    assert np.isfinite(table["loglik_gain"]).sum() == records["delta_loglik_per_word"]["n"]


def test_paper_keeps_the_padding_in(folder: Path, tmp_path: Path) -> None:
    weights = checkpoint(tmp_path / "model.safetensors", uniform=True)
    _, table = evaluate(weights, folder, tmp_path)
    known = table["scored_tokens"] > 0
    np.testing.assert_allclose(table["surprisal"][known], table["scored_tokens"][known] * np.log(320), rtol=1e-5)


def test_participants_have_a_split_half_ceiling(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = checkpoint(tmp_path / "model.safetensors")
    records, _ = evaluate(weights, folder, tmp_path, "--data.release", "participants")
    assert 0.8 < records["reliability_split_half"]["value"] < 1
    assert "by halves of the readers" in capsys.readouterr().out


def test_the_first_and_last_words_can_be_left_out(folder: Path, tmp_path: Path) -> None:
    weights = checkpoint(tmp_path / "model.safetensors")
    records, _ = evaluate(weights, folder, tmp_path, "--data.drop_edges", "true")
    assert records["r"]["n"] == len(words()) - 2 * len(STORIES)


def test_damaged_weights_are_an_error(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = GPT(BYTES)
    net.transformer.wte.weight.data.fill_(float("nan"))
    write_weights(tmp_path / "nan.safetensors", net, {"tokenizer": "bytes"})
    line = ["test", "natural_stories", "--model.checkpoint", str(tmp_path / "nan.safetensors")]
    assert cli.main([*line, "--data.folder", str(folder), "--files.out", str(tmp_path)]) == 1
    assert "not finite" in capsys.readouterr().err


@pytest.mark.shared
@pytest.mark.parametrize(("release", "r"), [("2016", 0.3493), ("2021", 0.3574)])
def test_a_uniform_model_reaches_the_anchor_on_the_authors_words(
    shared: Path, release: str, r: float, tmp_path: Path
) -> None:
    shape = GPTConfig(n_layer=1, n_head=1, n_embd=8)
    weights = checkpoint(tmp_path / "zero.safetensors", shape, uniform=True, tokenizer="gpt2")
    records, table = evaluate(weights, shared, tmp_path, "--data.release", release)
    assert records["r"]["value"] == pytest.approx(r, abs=1e-4)
    assert records["r"]["n"] == 10_248
    assert table["surprisal"].sum() == pytest.approx((12_372 - 10) * np.log(50_304), rel=1e-6)
    assert get_tokenizer("gpt2").n_vocab < 50_304


@pytest.mark.shared
@pytest.mark.parametrize(("alignment", "base", "gpt3"), [("released", 0.1599, 0.0161), ("realigned", 0.2559, 0.0278)])
def test_realigned_times_are_explained_better(shared: Path, alignment: Any, base: float, gpt3: float) -> None:
    """R^2 of length and frequency of three words, 10,198 of them, and what GPT-3's surprisal adds to it."""
    data = NaturalStories(folder=str(shared), alignment=alignment)
    data.setup("test")
    story, y = data.times.story, data.times.mean
    assert data.rarity is not None
    assert data.gpt3 is not None
    length = np.array([len(word) for word in data.times.words], dtype=float)
    controls = np.column_stack([with_two_before(values, story) for values in (length, data.rarity)])
    surprisal = with_two_before(data.gpt3, story)
    kept = np.isfinite(np.column_stack([controls, surprisal, y])).all(axis=1)
    nothing = np.empty((kept.sum(), 0))
    assert kept.sum() == 10_198
    explained = explained_variance_gain(nothing, controls[kept], y[kept], story[kept])
    assert explained.value == pytest.approx(base, abs=1e-4)
    gain = explained_variance_gain(controls[kept], surprisal[kept], y[kept], story[kept])
    assert gain.value == pytest.approx(gpt3, abs=1e-4)
