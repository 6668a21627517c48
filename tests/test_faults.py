"""Training processes that are killed at random moments; `tests/faults.py` does it, and says how to do it for longer."""

import os
import subprocess
import sys

import pytest

import cli


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("processes", [1, 2])
def test_runs_killed_at_random_moments_end_like_the_undisturbed_one(processes: int) -> None:
    rounds = int(os.environ.get("CONNECTOMES_FAULTS", "12")) // 2  # kills, half of them on two processes
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "PL_"))}
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--rounds", str(rounds), "--processes", str(processes)],
        cwd=os.path.dirname(cli.__file__),
        env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"survived {rounds} kills" in done.stdout
