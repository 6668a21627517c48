"""Units that respond more to sentences than to lists of non-words (AlKhamissi et al., 2025; Fedorenko et al., 2010)."""

from typing import NamedTuple

import numpy as np
from scipy.stats import false_discovery_control, ttest_ind_from_stats

from datamodules.language_localizer import Activation

__all__ = ["SHARES", "Contrast", "contrast", "random_units", "top_units"]

SHARES = {"1pct": 0.01, "10pct": 0.10}  # of all units: 92 and 921 of 12 x 768


class Contrast(NamedTuple):
    """Welch's t-test of every unit, sentences against non-words; NaN for a unit that never varies.

    Args:
        t: above 0 where sentences make the larger activation, shape `(units,)`.
        p: two-sided, adjusted for the number of units (Benjamini & Hochberg, 1995), shape `(units,)`.
    """

    t: np.ndarray
    p: np.ndarray


def contrast(states: np.ndarray, is_sentence: np.ndarray, activation: Activation) -> Contrast:
    """Test every unit.

    Args:
        states: activations, shape `(stimuli, units)`.
        is_sentence: bool, shape `(stimuli,)`.
        activation: `absolute` compares magnitudes, `signed` values.
    """
    states = np.abs(states, dtype=np.float64) if activation == "absolute" else states.astype(np.float64)
    groups = states[is_sentence], states[~is_sentence]
    means = [group.mean(axis=0) for group in groups]
    spreads = [np.where(np.ptp(group, axis=0) > 0, group.std(axis=0, ddof=1), 0) for group in groups]
    alive = (spreads[0] > 0) | (spreads[1] > 0)
    t, p = np.full(states.shape[1], np.nan), np.full(states.shape[1], np.nan)
    if alive.any():
        t[alive], raw = ttest_ind_from_stats(
            means[0][alive],
            spreads[0][alive],
            len(groups[0]),
            means[1][alive],
            spreads[1][alive],
            len(groups[1]),
            equal_var=False,
        )
        p[alive] = false_discovery_control(raw)
    return Contrast(t, p)


def top_units(t: np.ndarray, share: float) -> np.ndarray:
    """The units of the largest t, exactly int(share * units) of them and at least one; the first of equals.

    Args:
        t: NaN, which counts as the least, for units that never vary; shape `(units,)`.
        share: of all units.

    Returns:
        Numbers of the units in ascending order, int64.
    """
    k = max(1, int(share * len(t)))
    order = np.argsort(-np.where(np.isnan(t), -np.inf, t), kind="stable")
    return np.sort(order[:k])


def random_units(units: int, k: int, seed: int) -> np.ndarray:
    """As many units drawn at random, in ascending order: the control for `top_units`."""
    return np.sort(np.random.default_rng(seed).choice(units, size=k, replace=False))
