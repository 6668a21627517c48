"""Ridge regression whose penalty is chosen by leave-one-out error: one factorisation for all penalties and targets.

scikit-learn's RidgeCV gives the same, and is what the tests compare with. It works through the penalties one by one,
which for 800 sentences, 768 features and 60 penalties takes many times as long (`benchmarks/RESULTS.md`).
"""

from typing import NamedTuple

import numpy as np

__all__ = ["RidgeFit", "fit_ridge"]

SMALLEST = 1e-12  # variance of a direction, relative to the largest, below which float32 features hold only rounding


class RidgeFit(NamedTuple):
    """One regression for each target, all on the same features.

    Args:
        centre: mean of the features, shape `(features,)`.
        weights: shape `(features, targets)`.
        intercept: shape `(targets,)`.
        alpha: penalty chosen for each target, shape `(targets,)`.
        error: mean squared leave-one-out error at that penalty, shape `(targets,)`.
    """

    centre: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray
    alpha: np.ndarray
    error: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Predictions for features of shape `(items, features)`, shape `(items, targets)`."""
        return (x - self.centre) @ self.weights + self.intercept


def fit_ridge(x: np.ndarray, y: np.ndarray, alphas: np.ndarray) -> RidgeFit:
    """Minimise |y - b - X w|^2 + alpha |w|^2, with the alpha of the least leave-one-out error; the first of equals.

    With X = U diag(s) V' centred, the leave-one-out residual of item i is r_i / (1 - h_i), where r = y - U diag(d) U'y,
    h_i = 1 / n + sum_j U_ij^2 d_j and d = s^2 / (s^2 + alpha). Directions without variance are left out, so that the
    smallest alphas tend to least squares and not to noise.

    Args:
        x: features, shape `(items, features)`.
        y: shape `(items, targets)`.
        alphas: penalties, all above 0, shape `(alphas,)`.

    Raises:
        ValueError: if an alpha is not above 0.
    """
    if not np.all(alphas > 0):
        raise ValueError(f"penalties must be above 0, found {np.min(alphas)}")
    n = len(x)
    centre, intercept = x.mean(axis=0), y.mean(axis=0)
    xc, yc = x - centre, y - intercept
    u, variance = _directions(xc, floor=1e-28 * float(np.square(x).sum()))  # (n, k), (k,)
    c = u.T @ yc  # (k, targets)
    shrunk = alphas / (variance[:, None] + alphas)  # 1 - d, (k, alphas)
    # The part of y and of each item that no direction reaches; exactly nothing where directions span everything.
    spans = len(variance) == n - 1
    beyond_y = np.zeros_like(yc) if spans else yc - u @ c
    beyond = np.zeros(n) if spans else (1 - 1 / n - np.square(u).sum(axis=1)).clip(0)
    leverage = np.square(u) @ shrunk + beyond[:, None]  # 1 - h, (n, alphas)
    by_alpha = (c[:, :, None] * shrunk[:, None, :]).reshape(len(c), y.shape[1] * len(alphas))
    residual = (u @ by_alpha).reshape(n, y.shape[1], len(alphas))
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.square((residual + beyond_y[:, :, None]) / leverage[:, None, :]).mean(axis=0)  # (targets, alphas)
    best = np.where(np.isfinite(errors), errors, np.inf).argmin(axis=1)
    alpha = alphas[best]
    weights = xc.T @ (u @ (c / (variance[:, None] + alpha)))  # X'U = V s
    return RidgeFit(centre, weights, intercept, alpha, errors[np.arange(len(best)), best])


def _directions(centred: np.ndarray, floor: float) -> tuple[np.ndarray, np.ndarray]:
    """Left singular vectors and squared singular values, from the smaller of the two matrices of products."""
    n, features = centred.shape
    if features <= n:
        variance, vectors = np.linalg.eigh(centred.T @ centred)
    else:
        variance, vectors = np.linalg.eigh(centred @ centred.T)
    kept = variance > max(SMALLEST * variance[-1], floor)
    variance, vectors = variance[kept], vectors[:, kept]
    return (centred @ vectors / np.sqrt(variance) if features <= n else vectors), variance
