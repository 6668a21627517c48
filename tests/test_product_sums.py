"""Correlations from sums of products."""

import numpy as np
import pytest
from scipy.stats import pearsonr

from lightning_modules.product_sums import partial_r, residual


def products(*columns: np.ndarray) -> np.ndarray:
    """Of x, y, 1 and controls, each of mean 0 and variance 1 but for those that do not vary."""
    centred = [column - column.mean() for column in columns]
    x, y, *controls = [column / (column.std() or 1) for column in centred]
    table = np.column_stack([x, y, np.ones(len(x)), *controls])
    return table.T @ table


def test_without_controls_it_is_pearsons_r() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 50))
    assert partial_r(products(x, y)) == pytest.approx(pearsonr(x, y).statistic)


def test_with_controls_it_is_the_r_of_the_residuals() -> None:
    x, y, z = np.random.default_rng(1).normal(size=(3, 50))
    x, y = x + z, y - 2 * z
    left = [np.polynomial.Polynomial.fit(z, column, 1) for column in (x, y)]
    expected = pearsonr(x - left[0](z), y - left[1](z)).statistic
    assert partial_r(products(x, y, z)) == pytest.approx(expected)
    rest = residual(products(x, y, z), 2, [2, 3])
    assert rest[0, 1] / (rest[0, 0] * rest[1, 1]) ** 0.5 == pytest.approx(expected)


def test_a_column_that_the_controls_explain_has_none_and_one_that_does_not_vary_is_unknown() -> None:
    x, y = np.random.default_rng(2).normal(size=(2, 20))
    assert partial_r(products(x, y, 3 * x)) == 0
    assert np.isnan(partial_r(products(np.ones(20), y)))


def test_resamples_are_done_at_once() -> None:
    x, y = np.random.default_rng(3).normal(size=(2, 30))
    several = np.stack([products(x, y), products(y, y), products(x, -x)])
    assert partial_r(several) == pytest.approx([pearsonr(x, y).statistic, 1, -1])
