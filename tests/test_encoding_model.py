"""Folds are scikit-learn's, planted responses are recovered at their theoretical r, constants score exactly 0."""

import numpy as np
import pytest

from lightning_modules.encoding_model import EncodingModel, folds_of
from lightning_modules.fold_correlation import fold_correlation, resampled_fold_correlation

FOLDS_OF_TWENTY = [4, 0, 2, 4, 2, 2, 1, 3, 0, 3, 1, 3, 4, 1, 2, 4, 3, 1, 0, 0]


def test_folds_are_those_of_the_paper() -> None:
    fold = folds_of(1000)
    assert np.bincount(fold).tolist() == [200] * 5
    assert np.flatnonzero(fold == 0)[:8].tolist() == [1, 5, 8, 14, 27, 30, 31, 34]
    assert folds_of(20).tolist() == FOLDS_OF_TWENTY


def test_too_few_items_are_an_error() -> None:
    with pytest.raises(ValueError, match="at least 10 sentences"):
        folds_of(9)


@pytest.mark.parametrize("protocol", ["paper", "corrected"])
@pytest.mark.parametrize("r", [0.3, 0.8])
def test_planted_responses_are_recovered_at_their_theoretical_r(protocol: str, r: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 8))
    y = r * x.sum(axis=1) / np.sqrt(8) + np.sqrt(1 - r * r) * rng.normal(size=4000)
    targets = np.column_stack([y, rng.permutation(y)])
    encoded = EncodingModel(protocol)(x, targets)
    planted, shuffled = fold_correlation(encoded.prediction, targets, folds_of(4000))
    assert planted == pytest.approx(r, abs=0.03)
    assert shuffled == pytest.approx(0, abs=0.05)
    assert encoded.at_border == 0


@pytest.mark.parametrize("protocol", ["paper", "corrected"])
def test_features_that_are_all_the_same_score_exactly_zero(protocol: str) -> None:
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(1, 24)).astype(np.float32), 100, axis=0)
    y = rng.normal(size=(100, 3))
    encoded = EncodingModel(protocol)(x, y)
    assert fold_correlation(encoded.prediction, y, folds_of(100)).tolist() == [0, 0, 0]
    assert encoded.at_border == 0


def test_scaling_is_learnt_in_the_training_part_only() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(100, 3)), rng.normal(size=(100, 1))
    outlier = x.copy()
    item = int(np.flatnonzero(folds_of(100) == 0)[0])
    outlier[item] *= 1000
    same = (folds_of(100) == 0) & (np.arange(100) != item)
    before, after = (EncodingModel("corrected")(features, y).prediction[same] for features in (x, outlier))
    np.testing.assert_array_equal(before, after)


def test_a_penalty_at_the_border_is_noticed() -> None:
    x = np.arange(100.0)[:, None]
    assert EncodingModel("corrected")(x, x).at_border == 5


def test_r_is_the_mean_over_folds_and_its_resamples_spread_as_theory_says() -> None:
    rng = np.random.default_rng(0)
    fold = folds_of(500)
    x = rng.normal(size=(500, 2))
    y = 0.6 * x[:, 0] + 0.8 * rng.normal(size=500)
    r = fold_correlation(x, y[:, None], fold)
    assert r[0] == pytest.approx(np.mean([np.corrcoef(x[fold == f, 0], y[fold == f])[0, 1] for f in range(5)]))
    resampled = resampled_fold_correlation(x, y, fold)
    assert resampled.shape == (10_000, 2)
    np.testing.assert_allclose(resampled.mean(axis=0), r, atol=0.01)
    np.testing.assert_allclose(resampled.std(axis=0), (1 - r**2) / np.sqrt(500), rtol=0.25)


def test_a_resample_of_a_single_value_counts_as_0() -> None:
    x = np.r_[np.zeros(9), 1.0][:, None]  # a third of the resamples miss the 1
    resampled = resampled_fold_correlation(x, np.arange(10.0), np.zeros(10))[:, 0]
    assert np.mean(resampled == 0) == pytest.approx(0.9**10, abs=0.02)
    assert np.abs(resampled).max() <= 1


def test_a_constant_prediction_stays_zero_in_every_resample() -> None:
    y = np.random.default_rng(0).normal(size=100)
    assert not resampled_fold_correlation(np.full((100, 1), 3.0), y, folds_of(100)).any()
