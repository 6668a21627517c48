"""Predicting brain responses to sentences from activations: ridge regression under five-fold cross-validation."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from lightning_modules.ridge import fit_ridge

__all__ = ["Encoded", "EncodingModel", "folds_of"]

FOLDS = 5
ALPHAS = {  # penalties, by protocol
    "paper": np.logspace(-30, 29, 60),
    "corrected": np.logspace(-3, 8, 45),
}


@dataclass(frozen=True)
class Encoded:
    """Predictions for items that took no part in the regression, and how it went in each fold.

    Args:
        prediction: shape `(items, targets)`.
        alpha: penalty chosen for the first target, shape `(folds,)`.
        error: mean squared leave-one-out error of the first target in the training part of each fold, shape `(folds,)`.
        at_border: folds in which the first target's penalty is the smallest or largest there is, though its
            predictions are not constant.
    """

    prediction: np.ndarray
    alpha: np.ndarray
    error: np.ndarray
    at_border: int


class EncodingModel:
    """The regression of one protocol.

    Args:
        protocol: `paper` leaves the features as they are; `corrected` scales them to variance 1 in the training part.
    """

    def __init__(self, protocol: Literal["paper", "corrected"] | str) -> None:
        self.alphas = ALPHAS[protocol]
        self.scales = protocol == "corrected"

    def __call__(self, x: np.ndarray, y: np.ndarray) -> Encoded:
        """Predict every item from the four folds that it is not in.

        Args:
            x: features, shape `(items, features)`.
            y: targets, shape `(items, targets)`; each has a penalty of its own.
        """
        x = x.astype(np.float64)
        fold = folds_of(len(x))
        prediction = np.empty(y.shape)
        alpha, error, at_border = np.empty(FOLDS), np.empty(FOLDS), 0
        for f in range(FOLDS):
            train, test = x[fold != f], x[fold == f]
            if self.scales:
                scaler = StandardScaler().fit(train)
                train, test = scaler.transform(train), scaler.transform(test)
            with threadpool_limits(1, user_api="blas"):  # on cores that are shared, several threads mostly wait
                fit = fit_ridge(train, y[fold != f], self.alphas)
            prediction[fold == f] = fit.predict(test)
            alpha[f], error[f] = fit.alpha[0], fit.error[0]
            varies = np.ptp(prediction[fold == f, 0]) > 0
            at_border += bool(varies and fit.alpha[0] in (self.alphas[0], self.alphas[-1]))
        return Encoded(prediction, alpha, error, at_border)


def folds_of(items: int) -> np.ndarray:
    """Number of the fold in which each item is tested, int64, shape `(items,)`: KFold(5, shuffle=True, random_state=0).

    Raises:
        ValueError: if there are fewer than ten items.
    """
    if items < 2 * FOLDS:
        raise ValueError(f"{FOLDS} folds need at least {2 * FOLDS} sentences, found {items}")
    fold = np.empty(items, dtype=np.int64)
    for number, (_, test) in enumerate(KFold(FOLDS, shuffle=True, random_state=0).split(np.empty(items))):
        fold[test] = number
    return fold
