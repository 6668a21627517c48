"""What all evaluations share: which model it is, items gathered once, and bad input told before work starts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_model import small_model

import cli
from evaluation import EVALUATIONS, classes_of
from lightning_modules.evaluation import _table
from lightning_modules.next_word_loss import NextWordLoss
from lightning_modules.weights import CheckpointError, write_weights


def test_items_that_came_twice_count_once_and_stand_in_order() -> None:
    rows: list[dict[str, Any]] = [
        {"item": np.array([2, 0]), "x": np.array([20.0, 0.0])},
        {"item": np.array([1, 2]), "x": np.array([10.0, 20.0])},
    ]
    table = _table(rows, 3)
    assert table["item"].tolist() == [0, 1, 2]
    assert table["x"].tolist() == [0, 10, 20]


@pytest.mark.parametrize("rows", [[], [{"item": np.array([0, 0, 2])}]])
def test_a_missing_item_is_an_error(rows: list[dict[str, Any]]) -> None:
    with pytest.raises(RuntimeError, match="of 3 items came back"):
        _table(rows, 3)


def test_a_model_says_which_tokens_it_knows(tmp_path: Path) -> None:
    net = small_model(tmp_path / "m.safetensors")
    assert NextWordLoss(checkpoint=str(tmp_path / "m.safetensors")).tokenizer == "bytes"
    with pytest.raises(ValueError, match="trained on tokens of 'bytes', not of 'gpt2'"):
        NextWordLoss(checkpoint=str(tmp_path / "m.safetensors"), tokenizer="gpt2")
    write_weights(tmp_path / "silent.safetensors", net, {})
    with pytest.raises(ValueError, match=r"give --model\.tokenizer"):
        NextWordLoss(checkpoint=str(tmp_path / "silent.safetensors"))
    assert NextWordLoss(checkpoint=str(tmp_path / "silent.safetensors"), tokenizer="bytes").tokenizer == "bytes"


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(CheckpointError):
        NextWordLoss(checkpoint=str(tmp_path / "m.safetensors"))


@pytest.mark.parametrize("name", EVALUATIONS)
def test_every_evaluation_has_its_own_classes_and_names_its_protocols(name: str) -> None:
    module, data = classes_of(name)
    assert module.__doc__
    assert data.__doc__
    assert data.task


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["perplexity"], "known: next_word_loss"),
        (["next_word_loss", "--ckpt_path", "x.ckpt"], "--model.checkpoint"),
        (["next_word_loss", "--model.checkpoint", "nowhere.ckpt"], "no checkpoint at nowhere.ckpt"),
    ],
)
def test_bad_input_ends_in_one_message(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    if "--ckpt_path" in words:
        words = [*words, "--model.checkpoint", "y.ckpt"]
    assert cli.main(["test", *words]) == 1
    assert message in capsys.readouterr().err


def test_a_limit_of_batches_is_told_instead_of_a_wrong_figure(
    tmp_path: Path, shards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_model(tmp_path / "m.safetensors", block_size=16)
    words = ["--model.checkpoint", f"{tmp_path}/m.safetensors", "--data.folder", str(shards), "--data.tokens", "640"]
    # a share of the three batches: a lone 1 is a number of them or all, by the order in which typing met int | float
    words += ["--files.out", f"{tmp_path}/out", "--trainer.accelerator", "cpu", "--trainer.limit_test_batches", "0.4"]
    assert cli.main(["test", "next_word_loss", *words]) == 1
    assert "16 of 40 items came back" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_fast_dev_run_leaves_nothing(tmp_path: Path, shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_model(tmp_path / "m.safetensors", block_size=16)
    words = ["--model.checkpoint", f"{tmp_path}/m.safetensors", "--data.folder", str(shards), "--data.tokens", "640"]
    words += ["--files.out", f"{tmp_path}/out", "--trainer.accelerator", "cpu", "--trainer.fast_dev_run", "true"]
    monkeypatch.chdir(tmp_path)
    assert cli.main(["test", "next_word_loss", *words]) == 0
    assert not (tmp_path / "out").exists()


def test_the_overview_lists_all_evaluations(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["test", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in EVALUATIONS)
