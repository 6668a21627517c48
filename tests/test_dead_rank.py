"""A rank that dies ends the whole run soon, also where Lightning itself has started the ranks."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import cli
from callbacks.run_folder import RunFolder

pytestmark = pytest.mark.slow


def started_by_lightning(folder: Path, toy: list[str], rank: int) -> subprocess.Popen[str]:
    """Two processes of which `rank` kills itself in the middle of step 5; the first is the parent of the other."""
    interruption = {"step": 4, "micro_batch": 1, "what": "kill", "rank": rank}
    options = ["--trainer.callbacks+=tests.interruption.Interruption"]
    options += [f"--trainer.callbacks.{name}={value}" for name, value in interruption.items()]
    line = ["fit", "--config", "outer.yaml", "--run", str(folder), *toy, "--trainer.devices", "2", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "PL_"))}
    return subprocess.Popen(
        [sys.executable, "cli.py", *line, "--data.micro_batch_size", "3"],
        cwd=Path(cli.__file__).parent,
        env=environment | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("rank", [0, 1])
def test_the_others_end_within_seconds(tmp_path: Path, toy: list[str], rank: int) -> None:
    process = started_by_lightning(tmp_path, toy, rank)
    assert process.stderr is not None
    try:
        while "step 4/" not in process.stderr.readline():
            assert process.poll() is None
        started = time.monotonic()
        process.stderr.read()  # until the last process that holds the other end is gone
        took = time.monotonic() - started
        assert process.wait(10) != 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    print(f"{took:.1f} s")
    assert took < 30
    assert list(RunFolder(tmp_path).checkpoints()) == [3]
