"""The outer loop through the command line: invariants of the design, at toy size."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import cli
from callbacks.run_folder import RunFolder
from connectome import load_connectome
from lightning_modules.records import read_records

Run = Callable[..., int]


def kept_after(n: int, generations: int) -> int:
    """Weights of n that are left after so many generations, each of which loses floor(0.2 remaining)."""
    for _ in range(generations):
        n -= n // 5
    return n


def probe(file: Path) -> list[str]:
    return ["--trainer.callbacks+=tests.zero_probe.ZeroProbe", f"--trainer.callbacks.file={file}"]


def test_every_matrix_keeps_exactly_n_minus_floor_of_a_fifth(straight: Path) -> None:
    for generation in range(3):
        connectome = load_connectome(RunFolder(straight).connectome(generation))
        for name, matrix in connectome.matrices.items():
            assert int(matrix.count_nonzero()) == kept_after(matrix.numel(), generation + 1), name


def test_connectomes_only_ever_lose_weights(straight: Path) -> None:
    old, mid, new = (load_connectome(RunFolder(straight).connectome(generation)).masks() for generation in range(3))
    for name in new:
        assert not (new[name] & ~mid[name]).any()
        assert not (mid[name] & ~old[name]).any()


def test_the_connectome_is_the_sign_of_the_largest_kept_weights(straight: Path) -> None:
    for generation in range(3):
        weights = load_file(RunFolder(straight).kept(generation))
        for name, matrix in load_connectome(RunFolder(straight).connectome(generation)).matrices.items():
            exists = matrix != 0
            assert torch.equal(weights[name][exists].sign(), matrix[exists].float())
            assert weights[name][exists].abs().min() >= weights[name][~exists].abs().max()


def test_generation_zero_is_dense(straight: Path) -> None:
    weights = load_file(RunFolder(straight).kept(0))
    assert all((weight != 0).all() for weight in weights.values())


def test_records_hold_both_losses_of_every_generation(straight: Path) -> None:
    records = read_records(RunFolder(straight).records)
    assert [(record["model"]["generation"], record["metric"]) for record in records] == [
        (generation, metric) for generation in range(3) for metric in ("loss", "loss_full")
    ]


def test_validate_gives_the_losses_of_each_generation_again(
    straight: Path, toy: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = [f"{key}={value}" for key, value in zip(toy[::2], toy[1::2], strict=True)]
    options = [option for option in options if option.startswith(("--data", "--trainer"))]
    records = read_records(RunFolder(straight).records)
    for generation in range(3):
        assert cli.main(["validate", "--model.checkpoint", str(RunFolder(straight).kept(generation)), *options]) == 0
        printed = [float(number) for number in re.findall(r"\d+\.\d+", capsys.readouterr().out)]
        losses = [record["value"] for record in records if record["model"]["generation"] == generation]
        assert len(losses) == 2
        assert printed[:2] == pytest.approx(losses, rel=1e-7)  # Lightning prints float32


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("micro_batch", ["12", "3"])  # accumulation 1 and 4
def test_what_is_pruned_is_exactly_zero_at_every_step(
    outer: Run, tmp_path: Path, precision: str, micro_batch: str
) -> None:
    options = ["--trainer.precision", precision, "--data.micro_batch_size", micro_batch]
    assert outer(tmp_path / "run", *options, *probe(tmp_path / "steps")) == 0
    assert (tmp_path / "steps").read_text() == "12 12"  # two sparse generations of 6 steps


def two_ranks(folder: Path, *options: str) -> None:
    line = [sys.executable, "cli.py", "fit", "--config", "outer.yaml", "--generations", "3", "--run", str(folder)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "PL_"))}
    done = subprocess.run(
        [*line, *options, "--trainer.devices", "2"],
        cwd=Path(cli.__file__).parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("chunked", [[], ["--model.logits_budget", "0"]], ids=["plain", "chunked"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_two_ranks_equal_one_rank_with_twice_the_accumulation(
    outer: Run, toy: list[str], tmp_path: Path, precision: str, chunked: list[str]
) -> None:
    """Also where the two ranks form their loss chunk by chunk, and the one does not."""
    options = ["--data.micro_batch_size", "3", "--trainer.precision", precision]
    outer(tmp_path / "one", *options)
    two_ranks(tmp_path / "two", *toy, *options, *chunked, *probe(tmp_path / "steps"))
    assert (tmp_path / "steps").read_text() == "12 12"
    for generation in range(3):
        one = load_connectome(RunFolder(tmp_path / "one").connectome(generation))
        two = load_connectome(RunFolder(tmp_path / "two").connectome(generation))
        if precision == "32-true":  # rounding may decide a tie of two magnitudes in bfloat16
            assert all(torch.equal(one.masks()[name], two.masks()[name]) for name in one.matrices)
    tolerance = 1e-5 if precision == "32-true" else 2e-2
    for mine, theirs in zip(
        read_records(RunFolder(tmp_path / "one").records),
        read_records(RunFolder(tmp_path / "two").records),
        strict=True,
    ):
        assert mine["value"] == pytest.approx(theirs["value"], rel=tolerance)
