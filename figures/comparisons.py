"""Whether arms differ: paired tests, over seeds where there are several, else over the items of one seed."""

import json
from collections.abc import Collection
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from figures.arms import ARMS
from figures.experiment import Experiment, last_measurements
from figures.results import Measurement
from figures.runs import Run

__all__ = ["Comparison", "comparisons", "paired"]

ABOUT = b"evaluation"  # in the metadata of a table of items: callbacks/evaluation_files.py
NOT_COMPARED = ("density",)


class Comparison(NamedTuple):
    """A difference between two arms, in the same figure and size.

    Args:
        size: of the models, in weights.
        task: of the figure.
        variant: of the task.
        metric: name of the figure.
        one: arm.
        other: arm that is subtracted.
        difference: mean over the pairs.
        low: lower end of its 95 % interval; none for a single pair.
        high: upper end.
        p: of Student's paired t-test, two-sided, not corrected for the number of tests.
        pairs: how many.
        over: what was paired: `seeds`, or `items` of one seed.
    """

    size: str
    task: str
    variant: str
    metric: str
    one: str
    other: str
    difference: float
    low: float | None
    high: float | None
    p: float | None
    pairs: int
    over: str


def comparisons(experiment: Experiment) -> list[Comparison]:
    """All pairs of arms in every figure that both have, of models at the same step."""
    by_figure: dict[tuple[str, ...], dict[str, dict[int, Measurement]]] = {}
    for m in last_measurements(experiment.measured):
        if m.arm in ARMS and m.metric not in NOT_COMPARED:
            by_figure.setdefault((m.size, *m.figure), {}).setdefault(m.arm, {})[m.seed] = m
    folders = {(run.size, run.arm, run.seed): run for run in experiment.runs}
    found = []
    for (size, task, variant, metric), arms in by_figure.items():
        for one, other in combinations([arm for arm in ARMS if arm in arms], 2):
            a, b = arms[one], arms[other]
            seeds = [seed for seed in sorted(a.keys() & b.keys()) if a[seed].step == b[seed].step]
            if not seeds:
                continue
            items = _items([a[seeds[0]], b[seeds[0]]], folders) if len(seeds) == 1 else None
            values = items or (np.array([a[s].value for s in seeds]), np.array([b[s].value for s in seeds]))
            row = paired(*values)
            found.append(
                Comparison(size, task, variant, metric, one, other, *row, len(values[0]), "items" if items else "seeds")
            )
    return found


def paired(one: np.ndarray, other: np.ndarray) -> tuple[float, float | None, float | None, float | None]:
    """Mean difference, its 95 % interval and p by Student's paired t-test; only the first for a single pair.

    Args:
        one: values, shape `(pairs,)`.
        other: their partners, shape `(pairs,)`.
    """
    from scipy.stats import t, ttest_rel  # takes a second to import

    differences = np.asarray(one, float) - np.asarray(other, float)
    mean, n = float(differences.mean()), len(differences)
    if n < 2:
        return mean, None, None, None
    error = float(differences.std(ddof=1)) / n**0.5
    if error == 0:
        return mean, mean, mean, None  # no test without variance
    half = float(t.ppf(0.975, n - 1)) * error
    return mean, mean - half, mean + half, float(ttest_rel(one, other).pvalue)


def _items(
    pair: Collection[Measurement], folders: dict[tuple[str, str, int], Run]
) -> tuple[np.ndarray, np.ndarray] | None:
    """The column whose mean the figure is, of both models; nothing where it is no mean, or the tables are not there."""
    columns: list[np.ndarray] = []
    for m in pair:
        path = folders[m.size, m.arm, m.seed].folder / m.items
        if not m.items or not path.is_file():
            return None
        column = _column(path, m.metric)
        if column is None:
            return None
        columns.append(column)
    one, other = columns
    return (one, other) if len(one) == len(other) > 1 else None


def _column(path: Path, metric: str) -> np.ndarray | None:
    about = json.loads((pq.read_schema(path).metadata or {}).get(ABOUT, b"{}"))
    statistic = about.get("statistics", {}).get(metric, {})
    # A cluster: words of one story are not independent. Other entries: a part of the items.
    if statistic.get("kind") != "mean" or statistic.keys() != {"kind", "column"}:
        return None
    return pq.read_table(path, columns=[statistic["column"]])[0].to_numpy().astype(float)
