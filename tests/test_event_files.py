"""Event files cut back to a step: nothing twice, nothing lost, a torn last record forgiven."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from torch.utils.tensorboard import SummaryWriter

from callbacks.event_files import cut_events, date_before


def write(folder: Path, steps: range, tag: str = "loss") -> Path:
    """One event file with a scalar at each step; its value is the step."""
    before = set(folder.glob("*"))
    with SummaryWriter(str(folder)) as writer:
        for step in steps:
            writer.add_scalar(tag, float(step), step)
    (path,) = set(folder.glob("*")) - before
    return path


def records(path: Path) -> list[tuple[int, str]]:
    events = [Event.FromString(raw) for raw in RawEventFileLoader(str(path)).Load()]
    return [(event.step, value.tag) for event in events for value in event.summary.value]


def up_to(step: int) -> Callable[[str, int], bool]:
    return lambda tag, at: at <= step


def test_points_after_a_step_are_gone(tmp_path: Path) -> None:
    path = write(tmp_path, range(6))
    cut_events(tmp_path, up_to(3))
    assert records(path) == [(0, "loss"), (1, "loss"), (2, "loss"), (3, "loss")]
    assert list(tmp_path.iterdir()) == [path]


def test_what_remains_is_the_old_file_s_beginning(tmp_path: Path) -> None:
    path = write(tmp_path, range(6))
    before = path.read_bytes()
    cut_events(tmp_path, up_to(3))
    assert before.startswith(path.read_bytes())
    assert len(path.read_bytes()) < len(before)


def test_a_file_that_loses_nothing_is_not_touched(tmp_path: Path) -> None:
    path = write(tmp_path, range(6))
    before = path.stat()
    cut_events(tmp_path, up_to(5))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_cutting_twice_is_cutting_once(tmp_path: Path) -> None:
    path = write(tmp_path, range(6))
    cut_events(tmp_path, up_to(3))
    before = path.stat()
    cut_events(tmp_path, up_to(3))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("torn", [1, 3, 10, 20])
def test_a_record_torn_by_a_kill_is_cut_off(tmp_path: Path, torn: int) -> None:
    path = write(tmp_path, range(6))
    left = path.read_bytes()[:-torn]
    path.write_bytes(left)
    cut_events(tmp_path, up_to(100))
    assert records(path) == [(step, "loss") for step in range(5)]
    assert left.startswith(path.read_bytes())
    assert len(left) > path.stat().st_size


def test_a_record_torn_within_its_length_is_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path, range(2))
    whole = path.read_bytes()
    path.write_bytes(whole + b"\x18\x00\x00")
    cut_events(tmp_path, up_to(100))
    assert path.read_bytes() == whole


def test_what_follows_a_damaged_record_is_given_up(tmp_path: Path) -> None:
    """Records have no marks to find the next one by."""
    path = write(tmp_path, range(6))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    cut_events(tmp_path, up_to(100))
    assert records(path) == [(step, "loss") for step in range(len(records(path)))]
    assert len(records(path)) < 6


def test_an_empty_file_is_left_empty(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.0.host").write_bytes(b"")
    cut_events(tmp_path, up_to(3))
    assert (tmp_path / "events.out.tfevents.0.host").read_bytes() == b""


def test_every_event_file_of_the_folder_is_cut(tmp_path: Path) -> None:
    paths = [write(tmp_path, range(4)), write(tmp_path, range(2, 6))]
    cut_events(tmp_path, up_to(3))
    assert [step for path in paths for step, _ in records(path)] == [0, 1, 2, 3, 2, 3]


def test_the_tag_may_decide(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("versus_tokens/loss", 1.0, 1000)
        writer.add_scalar("loss", 1.0, 1000)
    (path,) = tmp_path.iterdir()
    cut_events(tmp_path, lambda tag, at: tag.startswith("versus_tokens/"))
    assert records(path) == [(1000, "versus_tokens/loss")]


def test_other_files_and_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("loss")
    inner = write(tmp_path / "inner", range(4))
    cut_events(tmp_path, up_to(0))
    assert (tmp_path / "notes.txt").read_text() == "loss"
    assert len(records(inner)) == 4


def test_files_are_dated_before_the_one_that_is_begun_now(tmp_path: Path) -> None:
    for name in ("0000000090.host.7.0", "0000000100.host.7.10", "0000000100.host.7.9", "0000000130.other.7.0"):
        (tmp_path / f"events.out.tfevents.{name}").write_text(name)
    date_before(tmp_path, 100)
    files = sorted(tmp_path.iterdir())
    assert [path.read_text() for path in files] == [
        "0000000090.host.7.0", "0000000100.host.7.10", "0000000100.host.7.9", "0000000130.other.7.0"
    ]  # fmt: skip
    assert [int(path.name.split(".")[3]) for path in files] == [90, 97, 98, 99]
