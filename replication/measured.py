"""What was measured of the runs that are kept, as values by seed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from figures.experiment import last_measurements
from figures.results import Measurement, ends_of, read_measurements
from figures.runs import OUTER, find_runs

__all__ = ["BySeed", "at_the_end", "closed_gap", "losses", "peak_of_reading_times", "read"]

BySeed = Mapping[int, float]


def read(folder: Path) -> list[Measurement]:
    """Everything measured of the runs in a folder."""
    return [m for run in find_runs([folder]) for m in read_measurements(run)]


def losses(measured: Sequence[Measurement]) -> dict[str, BySeed]:
    """Loss at the end on the whole validation part, by arm and seed; of the outer loop that of generation 0."""
    found: dict[str, dict[int, float]] = {}
    for end in ends_of(measured):
        if end.generation == 0:
            found.setdefault(end.arm, {})[end.seed] = end.loss
    return dict(found)


def at_the_end(measured: Sequence[Measurement], figure: tuple[str, str, str], arm: str) -> BySeed:
    """A figure at the last step of each run of an arm.

    Args:
        measured: of all runs.
        figure: task, the beginning of the variant, and metric.
        arm: of the inner loop.
    """
    task, variant, metric = figure
    chosen = [m for m in measured if (m.task, m.metric, m.arm) == (task, metric, arm) and m.variant.startswith(variant)]
    return {m.seed: m.value for m in last_measurements(chosen)}


def peak_of_reading_times(measured: Sequence[Measurement], arm: str) -> BySeed:
    """The largest r of the paper's protocol over training, of runs that were measured at more than one step."""
    found: dict[int, list[float]] = {}
    for m in measured:
        if (m.task, m.metric, m.arm) == ("natural_stories", "r", arm) and m.variant.startswith("paper"):
            found.setdefault(m.seed, []).append(m.value)
    return {seed: max(values) for seed, values in found.items() if len(values) > 1}


def closed_gap(measured: Sequence[Measurement]) -> BySeed:
    """(NoConnectome - Connectome) / (NoConnectome - dense on the large corpus) in loss, by seed."""
    by_arm = losses(measured)
    dense, evolved, bound = by_arm["NoConnectome"], by_arm["Connectome"], by_arm[OUTER]
    seeds = sorted(dense.keys() & evolved.keys() & bound.keys())
    return {seed: (dense[seed] - evolved[seed]) / (dense[seed] - bound[seed]) for seed in seeds}
