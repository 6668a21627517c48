"""A file is the old one or the new one, whatever happens to its writer."""

import os
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from connectome.atomic_file import atomic_file, fsync_folder

FORK = get_context("fork")  # a fresh interpreter would spend seconds on imports


def write_for_ever(path: Path, writing: Any) -> None:
    with atomic_file(path) as file:
        file.write(b"half of the n")
        file.flush()
        writing.set()
        time.sleep(60)


def test_the_file_holds_what_was_written(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "file") as file:
        file.write(b"one ")
        file.write(b"two")
    assert (tmp_path / "file").read_bytes() == b"one two"
    assert os.listdir(tmp_path) == ["file"]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "a" / "b" / "file") as file:
        file.write(b"x")
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"x"


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with atomic_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(error):
        write_half(path, error)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def write_half(path: Path, error: type[BaseException]) -> None:
    with atomic_file(path) as file:
        file.write(b"half of the n")
        raise error


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where writes are buffered by the system the disk is found to be full at fsync."""

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"), atomic_file(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_the_new_file_reaches_the_disk_before_its_name_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (calls.append("fsync"), fsync(descriptor))[1])
    monkeypatch.setattr(os, "replace", lambda old, new: (calls.append("replace"), replace(old, new))[1])
    with atomic_file(tmp_path / "file") as file:
        file.write(b"x")
    assert calls == ["fsync", "replace", "fsync"]  # the file, its name, the folder


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_killed_writer_leaves_the_old_file_and_its_successor_cleans_up(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    writing = FORK.Event()
    writer = FORK.Process(target=write_for_ever, args=(path, writing))
    writer.start()
    assert writing.wait(30)
    writer.kill()
    writer.join()
    assert path.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == [".file.partial", "file"]
    with atomic_file(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_can_be_brought_onto_the_disk(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    fsync_folder(tmp_path)
    after = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    assert before == after
    with pytest.raises(FileNotFoundError):
        fsync_folder(tmp_path / "missing")
