"""One process at a time on a run folder, and no lock that outlives its process."""

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from callbacks.run_folder import RunFolder
from callbacks.run_lock import RunLock

FORK = get_context("fork")  # a fresh interpreter would spend seconds on imports


def hold(folder: Path, held: Any) -> None:
    os.environ["SLURM_JOB_ID"] = "4711"
    with RunLock(RunFolder(folder)):
        held.set()
        time.sleep(60)


@contextmanager
def another_process(folder: Path) -> Iterator[Any]:
    """A process that trains in the folder, killed at the end."""
    held = FORK.Event()
    process = FORK.Process(target=hold, args=(folder, held))
    process.start()
    try:
        assert held.wait(30)
        yield process
    finally:
        process.kill()
        process.join()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    with another_process(tmp_path) as holder:
        with (
            pytest.raises(RuntimeError, match=rf'another process trains in .*"pid": {holder.pid}.*--run') as caught,
            RunLock(RunFolder(tmp_path)),
        ):
            pass
        assert '"slurm_job": "4711"' in str(caught.value)
        assert json.loads((tmp_path / "run.lock").read_text())["pid"] == holder.pid  # a refused one leaves no trace
        holder.kill()
        holder.join()
        with RunLock(RunFolder(tmp_path)):
            assert json.loads((tmp_path / "run.lock").read_text())["pid"] == os.getpid()


def test_the_folder_is_made(tmp_path: Path) -> None:
    with RunLock(RunFolder(tmp_path / "runs" / "a")):
        assert (tmp_path / "runs" / "a" / "run.lock").is_file()


def test_a_lock_is_given_up_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), RunLock(RunFolder(tmp_path)):
        raise KeyError
    with RunLock(RunFolder(tmp_path)):
        pass


def test_the_same_process_cannot_enter_twice(tmp_path: Path) -> None:
    with (
        RunLock(RunFolder(tmp_path)),
        pytest.raises(RuntimeError, match="another process trains"),
        RunLock(RunFolder(tmp_path)),
    ):
        pass


def test_runs_in_different_folders_do_not_meet(tmp_path: Path) -> None:
    with RunLock(RunFolder(tmp_path / "a")), RunLock(RunFolder(tmp_path / "b")):
        assert all(json.loads((tmp_path / name / "run.lock").read_text())["pid"] == os.getpid() for name in "ab")


def test_a_longer_note_of_an_earlier_holder_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "run.lock").write_text("x" * 1000)
    with RunLock(RunFolder(tmp_path)):
        assert json.loads((tmp_path / "run.lock").read_text())["pid"] == os.getpid()


def test_another_failure_of_the_disk_is_not_taken_for_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(file: object, operation: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(OSError, match="Input/output error"), RunLock(RunFolder(tmp_path)):
        pass
