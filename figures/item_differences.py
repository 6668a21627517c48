"""Figures of two models on the same items: paired differences, their intervals, and McNemar's test."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightning_modules.fold_correlation import CONSTANT
from lightning_modules.item_table import ItemTable
from lightning_modules.product_sums import partial_r
from lightning_modules.records import variant_of

__all__ = ["RESAMPLES", "Difference", "compare_tables"]

RESAMPLES = 10_000
AT_A_TIME = 250  # resamples whose sums exist at once


@dataclass(frozen=True)
class Difference:
    """One figure of two models on the same items.

    Args:
        task: what was evaluated.
        variant: the protocol, and what else was chosen.
        metric: name of the figure.
        steps: of the two models.
        a: figure of the first model.
        b: figure of the second.
        difference: `a - b`.
        ci95: percentiles of the difference when items, or clusters of them, are drawn again.
        n: items that count for both.
        units: what is drawn again: items, or the column that clusters them.
        only_a: items that only the first has right; None where items are not right or wrong.
        only_b: items that only the second has right.
        p_mcnemar: exact, two-sided: how likely so unequal a division of these items is between equally good models.
    """

    task: str
    variant: str
    metric: str
    steps: tuple[int, int]
    a: float
    b: float
    difference: float
    ci95: tuple[float, float] | None
    n: int
    units: str
    only_a: int | None = None
    only_b: int | None = None
    p_mcnemar: float | None = None


def compare_tables(a: ItemTable, b: ItemTable, resamples: int = RESAMPLES) -> list[Difference]:
    """Paired differences of all metrics that both tables explain.

    Args:
        a: of one model.
        b: of another.
        resamples: of the items, from which the intervals are: a multiple of 250.

    Raises:
        ValueError: if they are not of the same items, protocol and data.
    """
    _check(a, b)
    statistics = a.about["statistics"]
    return [
        _difference(name, statistics[name], a, b, resamples)
        for name in statistics
        if b.about["statistics"].get(name) == statistics[name]
    ]


def _check(a: ItemTable, b: ItemTable) -> None:
    for key in ("task", "protocol", "options"):
        if a.about.get(key) != b.about.get(key):
            raise ValueError(
                f"{a.path} is of {key} {a.about.get(key)!r}, {b.path} of {b.about.get(key)!r}: only figures of one "
                "protocol on the same items can be compared"
            )
    data = [_identity(table.about.get("data") or {}) for table in (a, b)]
    if data[0] != data[1]:
        raise ValueError(f"{a.path} and {b.path} are of different data: {data[0]} and {data[1]}")
    if not np.array_equal(a.columns["item"], b.columns["item"]):
        raise ValueError(
            f"{a.path} and {b.path} are of different items ({len(a.columns['item']):,} and {len(b.columns['item']):,})"
        )


def _identity(data: Mapping[str, Any]) -> Any:
    """What data are known by: their checksums, or else their name and revision."""
    return data.get("sha256") or (data.get("name"), data.get("revision"))


def _difference(name: str, statistic: Mapping[str, Any], a: ItemTable, b: ItemTable, resamples: int) -> Difference:
    kind = statistic["kind"]
    if kind not in _KINDS:
        raise ValueError(f"{a.path}: it is not known how to compare a figure of kind {kind!r}: {', '.join(_KINDS)}")
    tables = [table.columns for table in (a, b)]
    kept = np.ones(len(tables[0]["item"]), bool)
    if "where" in statistic:
        column, value = statistic["where"]
        kept &= tables[0][column] == value
    names = [statistic[key] for key in ("column", "x", "y") if key in statistic] + list(statistic.get("given", ()))
    for table in tables:
        kept &= np.logical_and.reduce([np.isfinite(table[column].astype(float)) for column in names])
    strata = next((tables[0][statistic[key]][kept] for key in ("group", "fold") if key in statistic), None)
    places = [np.arange(kept.sum())] if strata is None else [np.flatnonzero(strata == s) for s in np.unique(strata)]
    columns = [np.column_stack([table[column][kept].astype(float) for column in names]) for table in tables]
    if "fold" in statistic:
        columns = [_flattened(c, places) for c in columns]
    # Sums of products of all columns and 1, item by item: every figure here follows from them, and they add up.
    columns = [np.column_stack([np.ones(len(c)), c if "mean" in kind else _standard(c)]) for c in columns]
    figure = _KINDS[kind]

    def mean_over(sums: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        return np.mean([figure(first) - figure(second) for first, second in sums], axis=0)

    whole = [[c[place].T @ c[place] for c in columns] for place in places]
    values = [float(np.mean([figure(part[model]) for part in whole])) for model in (0, 1)]
    cluster = tables[0][statistic["cluster"]][kept] if "cluster" in statistic else None
    drawn = _resample(columns, places, cluster, mean_over, resamples)
    finite = np.isfinite(drawn)
    interval = tuple(map(float, np.percentile(drawn[finite], [2.5, 97.5]))) if finite.sum() > 1 else None
    steps = int(a.path.stem) if a.path.stem.isdigit() else 0, int(b.path.stem) if b.path.stem.isdigit() else 0
    return Difference(
        task=a.about["task"],
        variant=variant_of(a.about["protocol"], a.about["options"]),
        metric=name,
        steps=steps,
        a=values[0],
        b=values[1],
        difference=values[0] - values[1],
        ci95=(interval[0], interval[1]) if interval else None,
        n=int(kept.sum()),
        units=statistic.get("cluster", "item"),
        **(_mcnemar(*(table[names[0]][kept] for table in tables)) if kind == "mean" else {}),
    )


def _resample(
    columns: Sequence[np.ndarray],
    places: Sequence[np.ndarray],
    cluster: np.ndarray | None,
    figure: Callable[[Sequence[tuple[np.ndarray, np.ndarray]]], np.ndarray],
    resamples: int,
) -> np.ndarray:
    """The figure on resamples of the units, the same for both models; with a fixed seed.

    Items are drawn within their group or fold; clusters, where there are any, as a whole.
    """
    rng = np.random.default_rng(0)
    products = []  # for every stratum, of both models: (units, columns, columns)
    for place in places:
        parts = [np.einsum("ni,nj->nij", c[place], c[place]) for c in columns]
        if cluster is not None:
            _, member = np.unique(cluster[place], return_inverse=True)
            parts = [np.stack([part[member == unit].sum(axis=0) for unit in range(member.max() + 1)]) for part in parts]
        products.append(parts)
    drawn = []
    for _ in range(resamples // AT_A_TIME):
        sums = []
        for first, second in products:
            units, width, _ = first.shape
            which = rng.integers(units, size=(AT_A_TIME, units)) + units * np.arange(AT_A_TIME)[:, None]
            counts = np.bincount(which.ravel(), minlength=AT_A_TIME * units).reshape(AT_A_TIME, units).astype(float)
            both = [(counts @ part.reshape(units, -1)).reshape(-1, width, width) for part in (first, second)]
            sums.append((both[0], both[1]))
        drawn.append(figure(sums))
    return np.concatenate(drawn)


def _flattened(columns: np.ndarray, folds: Sequence[np.ndarray]) -> np.ndarray:
    """What varies so little within a fold that the evaluation counts it as constant is made so."""
    flat = columns.copy()
    for fold in folds:
        constant = columns[fold].std(axis=0) < CONSTANT
        flat[np.ix_(fold, np.flatnonzero(constant))] = columns[fold][:, constant].mean(axis=0)
    return flat


def _standard(columns: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1, which no correlation sees, so that sums of products keep their digits."""
    spread = columns.std(axis=0)
    return (columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1)


