"""Ridge regression equals scikit-learn's, penalty by penalty chosen for each target."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV

from lightning_modules.ridge import fit_ridge

ALPHAS = np.logspace(-3, 8, 45)


def data(n: int, features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n + 10, features)) * np.exp(rng.normal(size=features)) + 3
    weak, strong = x[:, :3].sum(axis=1) + 20 * rng.normal(size=n + 10), x[:, :3].sum(axis=1)
    return x[:n], np.column_stack([weak, strong + 0.1 * rng.normal(size=n + 10)])[:n], x[n:]


@pytest.mark.parametrize(("n", "features"), [(60, 20), (60, 60), (40, 90)])
def test_it_equals_scikit_learn(n: int, features: int) -> None:
    x, y, new = data(n, features)
    fit, reference = fit_ridge(x, y, ALPHAS), RidgeCV(ALPHAS, alpha_per_target=True).fit(x, y)
    np.testing.assert_allclose(fit.alpha, reference.alpha_)
    assert fit.alpha[0] != fit.alpha[1]
    np.testing.assert_allclose(fit.error, -reference.best_score_, rtol=1e-6)
    np.testing.assert_allclose(fit.predict(new), reference.predict(new), rtol=1e-6)


@pytest.mark.parametrize(("n", "features"), [(30, 5), (12, 30)])
def test_the_error_is_that_of_leaving_each_item_out(n: int, features: int) -> None:
    x, y, _ = data(n, features)
    errors = [
        (Ridge(10.0).fit(np.delete(x, i, 0), np.delete(y[:, 0], i)).predict(x[i : i + 1])[0] - y[i, 0]) ** 2
        for i in range(n)
    ]
    assert fit_ridge(x, y[:, :1], np.array([10.0])).error[0] == pytest.approx(np.mean(errors))


@pytest.mark.parametrize(("n", "features"), [(60, 20), (20, 60)])
def test_the_smallest_penalties_tend_to_least_squares(n: int, features: int) -> None:
    x, y, new = data(n, features)
    least = np.linalg.lstsq(x - x.mean(axis=0), y - y.mean(axis=0))[0]
    fit = fit_ridge(x, y, np.array([1e-30]))
    np.testing.assert_allclose(fit.predict(new), (new - x.mean(axis=0)) @ least + y.mean(axis=0), rtol=1e-6)
    assert np.isfinite(fit.error).all()


def test_constant_features_predict_the_mean() -> None:
    y = np.arange(10.0)[:, None]
    fit = fit_ridge(np.full((10, 4), 0.1), y, np.logspace(-30, 29, 60))
    assert np.all(fit.predict(np.full((3, 4), 0.1)) == 4.5)


def test_a_penalty_of_zero_is_an_error() -> None:
    with pytest.raises(ValueError, match="above 0"):
        fit_ridge(np.ones((3, 1)), np.ones((3, 1)), np.array([0.0, 1.0]))
