"""Exact resume on two gloo processes, in bf16-mixed, compiled: pairwise over processes, precision and compilation."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import cli
from tests.resumes import WAYS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("processes", "precision", "compile", "ways"),
    [
        (2, "32-true", False, WAYS),
        (4, "32-true", False, ("killed mid-generation",)),  # of three or more ranks, sums have an order
        (1, "bf16-mixed", False, WAYS),
        (1, "32-true", True, ("asked mid-accumulation", "one fit per generation")),  # each start compiles: a minute
        (2, "bf16-mixed", True, ("killed at a boundary", "from the connectome alone")),
    ],
)
def test_interrupted_and_resumed_runs_equal_the_straight_one(
    processes: int, precision: str, compile: bool, ways: tuple[str, ...]
) -> None:
    command = [sys.executable, "-m", "tests.resumes", "--processes", str(processes), "--precision", precision]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "PL_"))}
    done = subprocess.run(
        [*command, *(["--compile"] if compile else []), "--ways", *ways],
        cwd=Path(cli.__file__).parent,
        env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == [f"equal: {way}" for way in ways]


@pytest.mark.filterwarnings("default")  # of what torch does while it compiles
def test_a_new_generation_compiles_nothing_again(outer: Callable[..., int], tmp_path: Path) -> None:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    count = ["--trainer.callbacks+=tests.graph_count.GraphCount", f"--trainer.callbacks.file={tmp_path / 'graphs'}"]
    assert outer(tmp_path / "run", "--model.compile", "true", "--model.n_layer", "1", *count) == 0
    graphs = [int(line) for line in (tmp_path / "graphs").read_text().split()]
    assert len(graphs) == 6  # two validations in each of three generations
    assert graphs[0] > 0
    assert graphs[1:] == graphs[:1] * 5
