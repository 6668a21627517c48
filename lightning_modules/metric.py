"""One figure of an evaluation with everything needed to judge it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

import numpy as np
from scipy.stats import norm

__all__ = ["Metric", "accuracy", "wilson_interval"]


@dataclass(frozen=True)
class Metric:
    """A figure, its uncertainty, and what to hold it against.

    Args:
        name: for example `acc_sum`; a normalisation is always named.
        value: the figure.
        n: how many items it is drawn from.
        stderr: standard error over items; None where none is defined.
        ci95: lower and upper end of the 95 % interval.
        ci_method: how the interval was made.
        baselines: what costs nothing reaches, by name.
        statistic: how the figure follows from the table of items, so that two models can be compared item by item:
            `{"kind": "mean", "column": …}`, or `{"kind": "pearson", "x": …, "y": …}` with an optional `"cluster"`,
            `{"kind": "partial_pearson", …}` with `"given"` beside these, or `{"kind": "cluster_mean", "column": …,
            "cluster": …}`, `{"kind": "mean_by_group", "column": …, "group": …}`, the mean of the groups' means, or
            `{"kind": "pearson_by_fold", "x": …, "y": …, "fold": …}`. `"where": [column, value]` keeps some rows only.
            Rows in which one of its columns is NaN take no part, but in `mean` there are none.
        details: further entries of its record, for example how many items were ties.
    """

    name: str
    value: float
    n: int
    stderr: float | None = None
    ci95: tuple[float, float] | None = None
    ci_method: str = ""
    baselines: Mapping[str, float] = field(default_factory=dict)
    statistic: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


def accuracy(name: str, correct: Sequence[bool] | np.ndarray, baselines: Mapping[str, float], column: str) -> Metric:
    """Share of items that are right, with its standard error sqrt(p (1 - p) / (n - 1)) and Wilson's interval.

    Args:
        name: of the metric.
        correct: whether each item is right.
        baselines: accuracies that cost nothing, by name.
        column: of the table of items that holds `correct`.
    """
    n = len(correct)
    share = float(np.mean(correct))
    return Metric(
        name=name,
        value=share,
        n=n,
        stderr=sqrt(share * (1 - share) / (n - 1)) if n > 1 else None,
        ci95=wilson_interval(share, n),
        ci_method="Wilson",
        baselines=baselines,
        statistic={"kind": "mean", "column": column},
    )


def wilson_interval(share: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share among `n` items (Wilson, 1927)."""
    z = float(norm.ppf((1 + confidence) / 2))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)
