"""All that the runs of an experiment have left behind, read once."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from figures.curves import Point, read_points
from figures.results import Measurement, read_measurements
from figures.runs import Run, find_runs

__all__ = ["VALIDATION_LOSS", "Experiment", "chosen_variant", "last_measurements", "read_experiment"]

VALIDATION_LOSS = "validation/loss"
TOKENS_PER_SECOND, MFU = "throughput/tokens_per_second", "throughput/mfu"


class Experiment(NamedTuple):
    """Runs, what was measured of them, and their curves.

    Args:
        runs: in order of size, arm and seed.
        measured: of all runs.
        curves: points of each run.
    """

    runs: list[Run]
    measured: list[Measurement]
    curves: dict[Run, list[Point]]


def read_experiment(folders: Sequence[str]) -> Experiment:
    """Read run folders, or experiment folders.

    Raises:
        FileNotFoundError: if a folder is not there or holds no run.
        ValueError: if a configuration, a record or an event file is damaged, or two runs are the same.
    """
    runs = find_runs(folders)
    measured = [measurement for run in runs for measurement in read_measurements(run)]
    curves = {run: read_points(run, (VALIDATION_LOSS, TOKENS_PER_SECOND, MFU)) for run in runs}
    return Experiment(runs, measured, curves)


def last_measurements(measured: Collection[Measurement]) -> list[Measurement]:
    """Of each figure of each model the one at its last step."""
    last: dict[tuple[object, ...], Measurement] = {}
    for m in measured:
        key = (m.size, m.arm, m.seed, m.generation, *m.figure)
        if key not in last or last[key].step <= m.step:
            last[key] = m
    return [*last.values()]


def chosen_variant(measured: Collection[Measurement], task: str) -> str | None:
    """The variant of a task that a panel shows: what most runs have; of several the paper's, then the plainest."""
    runs_of: dict[str, set[tuple[str, str, int]]] = {}
    for m in measured:
        if m.task == task:
            runs_of.setdefault(m.variant, set()).add((m.size, m.arm, m.seed))
    order = sorted(runs_of, key=lambda name: (-len(runs_of[name]), name.split(",")[0] != "paper", len(name), name))
    return order[0] if order else None
