"""Pearson's r within each fold of cross-validation, averaged over folds; and how far it varies with the items."""

import numpy as np

__all__ = ["CONSTANT", "fold_correlation", "resampled_fold_correlation"]

CONSTANT = 1e-7  # standard deviation of predictions below which r counts as 0, as in the authors' code
RESAMPLES = 10_000


def fold_correlation(x: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Mean over folds of Pearson's r between the columns of `x` and `y`; 0 in a fold whose predictions are constant.

    Args:
        x: predictions, shape `(items, columns)`.
        y: what they predict, shape `(items, columns)` or `(items, 1)`.
        fold: number of each item's fold, shape `(items,)`.

    Returns:
        Shape `(columns,)`.
    """
    return np.mean([_correlation(x[fold == f], y[fold == f]) for f in np.unique(fold)], axis=0)


def resampled_fold_correlation(x: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """The same for 10,000 resamples of the items of each fold, with a fixed seed. The regressions are not refitted.

    Args:
        x: predictions, shape `(items, columns)`.
        y: what they predict, shape `(items,)`.
        fold: number of each item's fold, shape `(items,)`.

    Returns:
        Shape `(resamples, columns)`.
    """
    rng = np.random.default_rng(0)
    total = np.zeros((RESAMPLES, x.shape[1]))
    folds = np.unique(fold)
    for f in folds:
        z, t = (_standard(values[fold == f]) for values in (x, y[:, None]))
        n = len(t)
        drawn = rng.integers(n, size=(RESAMPLES, n)) + n * np.arange(RESAMPLES)[:, None]
        weight = np.bincount(drawn.ravel(), minlength=RESAMPLES * n).reshape(RESAMPLES, n) / n
        mean, mean_t = weight @ z, weight @ t
        across = weight @ (z * t) - mean * mean_t
        variance, variance_t = weight @ z**2 - mean**2, weight @ t**2 - mean_t**2
        varies = (variance > CONSTANT) & (variance_t > CONSTANT)  # else the resample has drawn but one value
        scale = np.sqrt(np.where(varies, variance * variance_t, 1))
        total += np.where(varies, across / scale, 0)
    return total / len(folds)


def _correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (_standard(x) * _standard(y)).mean(axis=0)


def _standard(values: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and variance 1; 0 where nothing varies."""
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0)
    return np.where(spread > CONSTANT, centred / np.where(spread > CONSTANT, spread, 1), 0)
