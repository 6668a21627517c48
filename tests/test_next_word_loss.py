"""The next-word loss as a test loop: what `validate` says, by either rule, on any number of ranks."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from small_model import BYTES, small_model
from torch.nn import functional as F

import cli
from datamodules.fineweb_validation import STANDARD_TOKENS, FineWebValidation
from datamodules.token_shards import ShardError, write_shard

BLOCK = 16


def words(checkpoint: Path, shards: Path, out: Path, *options: str) -> list[str]:
    files = ["--data.folder", str(shards), "--files.out", str(out), "--trainer.accelerator", "cpu"]
    return ["test", "next_word_loss", "--model.checkpoint", str(checkpoint), *files, *options]


def evaluate(checkpoint: Path, shards: Path, out: Path, *options: str) -> dict[str, dict[str, Any]]:
    """Records by metric."""
    assert cli.main(words(checkpoint, shards, out, *options)) == 0
    return read(out)


def read(out: Path) -> dict[str, dict[str, Any]]:
    (file,) = out.glob("evaluations/next_word_loss/*/*.jsonl")
    return {record["metric"]: record for record in map(json.loads, file.read_text().splitlines())}


def test_the_loss_is_that_of_one_pass_over_all_windows(tmp_path: Path, shards: Path) -> None:
    net = small_model(tmp_path / "m.safetensors", block_size=BLOCK)
    found = evaluate(tmp_path / "m.safetensors", shards, tmp_path / "out", "--data.tokens", "800")
    (shard,) = (shards / "validation").glob("*.bin")
    tokens = torch.from_numpy(np.fromfile(shard, dtype="<u2")[512:].astype(np.int64))
    with torch.no_grad():
        nats = F.cross_entropy(
            net(tokens[:800].view(-1, BLOCK)).flatten(0, 1), tokens[1:801], reduction="none"
        ).double()
    windows = nats.view(-1, BLOCK).mean(dim=1)
    loss = found["loss"]
    assert loss["value"] == pytest.approx(windows.mean().item(), rel=1e-6)
    assert loss["stderr"] == pytest.approx(windows.std().item() / 50**0.5, rel=1e-5)
    assert loss["n"] == 50
    assert found["perplexity"]["value"] == pytest.approx(windows.mean().exp().item(), rel=1e-5)
    assert found["bits_per_byte"]["value"] == pytest.approx(loss["value"] / log(2))  # every token is a byte
    table = pq.read_table(tmp_path / "out" / loss["per_item_file"])
    assert table["loss"].to_pylist() == pytest.approx(windows.tolist(), rel=1e-5)


def test_it_equals_what_training_says_of_the_same_windows(
    outer: Callable[..., int], shards: Path, tmp_path: Path
) -> None:
    assert outer(tmp_path / "run", "--generations", "1", "--data.tokenizer", "bytes") == 0
    found = evaluate(tmp_path / "run" / "generations" / "0.safetensors", shards, tmp_path / "o", "--data.tokens", "800")
    records = [json.loads(line) for line in (tmp_path / "run" / "records.jsonl").read_text().splitlines()]
    losses = [record["value"] for record in records if record["task"] == "validation"]
    assert found["loss"]["value"] in [pytest.approx(loss, rel=1e-5) for loss in losses], losses


@pytest.mark.parametrize("batch_size", ["1", "7"])
def test_batches_change_nothing(batch_size: str, tmp_path: Path, shards: Path) -> None:
    small_model(tmp_path / "m.safetensors", block_size=BLOCK)
    one, other = (
        evaluate(tmp_path / "m.safetensors", shards, tmp_path / size, "--data.tokens", "320", "--data.batch_size", size)
        for size in ("16", batch_size)
    )
    assert one["loss"]["value"] == pytest.approx(other["loss"]["value"], rel=1e-6)


def test_a_uniform_model_loses_the_logarithm_of_its_vocabulary(tmp_path: Path, shards: Path) -> None:
    small_model(tmp_path / "u.safetensors", uniform=True, block_size=BLOCK)
    found = evaluate(tmp_path / "u.safetensors", shards, tmp_path / "out", "--data.tokens", "320")["loss"]
    assert found["value"] == pytest.approx(log(BYTES), rel=1e-6)
    assert found["baselines"]["uniform"] == log(BYTES)


@pytest.mark.parametrize(
    ("options", "windows", "chosen"),
    [
        ({"protocol": "standard", "block_size": 1024}, STANDARD_TOKENS // 1024, {}),
        ({"protocol": "paper", "block_size": 1024}, 1600, {}),  # 1,638,400 tokens
        ({"protocol": "paper", "block_size": 1024, "batch_size": 4}, 400, {"batch_size": 4}),
        ({"protocol": "standard", "block_size": 1024, "batch_size": 4}, STANDARD_TOKENS // 1024, {}),
        ({"protocol": "standard", "block_size": 256, "tokens": 1000}, 3, {"tokens": 1000}),
    ],
)
def test_how_much_each_rule_reads(options: dict[str, Any], windows: int, chosen: dict[str, int]) -> None:
    data = FineWebValidation(**options)
    assert data.number_of_items == windows
    assert data.options() == chosen


def test_the_papers_rule_reads_the_first_hundred_batches(tmp_path: Path, shards: Path) -> None:
    write_shard(tmp_path / "data" / "validation" / "v_000000.bin", np.arange(2000) % 250)
    small_model(tmp_path / "m.safetensors", block_size=4)
    options = ("--data.protocol", "paper", "--data.batch_size", "2", "--data.validation", "validation")
    found = evaluate(tmp_path / "m.safetensors", tmp_path / "data", tmp_path / "out", *options)
    assert found["loss"]["n"] == 200
    assert found["loss"]["protocol"] == "paper"
    assert found["loss"]["batch_tokens"] == 8


def test_too_few_shards_are_told(tmp_path: Path, shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_model(tmp_path / "m.safetensors", block_size=BLOCK)
    assert cli.main(words(tmp_path / "m.safetensors", shards, tmp_path / "out")) == 1
    assert "prepare more, or set --data.tokens" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert issubclass(ShardError, ValueError)


def test_damaged_weights_are_an_error(tmp_path: Path, shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lightning_modules.weights import write_weights

    net = small_model(tmp_path / "m.safetensors", block_size=BLOCK)
    with torch.no_grad():
        net.transformer.wte.weight[5] = float("nan")
    write_weights(tmp_path / "m.safetensors", net, {"tokenizer": "bytes"})
    assert cli.main(words(tmp_path / "m.safetensors", shards, tmp_path / "out", "--data.tokens", "320")) == 1
    assert "not finite" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("tokens", ["800", "16"])  # 16: a single window for two ranks
def test_two_ranks_find_what_one_finds(tokens: str, tmp_path: Path, shards: Path) -> None:
    small_model(tmp_path / "m.safetensors", block_size=BLOCK)
    alone = evaluate(tmp_path / "m.safetensors", shards, tmp_path / "one", "--data.tokens", tokens)
    options = ("--data.tokens", tokens, "--trainer.devices", "2", "--trainer.strategy", "ddp")
    command = [
        sys.executable,
        str(Path(cli.__file__)),
        *words(tmp_path / "m.safetensors", shards, tmp_path / "two", *options),
    ]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=200, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    together = read(tmp_path / "two")
    assert together["loss"]["world_size"] == 2
    assert together["loss"]["n"] == alone["loss"]["n"]
    assert together["loss"]["value"] == pytest.approx(alone["loss"]["value"], rel=1e-6)
