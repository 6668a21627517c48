"""How well mean reading times are known: the ceiling of what can be predicted of them."""

import numpy as np

from datamodules.reading_times_table import ReadingTimes

__all__ = ["reliability_from_errors", "split_half_reliability"]

SEEDS = range(10)


def split_half_reliability(times: np.ndarray) -> float:
    """Correlation of two such sets of means, from halves of the readers: 2 r / (1 + r), median over ten divisions.

    The ceiling of Brain-Score's `Futrell2018`, by the formula of Spearman (1910) and Brown (1910).

    Args:
        times: NaN where a reader did not read a word, shape `(words, readers)`.
    """
    read = np.isfinite(times)
    filled = np.where(read, times, 0)
    estimates = []
    for seed in SEEDS:
        order = np.random.default_rng(seed).permutation(times.shape[1])
        halves = [order[: len(order) // 2], order[len(order) // 2 :]]
        counts = [read[:, half].sum(axis=1) for half in halves]
        both = (counts[0] > 0) & (counts[1] > 0)
        first, second = (
            filled[np.ix_(both, half)].sum(axis=1) / n[both] for half, n in zip(halves, counts, strict=True)
        )
        r = np.corrcoef(first, second)[0, 1]
        estimates.append(2 * r / (1 + r))
    return float(np.median(estimates))


def reliability_from_errors(times: ReadingTimes, kept: np.ndarray) -> float:
    """1 - mean squared standard error / variance of the means: what is left of the variance without sampling error.

    The errors hold the differences between readers, so this is lower than for a fixed set of readers.

    Args:
        times: with the standard error of each word's mean.
        kept: which words, bool, shape `(words,)`.
    """
    known = kept & np.isfinite(times.error)
    return float(1 - times.error[known].mean() / times.mean[known].var())
