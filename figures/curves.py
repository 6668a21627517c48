"""TensorBoard's event files of a run as tidy points."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from figures.runs import OUTER, Run

__all__ = ["EventFileError", "Point", "curve", "mean_and_range", "read_points"]

WITHIN = "within_generation/"
PATTERN = "events.out.tfevents.*"


class EventFileError(ValueError):
    """An event file cannot be read; the message says which and what to do."""


class Point(NamedTuple):
    """One value on one curve.

    Args:
        arm: of the inner loop; `outer` for an outer loop.
        seed: of the run.
        generation: of an outer loop; 0 in an inner one.
        metric: name of the curve, such as `validation/loss`.
        step: optimizer steps since the generation began.
        value: of the metric there.
    """

    arm: str
    seed: int
    generation: int
    metric: str
    step: int
    value: float


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
        values: dict[tuple[str, int], float] = {}
        for path in sorted(folder.glob(PATTERN)):
            values |= _scalars(path, metrics)
        points += [
            Point(run.arm, run.seed, generation, metric, step, value)
            for (metric, step), value in sorted(values.items())
        ]
    return points


def curve(
    points: Collection[Point], metric: str, *, arm: str, seed: int, generation: int = 0
) -> list[tuple[int, float]]:
    """Steps and values of one curve."""
    wanted = (arm, seed, generation, metric)
    return [(p.step, p.value) for p in points if (p.arm, p.seed, p.generation, p.metric) == wanted]


def mean_and_range(curves: Collection[list[tuple[int, float]]]) -> list[tuple[int, float, float, float]]:
    """Step, mean, minimum and maximum over seeds, at the steps that all the curves have."""
    tables = [dict(points) for points in curves]
    common = sorted(set.intersection(*(set(table) for table in tables))) if tables else []
    columns = [(step, [table[step] for table in tables]) for step in common]
    return [(step, sum(values) / len(values), min(values), max(values)) for step, values in columns]


def _scalars(path: Path, metrics: Collection[str]) -> dict[tuple[str, int], float]:
    """Values by metric and step within the generation; a record that a kill has torn in half ends the file."""
    events = EventAccumulator(str(path), size_guidance={"scalars": 0})  # 0: keep all; the default keeps a sample
    try:
        events.Reload()
    except Exception as error:
        raise EventFileError(
            f"{path} is damaged ({type(error).__name__}: {error}); move it out of the run folder"
        ) from error
    if path.stat().st_size and events.file_version is None:
        raise EventFileError(
            f"{path} is no event file of TensorBoard, or damaged from its beginning; move it elsewhere"
        )
    there = set(events.Tags()["scalars"])
    return {
        (metric, event.step): event.value
        for metric in metrics
        if WITHIN + metric in there
        for event in events.Scalars(WITHIN + metric)
    }
