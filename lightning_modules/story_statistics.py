"""Correlations and regressions over words, with intervals from drawing whole stories.

Words of a story are not independent of each other: resampling words would make every interval too narrow. All
statistics here follow from sums of products within stories, which are computed once and added up for each resample.
"""

from collections.abc import Callable
from math import sqrt
from typing import NamedTuple

import numpy as np
from scipy.stats import bootstrap
from sklearn.model_selection import GroupKFold

from lightning_modules.product_sums import TINY, partial_r, residual

__all__ = ["Estimate", "correlation", "explained_variance_gain", "held_out_gain", "mean", "partial_correlation"]

RESAMPLES = 10_000


class Estimate(NamedTuple):
    """A statistic and how far it would vary with other stories.

    Args:
        value: on all words.
        stderr: standard deviation over resamples of stories; None for a single story.
        ci95: 2.5 % and 97.5 % percentiles over resamples.
    """

    value: float
    stderr: float | None
    ci95: tuple[float, float] | None


def correlation(x: np.ndarray, y: np.ndarray, story: np.ndarray) -> Estimate:
    """Pearson's r over the words of all stories together; NaN where one of the two does not vary.

    Args:
        x: shape `(words,)`.
        y: shape `(words,)`.
        story: number of each word's story, shape `(words,)`.
    """
    return partial_correlation(x, y, np.empty((len(x), 0)), story)


def partial_correlation(x: np.ndarray, y: np.ndarray, given: np.ndarray, story: np.ndarray) -> Estimate:
    """Pearson's r of what is left of `x` and `y` after linear regression on `given` and a constant.

    0 where `given` says all about `x` or `y`; NaN where one of the two does not vary at all.

    Args:
        x: shape `(words,)`.
        y: shape `(words,)`.
        given: controls, shape `(words, controls)`.
        story: number of each word's story, shape `(words,)`.
    """
    columns = np.column_stack([_standard(x), _standard(y), np.ones(len(x)), *map(_standard, given.T)])

    return _estimate(columns, story, partial_r)


def explained_variance_gain(base: np.ndarray, added: np.ndarray, y: np.ndarray, story: np.ndarray) -> Estimate:
    """How much larger the share of the variance of `y` is that a linear regression explains, with more predictors.

    Args:
        base: predictors of the smaller regression, shape `(words, predictors)`.
        added: further ones of the larger, shape `(words, predictors)`.
        y: shape `(words,)`.
        story: number of each word's story, shape `(words,)`.
    """
    columns = np.column_stack([_standard(y), np.ones(len(y)), *map(_standard, [*base.T, *added.T])])
    smaller = range(1, 2 + base.shape[1])

    def statistic(products: np.ndarray) -> np.ndarray:
        variance, without, full = (
            residual(products, 1, given)[..., 0, 0] for given in ([1], smaller, range(1, columns.shape[1]))
        )
        return (without - full) / variance

    return _estimate(columns, story, statistic)


def mean(x: np.ndarray, story: np.ndarray) -> Estimate:
    """Mean over the words of all stories together.

    Args:
        x: shape `(words,)`.
        story: number of each word's story, shape `(words,)`.
    """
    sums = np.column_stack([x, np.ones(len(x))])
    return _estimate(sums, story, lambda products: products[..., 0, 1] / products[..., 1, 1])


def held_out_gain(
    base: np.ndarray, added: np.ndarray, y: np.ndarray, story: np.ndarray, *, folds: int = 10
) -> np.ndarray:
    """Gain in log-likelihood of each word, in nats, when `added` predictors join a linear regression on `base`.

    Each word is predicted from other stories alone. Its likelihood is that of a normal distribution around the
    prediction, with the variance of the residuals in training (Wilcox et al., 2020; Oh & Schuler, 2023).

    Args:
        base: predictors of the smaller regression, shape `(words, predictors)`.
        added: further ones of the larger, shape `(words, predictors)`.
        y: shape `(words,)`.
        story: number of each word's story, shape `(words,)`.
        folds: into which the stories are divided; at most one a story.

    Returns:
        Shape `(words,)`.

    Raises:
        ValueError: if there is but one story.
    """
    stories = len(np.unique(story))
    if stories < 2:
        raise ValueError("a regression tested on held-out stories needs two stories or more, found 1")
    gain = np.empty(len(y))
    full = np.column_stack([base, added])
    for train, test in GroupKFold(min(folds, stories)).split(base, y, story):
        with_added, without = (_log_likelihood(x[train], y[train], x[test], y[test]) for x in (full, base))
        gain[test] = with_added - without
    return gain


def _log_likelihood(x: np.ndarray, y: np.ndarray, new_x: np.ndarray, new_y: np.ndarray) -> np.ndarray:
    centre, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread > 0, spread, 1)
    design, new_design = (np.column_stack([np.ones(len(z)), (z - centre) / spread]) for z in (x, new_x))
    weights = np.linalg.lstsq(design, y, rcond=sqrt(TINY))[0]  # predictors that differ by rounding count once
    variance = np.mean((y - design @ weights) ** 2)
    return -0.5 * (np.log(2 * np.pi * variance) + (new_y - new_design @ weights) ** 2 / variance)


def _standard(values: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1, so that sums of products keep their digits; 0 throughout where nothing varies."""
    centred = values - values.mean()
    spread = centred.std()
    return centred / spread if spread > TINY * np.abs(values).max() else np.zeros(len(values))


def _estimate(columns: np.ndarray, story: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> Estimate:
    """A statistic of the columns' products, on all stories and on resamples of them; with a fixed seed."""
    numbers = np.unique(story)
    products = np.stack([columns[story == number].T @ columns[story == number] for number in numbers])
    value = float(statistic(products.sum(axis=0)))
    if len(numbers) < 2 or not np.isfinite(value):
        return Estimate(value, None, None)

    def of_resample(drawn: np.ndarray, axis: int) -> np.ndarray:
        return statistic(products[np.moveaxis(drawn, axis, -1)].sum(axis=-3))

    result = bootstrap(
        (np.arange(len(numbers)),),
        of_resample,
        n_resamples=RESAMPLES,
        batch=1000,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    low, high = result.confidence_interval
    return Estimate(value, float(result.standard_error), (float(low), float(high)))
