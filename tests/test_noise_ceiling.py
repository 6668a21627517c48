"""The noise ceiling of simulated people is the one their signal and noise imply."""

import numpy as np
import pytest

from lightning_modules.noise_ceiling import noise_ceiling


@pytest.mark.parametrize("ratio", [0.3016, 1.0])
def test_a_known_signal_is_recovered(ratio: float) -> None:
    rng = np.random.default_rng(0)
    responses = ratio * rng.normal(size=(5_000, 1)) + rng.normal(size=(5_000, 5))
    expected = np.sqrt(ratio**2 / (ratio**2 + 1 / 5))
    ceiling = noise_ceiling(responses)
    assert ceiling.value == pytest.approx(expected, abs=0.02)
    assert ceiling.stderr == pytest.approx(0, abs=0.02)
    signal = np.corrcoef(responses.mean(axis=1), responses.mean(axis=1) - responses[:, 0] / 5)[0, 1]
    assert signal > ceiling.value  # what leaves people out of the mean is no ceiling


def test_the_published_figures_give_the_published_ceiling() -> None:
    rng = np.random.default_rng(0)
    responses = 0.1880295 * rng.normal(size=(10_000, 1)) + 0.6234001 * rng.normal(size=(10_000, 5))
    assert noise_ceiling(responses).value == pytest.approx(0.55915, abs=0.01)


def test_no_signal_has_ceiling_zero() -> None:
    responses = np.array([[1.0, -1.0], [-1.0, 1.0], [2.0, -2.0]])
    assert noise_ceiling(responses).value == 0


def test_missing_responses_count_as_fewer_people() -> None:
    rng = np.random.default_rng(0)
    responses = rng.normal(size=(5_000, 1)) + rng.normal(size=(5_000, 5))
    responses[:2_500, 1:3] = np.nan
    assert noise_ceiling(responses).value == pytest.approx(np.sqrt(1 / (1 + (1 / 3 + 1 / 5) / 2)), abs=0.02)


def test_single_responses_have_no_ceiling() -> None:
    with pytest.raises(ValueError, match="two people"):
        noise_ceiling(np.array([[1.0, np.nan], [np.nan, 2.0]]))
