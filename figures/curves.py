"""TensorBoard's event files of a run as tidy points."""

import struct
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from figures.runs import OUTER, Run

__all__ = ["EventFileError", "Point", "curve", "read_points"]

WITHIN = "within_generation/"
PATTERN = "events.out.tfevents.*"
LENGTH = struct.Struct("<QI")  # of a record, and a checksum of it; after the record follows another checksum
CHECKSUM_BYTES = 4


class EventFileError(ValueError):
    """An event file cannot be read; the message says which and what to do."""


class Point(NamedTuple):
    """One value on one curve.

    Args:
        generation: of an outer loop; 0 in an inner one.
        metric: name of the curve, such as `validation/loss`.
        step: optimizer steps since the generation began; for `throughput/…` since the run began.
        value: of the metric there.
        time: when it was logged, seconds since 1970.
    """

    generation: int
    metric: str
    step: int
    value: float
    time: float = 0.0


def read_points(run: Run, metrics: Collection[str]) -> list[Point]:
    """Points of a run, in order of generation, metric and step; where a step was logged twice, the later counts.

    Args:
        run: whose event files are read; none are there if it has not begun.
        metrics: names of the curves wanted.

    Raises:
        EventFileError: if one of its event files is not one, or is damaged from its beginning.
    """
    root = run.folder / "tensorboard"
    folders = (
        {int(f.name.removeprefix("generation_")): f for f in root.glob("generation_*")} if run.arm == OUTER else {}
    )
    points = []
    for generation, folder in sorted((folders or {0: root}).items()):
        found: dict[tuple[str, int], Point] = {}
        for path in sorted(folder.glob(PATTERN)):
            found |= {(p.metric, p.step): p._replace(generation=generation) for p in _scalars(path, metrics)}
        points += [found[key] for key in sorted(found)]
    return points


def curve(points: Collection[Point], metric: str, *, generation: int = 0) -> list[tuple[int, float]]:
    """Steps and values of one curve of a run."""
    return [(p.step, p.value) for p in points if (p.generation, p.metric) == (generation, metric)]


def _scalars(path: Path, metrics: Collection[str]) -> Iterator[Point]:
    """Wanted points of one file. Validation's steps are those within the generation."""
    wanted = {metric if metric.startswith("throughput/") else WITHIN + metric: metric for metric in metrics}
    marks = [tag.encode() for tag in wanted]
    for number, (record, checksum) in enumerate(_records(path)):
        if number and not any(mark in record for mark in marks):
            continue
        whole = masked_crc32c(record) == checksum
        event = Event.FromString(record) if whole else Event()
        if number == 0 and not event.file_version:
            raise EventFileError(
                f"{path} is no event file of TensorBoard, or damaged from its beginning; move it elsewhere"
            )
        if not whole:
            raise EventFileError(f"{path} is damaged: a checksum does not match; move it out of the run folder")
        for value in event.summary.value:
            if value.tag in wanted:
                scalar = value.simple_value if value.HasField("simple_value") else value.tensor.float_val[0]
                yield Point(0, wanted[value.tag], event.step, scalar, event.wall_time)


def _records(path: Path) -> Iterator[tuple[bytes, int]]:
    """Records of a file with their checksums; one that a kill has torn in half ends it.

    Most records are histograms, pictures and curves that nobody asked for here. TensorBoard's own reader computes two
    checksums of each in Python, and was 50 times slower.

    Raises:
        EventFileError: if not even the first record is whole, and the file is not empty.
    """
    content = path.read_bytes()
    at = 0
    while at + LENGTH.size <= len(content):
        begin = at + LENGTH.size
        end = begin + LENGTH.unpack_from(content, at)[0]
        if end + CHECKSUM_BYTES > len(content):
            break
        yield content[begin:end], int.from_bytes(content[end : end + CHECKSUM_BYTES], "little")
        at = end + CHECKSUM_BYTES
    if content and not at:
        raise EventFileError(
            f"{path} is no event file of TensorBoard, or damaged from its beginning; move it elsewhere"
        )
