"""A mean over tokens, not over batches."""

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["TokenMean"]


class TokenMean(Metric):
    """Mean weighted by tokens over all batches and ranks, in float64, without reading from the device on the way.

    torchmetrics 1.9's MeanMetric ignores its weights under `nan_strategy="disable"` and synchronises under the others.
    """

    full_state_update = False
    total: Tensor
    tokens: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("tokens", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, mean: Tensor, tokens: int) -> None:
        """Add a batch by its mean and number of tokens."""
        self.total += mean.detach().double() * tokens
        self.tokens += tokens

    def compute(self) -> Tensor:
        """The mean so far, shape `()`."""
        return self.total / self.tokens
