"""The ceiling of simulated readers is the one that their noise implies."""

import numpy as np
import pytest

from datamodules.reading_times_table import ReadingTimes
from lightning_modules.reading_reliability import reliability_from_errors, split_half_reliability

WORDS, READERS = 4_000, 24


def readers(noise: float, missing: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    times = rng.normal(350, 30, (WORDS, 1)) + rng.normal(0, noise, (WORDS, READERS))
    return np.where(rng.random(times.shape) < missing, np.nan, times)


@pytest.mark.parametrize("noise", [30.0, 120.0])
def test_both_estimates_recover_the_share_of_signal(noise: float) -> None:
    times = readers(noise)
    truth = 30**2 / (30**2 + noise**2 / READERS)
    assert split_half_reliability(times) == pytest.approx(truth, abs=0.02)
    error = times.var(axis=1, ddof=1) / READERS
    table = ReadingTimes(
        np.ones(WORDS, int), np.arange(WORDS), ["a"] * WORDS, times.mean(axis=1), times.mean(axis=1), error
    )
    assert reliability_from_errors(table, np.ones(WORDS, bool)) == pytest.approx(truth, abs=0.02)


def test_a_reader_of_three_quarters_of_the_words_is_worth_as_much() -> None:
    truth = 30**2 / (30**2 + 120**2 / (0.75 * READERS))
    assert split_half_reliability(readers(120, missing=0.25)) == pytest.approx(truth, abs=0.03)


def test_readers_without_signal_have_no_reliability() -> None:
    noise = np.random.default_rng(1).normal(350, 30, (WORDS, READERS))
    assert split_half_reliability(noise) == pytest.approx(0, abs=0.08)
