"""What was measured of the runs that are kept, as values by seed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from figures.comparisons import paired
from figures.experiment import last_measurements
from figures.results import Measurement, ends_of, read_measurements
from figures.runs import OUTER, find_runs

__all__ = [
    "EXPERIMENT",
    "GLOBAL",
    "LAST",
    "BySeed",
    "at_no_cost",
    "at_the_end",
    "closed_gap",
    "connectome_files",
    "difference",
    "interval",
    "losses",
    "mean",
    "peak_of_reading_times",
    "read",
]

EXPERIMENT, GLOBAL = "replication", "global"  # folders: of the experiment, and of the one with one threshold for all
NOT_FREE = ("gpt3", "shuffled", "shuffled_largest")
LAST = 5  # generation whose connectome the inner loop starts from
BySeed = Mapping[int, float]


def read(folder: Path) -> list[Measurement]:
    """Everything measured of the runs in a folder; nothing if it is not there or holds none yet."""
    if not any(folder.rglob("config.yaml")):
        return []
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
    return {m.seed: m.value for m in last_measurements(_of(measured, figure)) if m.arm == arm}


def at_no_cost(measured: Sequence[Measurement], figure: tuple[str, str, str]) -> str:
    """The most that a figure reaches without a trained model, and how, in words; empty where nobody has asked.

    GPT-3's surprisal and the largest of some shuffles are no such thing.
    """
    task, variant, metric = figure
    models = last_measurements(_of(measured, figure))
    if metric == "r_nested_layer" and not any(m.baselines != "{}" for m in models):  # as in records of November 2026
        models = last_measurements(_of(measured, (task, variant, "r_layer_0")))
    found = [json.loads(m.baselines) for m in models]
    values = {name: value for one in found for name, value in one.items() if name not in NOT_FREE}
    if not values:
        return ""
    best = max(sorted(values), key=lambda name: values[name])
    return f"{best} {values[best]:.3f}"


def _of(measured: Sequence[Measurement], figure: tuple[str, str, str]) -> list[Measurement]:
    task, variant, metric = figure
    return [m for m in measured if (m.task, m.metric) == (task, metric) and m.variant.startswith(variant)]


def peak_of_reading_times(measured: Sequence[Measurement], arm: str) -> BySeed:
    """The largest r of the paper's protocol over training, of the steps, two or more, that all runs have."""
    curves: dict[tuple[str, int], dict[int, float]] = {}
    for m in measured:
        if (m.task, m.metric) == ("natural_stories", "r") and m.variant.startswith("paper"):
            curves.setdefault((m.arm, m.seed), {})[m.step] = m.value
    steps = set.intersection(*map(set, curves.values())) if curves else set()
    if len(steps) < 2:
        return {}
    return {seed: max(curve[step] for step in steps) for (of, seed), curve in curves.items() if of == arm}


def connectome_files(experiment: Path, generation: int) -> dict[int, Path]:
    """The connectomes that a generation left, by seed."""
    files = sorted(experiment.glob(f"outer/*/connectomes/generation_{generation}.connectome"))
    return {int(path.parents[1].name.removeprefix("seed_")): path for path in files}


def closed_gap(measured: Sequence[Measurement]) -> BySeed:
    """(NoConnectome - Connectome) / (NoConnectome - dense on the large corpus) in loss, by seed."""
    by_arm = losses(measured)
    dense, evolved, bound = by_arm["NoConnectome"], by_arm["Connectome"], by_arm[OUTER]
    seeds = sorted(dense.keys() & evolved.keys() & bound.keys())
    return {seed: (dense[seed] - evolved[seed]) / (dense[seed] - bound[seed]) for seed in seeds}


def mean(values: BySeed) -> float:
    """Mean over the seeds."""
    return float(np.mean([*values.values()]))


def interval(one: BySeed, other: BySeed) -> tuple[float, float | None, float | None, float | None]:
    """Mean difference over common seeds, its 95 % interval and p by Student's paired t-test; `paired` says more."""
    seeds = sorted(one.keys() & other.keys())
    return paired(np.array([one[s] for s in seeds]), np.array([other[s] for s in seeds]))


def difference(one: BySeed, other: BySeed) -> list[str]:
    """The same in words, in two cells; empty ones of a thing and itself."""
    if one == other or not one.keys() & other.keys():
        return ["", ""]
    found, low, high, p = interval(one, other)
    spread = f" [{low:+.3f}, {high:+.3f}]" if low is not None else ""
    return [f"{found:+.3f}{spread}", "" if p is None else f"{p:.3f}" if p >= 0.001 else "< 0.001"]
