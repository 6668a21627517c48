"""Statistics equal those of scipy and scikit-learn; planted effects are found, and intervals are those of stories."""

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.linear_model import LinearRegression

from lightning_modules.story_statistics import (
    correlation,
    explained_variance_gain,
    held_out_gain,
    mean,
    partial_correlation,
)

RNG = np.random.default_rng(0)
N = 3_000
STORY = np.repeat(np.arange(10), N // 10)
GIVEN = RNG.normal(5, 3, (N, 2))
X = GIVEN @ [1, -2] + RNG.normal(0, 1, N)
Y = 300 + 20 * X + 7 * GIVEN[:, 0] + RNG.normal(0, 40, N)


def residuals(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return y - LinearRegression().fit(x, y).predict(x)


def test_a_correlation_is_pearsons() -> None:
    found = correlation(X, Y, STORY)
    assert found.value == pytest.approx(pearsonr(X, Y).statistic, abs=1e-12)
    assert found.ci95 is not None
    assert found.ci95[0] < found.value < found.ci95[1]


def test_a_partial_correlation_is_that_of_residuals() -> None:
    expected = pearsonr(residuals(X, GIVEN), residuals(Y, GIVEN)).statistic
    assert partial_correlation(X, Y, GIVEN, STORY).value == pytest.approx(expected, abs=1e-12)


def test_a_planted_partial_correlation_is_recovered() -> None:
    theory = 20 / np.hypot(20, 40)  # of what is left of X, variance 1, in 20 X + noise of 40
    found = partial_correlation(X, Y, GIVEN, STORY)
    assert found.value == pytest.approx(theory, abs=0.04)
    assert found.ci95 is not None
    assert found.ci95[0] < theory < found.ci95[1]


def test_what_the_controls_explain_wholly_adds_nothing() -> None:
    assert partial_correlation(GIVEN @ [2, 3], Y, GIVEN, STORY).value == 0


def test_where_nothing_varies_there_is_no_correlation() -> None:
    assert np.isnan(correlation(np.full(N, 0.1), Y, STORY).value)


def test_the_interval_is_over_stories_not_words() -> None:
    """A predictor that differs between stories only is as good as ten points, however many words they have."""
    level = RNG.normal(0, 1, 10)
    y = level[STORY] + RNG.normal(0, 0.1, N)
    unrelated = RNG.normal(0, 1, 10)[STORY]
    wide = correlation(unrelated, y, STORY)
    assert wide.stderr is not None
    assert wide.stderr > 0.15
    shuffled = correlation(RNG.permutation(unrelated), y, STORY)
    assert shuffled.stderr is not None
    assert shuffled.stderr < 0.05


def test_one_story_gives_no_interval() -> None:
    assert correlation(X, Y, np.zeros(N)).ci95 is None


def test_the_gain_in_explained_variance_is_that_of_two_regressions() -> None:
    both = np.column_stack([GIVEN, X])
    expected = LinearRegression().fit(both, Y).score(both, Y) - LinearRegression().fit(GIVEN, Y).score(GIVEN, Y)
    found = explained_variance_gain(GIVEN, X[:, None], Y, STORY)
    assert found.value == pytest.approx(expected, abs=1e-10)


def test_a_mean_and_its_error() -> None:
    found = mean(Y, STORY)
    by_story = Y.reshape(10, -1).mean(axis=1)
    assert found.value == pytest.approx(Y.mean(), rel=1e-12)
    assert found.stderr == pytest.approx(by_story.std() / np.sqrt(10), rel=0.05)


def test_a_planted_gain_in_likelihood_is_recovered() -> None:
    """Noise of 40 instead of hypot(40, 20): the gain a word is the logarithm of their ratio."""
    gains = held_out_gain(GIVEN, X[:, None], Y, STORY)
    assert gains.shape == (N,)
    assert gains.mean() == pytest.approx(np.log(np.hypot(40, 20) / 40), abs=0.02)


def test_noise_gains_nothing_on_held_out_stories() -> None:
    gains = held_out_gain(GIVEN, RNG.normal(0, 1, (N, 3)), Y, STORY)
    assert -0.003 < gains.mean() < 0.0005


def test_words_are_predicted_from_other_stories_alone() -> None:
    added = np.where(STORY == 0, RNG.normal(0, 1, N), 0)[:, None]  # informative in the story that is held out
    y = GIVEN[:, 0] + 30 * added[:, 0] + RNG.normal(0, 1, N)
    gains = held_out_gain(GIVEN, added, y, STORY)
    assert gains[STORY == 0].mean() == pytest.approx(0, abs=0.01)
    assert gains[STORY != 0].mean() > 1


def test_a_single_story_cannot_be_held_out() -> None:
    with pytest.raises(ValueError, match="two stories or more"):
        held_out_gain(GIVEN, X[:, None], Y, np.zeros(N))
