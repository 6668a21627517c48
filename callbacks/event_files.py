"""TensorBoard's event files, cut back to where a run is resumed, so that no step is in them twice."""

import struct
from collections.abc import Callable
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

from connectome.atomic_file import atomic_file

__all__ = ["cut_events", "date_before"]

PREFIX = "events.out.tfevents."


def cut_events(folder: Path, keep: Callable[[str, int], bool]) -> None:
    """Rewrite the event files in `folder` without the scalars that `keep(tag, step)` refuses.

    A record that a kill has torn in half ends its file. Files that lose nothing are left alone.
    """
    for path in sorted(folder.glob(f"{PREFIX}*")):
        kept = []
        for raw in RawEventFileLoader(str(path)).Load():
            event = Event.FromString(raw)
            if all(keep(value.tag, event.step) for value in event.summary.value):
                kept.append(raw)
        if sum(len(raw) + RECORD_OVERHEAD for raw in kept) != path.stat().st_size:
            with atomic_file(path) as file:
                writer = RecordWriter(file)
                for raw in kept:
                    writer.write(raw)


RECORD_OVERHEAD = struct.calcsize("<QII")  # length and two checksums


def date_before(folder: Path, now: int) -> None:
    """Rename the event files in `folder` so that, read in order of name, they come before one that is begun `now`.

    A name starts with the second in which its file was begun. Two in one second, or another node's slow clock, would
    otherwise put what follows before what went ahead.

    Args:
        folder: of one TensorBoard run.
        now: seconds since 1970.
    """
    bound = now
    for path in sorted(folder.glob(f"{PREFIX}*"), reverse=True):
        begun, _, rest = path.name.removeprefix(PREFIX).partition(".")
        bound = min(int(begun), bound - 1)
        if bound != int(begun):
            path.rename(path.with_name(f"{PREFIX}{bound:010d}.{rest}"))
