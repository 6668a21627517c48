"""How well the mean over people can be predicted at all, given how much people differ (Allen et al., 2022)."""

from typing import NamedTuple

import numpy as np

__all__ = ["Ceiling", "noise_ceiling"]

RESAMPLES = 1000


class Ceiling(NamedTuple):
    """Largest Pearson's r with the mean over people that a perfect model of the signal would reach.

    Args:
        value: the ceiling.
        stderr: standard deviation over resamples of items; None if it was published without.
    """

    value: float
    stderr: float | None


def noise_ceiling(responses: np.ndarray) -> Ceiling:
    """Noise ceiling of the NSD data set, with estimated variances, as Tuckute et al. (2024) use it.

    sd_noise^2 = mean over items of the variance across people; sd_signal^2 = variance over items of the mean over
    people, less sd_noise^2 / people, and at least 0; ncsnr = sd_signal / sd_noise;
    ceiling = sqrt(ncsnr^2 / (ncsnr^2 + 1 / people)). Where people miss items, 1 / people is its mean over items.

    Args:
        responses: NaN where a person has none, shape `(items, people)`.

    Raises:
        ValueError: if no item has responses of two people.
    """
    if not (np.isfinite(responses).sum(axis=1) > 1).any():
        raise ValueError("a noise ceiling needs items to which two people or more responded")
    people = np.isfinite(responses).sum(axis=1)
    variance = np.full(len(responses), np.nan)  # across people; a single response has none
    variance[people > 1] = np.nanvar(responses[people > 1], axis=1, ddof=1)
    items = np.column_stack([np.nanmean(responses, axis=1), variance, 1 / people])
    rng = np.random.default_rng(0)
    drawn = [_ceiling(items[rng.integers(len(items), size=len(items))]) for _ in range(RESAMPLES)]
    return Ceiling(_ceiling(items), float(np.std(drawn)))


def _ceiling(items: np.ndarray) -> float:
    """From each item's mean, variance across people, and 1 / people."""
    mean, variance, per_person = items.T
    share, noise = float(per_person.mean()), float(np.nanmean(variance))
    signal = max(0.0, float(np.var(mean, ddof=1)) - noise * share)
    return float(np.sqrt(signal / (signal + noise * share))) if signal > 0 else 0.0
