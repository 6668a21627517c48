"""TensorBoard's event files, cut back to where a run is resumed, so that no step is in them twice."""

import struct
from collections.abc import Callable
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

from connectome.atomic_file import atomic_file

__all__ = ["cut_events"]


def cut_events(folder: Path, keep: Callable[[str, int], bool]) -> None:
    """Rewrite the event files in `folder` without the scalars that `keep(tag, step)` refuses.

    A record that a kill has torn in half ends its file. Files that lose nothing are left alone.
    """
    for path in sorted(folder.glob("events.out.tfevents.*")):
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