def _mcnemar(a: np.ndarray, b: np.ndarray) -> dict[str, Any]:
    """Items that only one has right, and the exact test on them (McNemar, 1947)."""
    if not all(np.isin(column, (0, 1)).all() for column in (a, b)):
        return {}
    from scipy.stats import binomtest  # takes a second to import

    a, b = a.astype(bool), b.astype(bool)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    p = float(binomtest(only_a, only_a + only_b, 0.5).pvalue) if only_a + only_b else 1.0
    return {"only_a": only_a, "only_b": only_b, "p_mcnemar": p}


def _mean(sums: np.ndarray) -> np.ndarray:
    """Mean of the first column from sums of products `(…, k, k)`."""
    return sums[..., 0, 1] / sums[..., 0, 0]


def _pearson(sums: np.ndarray) -> np.ndarray:
    """Correlation of the first two columns given the others and a constant, which here comes first."""
    order = [1, 2, 0, *range(3, sums.shape[-1])]
    return partial_r(sums[..., order, :][..., order])


def _pearson_in_fold(sums: np.ndarray) -> np.ndarray:
    """Correlation in one fold of cross-validation; constant predictions count as 0, as in `fold_correlation`."""
    return np.nan_to_num(_pearson(sums))


_KINDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": _mean,
    "cluster_mean": _mean,
    "mean_by_group": _mean,
    "pearson": _pearson,
    "partial_pearson": _pearson,
    "pearson_by_fold": _pearson_in_fold,
}
