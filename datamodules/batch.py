"""What a DataModule hands to a model."""

from typing import NamedTuple

from torch import Tensor

__all__ = ["Batch"]


class Batch(NamedTuple):
    """Windows of tokens and the tokens that follow each.

    Args:
        tokens: ids, int64, shape `(batch, time)`.
        targets: the same moved by one, int64, shape `(batch, time)`.
        quick: counts towards the validation loss taken during training.
        full: counts towards the validation loss over the whole validation part.
    """

    tokens: Tensor
    targets: Tensor
    quick: bool = True
    full: bool = False
