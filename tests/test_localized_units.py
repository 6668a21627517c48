"""The localizer finds planted units, and selects exactly as many as asked for."""

import numpy as np
import pytest
from scipy.stats import ttest_ind

from lightning_modules.localized_units import SHARES, contrast, random_units, top_units

IS_SENTENCE = np.arange(200) % 2 == 0


def noise(units: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(200, units)).astype(np.float32)


def test_planted_units_are_found() -> None:
    states = noise(500)
    planted = [3, 77, 200, 450, 499]
    states[np.ix_(IS_SENTENCE, planted)] += 3
    found = contrast(states, IS_SENTENCE, "signed")
    assert top_units(found.t, 0.01).tolist() == planted
    assert (found.p[planted] < 1e-6).all()
    assert (np.delete(found.p, planted) < 0.05).mean() < 0.02


def test_t_is_welchs() -> None:
    states = noise(20) * np.where(IS_SENTENCE, 1, 3)[:, None]
    expected = ttest_ind(states[IS_SENTENCE].astype(float), states[~IS_SENTENCE].astype(float), equal_var=False)
    np.testing.assert_allclose(contrast(states, IS_SENTENCE, "signed").t, expected.statistic)


def test_magnitudes_and_values_differ_where_the_sign_flips() -> None:
    states = noise(10)
    states[IS_SENTENCE, 4] -= 5  # far below zero for sentences: a large magnitude, a small value
    assert top_units(contrast(states, IS_SENTENCE, "absolute").t, 0.1).tolist() == [4]
    signed = contrast(states, IS_SENTENCE, "signed").t
    assert signed[4] < -20
    assert np.argmin(signed) == 4


def test_units_that_never_vary_are_last() -> None:
    states = noise(100)
    states[:, :40] = 0
    states[:, 40:50] = 0.1
    found = contrast(states, IS_SENTENCE, "absolute")
    assert np.isnan(found.t).tolist() == np.isnan(found.p).tolist() == [True] * 50 + [False] * 50
    assert top_units(found.t, 0.5).tolist() == list(range(50, 100))
    assert np.isnan(contrast(np.zeros((200, 3)), IS_SENTENCE, "signed").t).all()


@pytest.mark.parametrize("t", [np.zeros(9216), np.full(9216, np.nan), np.r_[np.zeros(5000), np.full(4216, np.nan)]])
def test_exactly_as_many_as_asked_for_with_ties_and_dead_units(t: np.ndarray) -> None:
    assert [top_units(t, share).tolist() for share in SHARES.values()] == [list(range(92)), list(range(921))]


def test_of_equals_the_first_are_taken() -> None:
    t = np.array([1.0, 2.0, np.nan, 2.0, 2.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    assert top_units(t, 0.2).tolist() == [1, 3]


def test_random_units_are_different_ones_and_the_same_again() -> None:
    drawn = random_units(9216, 921, seed=0)
    assert len(set(drawn.tolist())) == 921
    assert drawn.tolist() == random_units(9216, 921, seed=0).tolist() != random_units(9216, 921, seed=1).tolist()
