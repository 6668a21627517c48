"""Whether arms differ: paired tests, over seeds where there are several, else over the items of one seed."""

from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from figures.arms import ARMS
from figures.experiment import Experiment, last_measurements
from figures.item_differences import Difference, compare_tables
from figures.results import Measurement
from lightning_modules.item_table import read_items

__all__ = ["Comparison", "comparisons", "paired"]

NOT_COMPARED = ("density",)
RESAMPLES = 1_000  # of the items of one seed: `compare` draws more, which takes half a minute for two arms
UNITS = {"story": "items in stories"}  # by what `compare_tables` draws again


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
        low: lower end of its 95 % interval, Student's over seeds, of paired resamples over items; none for one pair.
        high: upper end.
        p: of Student's paired t-test over seeds, of McNemar's exact test over items that are right or wrong; two-sided,
            not corrected for the number of tests.
        pairs: how many.
        over: what was paired: `seeds`; of one seed `items`, or `items in stories`, where stories are drawn as a whole;
            `different items` where one arm was evaluated on other data than the other.
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
    folders = {(run.size, run.arm, run.seed): run.folder for run in experiment.runs}
    by_items: dict[tuple[Path, Path], dict[str, Difference] | None] = {}  # a pair of tables is read once
    found = []
    for (size, task, variant, metric), arms in by_figure.items():
        for one, other in combinations([arm for arm in ARMS if arm in arms], 2):
            a, b = arms[one], arms[other]
            seeds = [seed for seed in sorted(a.keys() & b.keys()) if a[seed].step == b[seed].step]
            if not seeds:
                continue
            about = (size, task, variant, metric, one, other)
            row = paired(np.array([a[s].value for s in seeds]), np.array([b[s].value for s in seeds]))
            single = Comparison(*about, *row, len(seeds), "seeds")
            if len(seeds) == 1 and a[seeds[0]].items and b[seeds[0]].items:
                first, second = (folders[size, arm, seeds[0]] / m[seeds[0]].items for arm, m in ((one, a), (other, b)))
                if (first, second) not in by_items:
                    by_items[first, second] = _differences(first, second)
                single = _over_items(single, by_items[first, second])
            found.append(single)
    return found


def _differences(one: Path, other: Path) -> dict[str, Difference] | None:
    """Differences by metric where both tables are there; None where they are not of the same items."""
    if not (one.is_file() and other.is_file()):
        return {}
    try:
        return {entry.metric: entry for entry in compare_tables(read_items(one), read_items(other), RESAMPLES)}
    except ValueError:
        return None


def _over_items(single: Comparison, by_metric: dict[str, Difference] | None) -> Comparison:
    """The comparison of one seed with what its items say, if they say anything."""
    if by_metric is None:
        return single._replace(over="different items")
    entry = by_metric.get(single.metric)
    if entry is None:
        return single
    low, high = entry.ci95 or (None, None)
    return single._replace(low=low, high=high, p=entry.p_mcnemar, pairs=entry.n, over=UNITS.get(entry.units, "items"))


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
