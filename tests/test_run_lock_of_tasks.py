"""The lock of a killed job or a dead node never blocks its own requeue; anybody else's is respected."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from callbacks import run_lock
from callbacks.run_folder import RunFolder
from callbacks.run_lock import RunLock

TASK = {"SLURM_ARRAY_JOB_ID": "70", "SLURM_ARRAY_TASK_ID": "3", "SLURM_JOB_ID": "74"}
FORK = get_context("fork")  # a fresh interpreter would spend seconds on imports


def hold(folder: Path, host: str, slurm: dict[str, str], held: Any) -> None:
    """What the other process does, until it is killed."""
    os.environ.update(slurm)
    lock = RunLock(RunFolder(folder))
    lock.me["host"] = host or lock.me["host"]
    with lock:
        held.set()
        time.sleep(60)


@contextmanager
def holder(folder: Path, *, host: str = "", **slurm: str) -> Iterator[Any]:
    """A process that trains in the folder, by its own words on `host`; killed at the end."""
    held = FORK.Event()
    process = FORK.Process(target=hold, args=(folder, host, slurm, held))
    process.start()
    try:
        assert held.wait(30)
        yield process
    finally:
        process.kill()
        process.join()


@pytest.fixture
def requeued(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is task 70_3, whose job id has changed since its earlier life."""
    for name, value in {**TASK, "SLURM_JOB_ID": "75"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(run_lock, "SETTLING", 0)


@pytest.mark.usefixtures("requeued")
def test_a_requeued_task_waits_until_its_earlier_life_has_died(tmp_path: Path) -> None:
    with holder(tmp_path, **TASK) as earlier:
        threading.Timer(1, earlier.kill).start()
        with RunLock(RunFolder(tmp_path)):
            earlier.join(1)
            assert earlier.exitcode == -signal.SIGKILL
            assert json.loads((tmp_path / "run.lock").read_text())["pid"] == os.getpid()


@pytest.mark.usefixtures("requeued")
def test_a_requeued_task_takes_over_what_its_dead_node_still_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_lock, "PATIENCE", 0.2)
    with (
        holder(tmp_path, host="dead-node", **TASK),
        pytest.warns(UserWarning, match="taken over"),
        RunLock(RunFolder(tmp_path)),
        pytest.raises(RuntimeError, match="another process trains"),
        RunLock(RunFolder(tmp_path)),  # and holds it like any other lock
    ):
        pass


@pytest.mark.usefixtures("requeued")
@pytest.mark.parametrize("other", [{"SLURM_ARRAY_TASK_ID": "4"}, {"SLURM_ARRAY_JOB_ID": "71"}])
def test_another_task_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, str]
) -> None:
    monkeypatch.setattr(run_lock, "PATIENCE", 0)
    monkeypatch.setattr(run_lock, "_has_left_the_queue", lambda job: False)
    with (
        holder(tmp_path, host="another-node", **TASK | other),
        pytest.raises(RuntimeError, match="another process trains"),
        RunLock(RunFolder(tmp_path)),
    ):
        pass


def test_a_job_that_slurm_no_longer_knows_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def squeue(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command[-1])
        return subprocess.CompletedProcess(command, 1, "", "slurm_load_jobs error: Invalid job id specified")

    with holder(tmp_path, host="dead-node", **TASK):
        monkeypatch.setattr(run_lock, "PATIENCE", 0)
        monkeypatch.setattr(run_lock.subprocess, "run", squeue)
        with pytest.warns(UserWarning, match="taken over"), RunLock(RunFolder(tmp_path)):
            assert set(asked) == {"--jobs=74"}


@pytest.mark.usefixtures("without_locks")
def test_without_file_locks_a_second_process_is_refused_and_a_dead_one_is_not_waited_for(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        with pytest.raises(RuntimeError, match="another process trains"), RunLock(RunFolder(tmp_path)):
            pass
        other.kill()
        other.join()
        with RunLock(RunFolder(tmp_path)):
            assert json.loads((tmp_path / "run.lock").read_text())["pid"] == os.getpid()
    assert (tmp_path / "run.lock").read_text() == ""


@pytest.mark.usefixtures("without_locks", "requeued")
def test_without_file_locks_a_requeued_task_follows_its_earlier_life(tmp_path: Path) -> None:
    (tmp_path / "run.lock").write_text(
        json.dumps({"host": "dead-node", "pid": 1, "slurm_job": "74", "slurm_task": "70_3"})
    )
    with RunLock(RunFolder(tmp_path)):
        assert json.loads((tmp_path / "run.lock").read_text())["slurm_job"] == "75"
