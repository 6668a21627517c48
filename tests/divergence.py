"""A callback that makes a run diverge."""

from typing import Any

import lightning as L
import torch

__all__ = ["Divergence"]


class Divergence(L.Callback):
    """Makes one weight infinite before the optimizer step that follows `step`.

    Args:
        step: optimizer steps done before.
    """

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.step:
            with torch.no_grad():
                next(pl_module.net.parameters())[0, 0] = float("inf")
