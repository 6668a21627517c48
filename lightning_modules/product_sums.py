"""Correlations from sums of products of columns: these add up over items, so that resamples cost next to nothing."""

from collections.abc import Sequence

import numpy as np

__all__ = ["TINY", "partial_r", "residual"]

TINY = 1e-9  # share of a variance below which nothing is left but rounding


def residual(products: np.ndarray, first: int, given: Sequence[int] | range) -> np.ndarray:
    """Products of the first columns after linear regression on the given ones: A - B C^+ B'.

    Args:
        products: of all columns with all columns, summed over items, shape `(..., columns, columns)`.
        first: how many columns are regressed.
        given: numbers of the columns that they are regressed on.

    Returns:
        Shape `(..., first, first)`.
    """
    given = list(given)
    across = products[..., :first, given]
    inverse = np.linalg.pinv(products[..., given, :][..., given], rcond=TINY, hermitian=True)
    return products[..., :first, :first] - across @ inverse @ np.swapaxes(across, -1, -2)


def partial_r(products: np.ndarray) -> np.ndarray:
    """Pearson's r of what is left of two columns after linear regression on the others, one of which is constant.

    0 where the others say all about one of the two; NaN where one does not vary at all.

    Args:
        products: of the columns x, y, 1 and any controls, standardised, shape `(..., columns, columns)`.

    Returns:
        Shape `(...)`.
    """
    total, rest = residual(products, 2, [2]), residual(products, 2, range(2, products.shape[-1]))
    variances, left = (np.diagonal(matrix, axis1=-2, axis2=-1) for matrix in (total, rest))
    known = (left > TINY * variances).all(axis=-1)
    scale = np.sqrt(np.where(known, left.clip(0).prod(axis=-1), 1))
    r = np.where(known, rest[..., 0, 1] / scale, 0.0)
    return np.where((variances > TINY).all(axis=-1), r, np.nan)
