"""A callback that checks, at every optimizer step, that what does not exist is exactly zero."""

from pathlib import Path
from typing import Any

import lightning as L

from callbacks.sparse_training import SparseTraining

__all__ = ["ZeroProbe"]


class ZeroProbe(L.Callback):
    """Writes the number of steps at which weights were absent, and of those at which all of theirs was zero.

    Args:
        file: where the two numbers go, at the end.
    """

    def __init__(self, file: str) -> None:
        self.file = Path(file)
        self.sparse_steps = self.zero_steps = 0
        self.seen = 0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        wiring = next(callback for callback in trainer.callbacks if isinstance(callback, SparseTraining))
        if trainer.global_step == self.seen:  # inside an accumulation window
            return
        self.seen = trainer.global_step
        if not wiring.masks:
            return
        state = trainer.optimizers[0].state
        largest = 0.0
        for weight, mask in zip(wiring.weights, wiring.masks, strict=True):
            absent = mask == 0
            assert absent.any()
            for tensor in (weight, weight.grad, state[weight]["exp_avg"], state[weight]["exp_avg_sq"]):
                largest = max(largest, float(tensor.detach()[absent].abs().max()))
        self.sparse_steps += 1
        self.zero_steps += largest == 0.0

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            self.file.write_text(f"{self.sparse_steps} {self.zero_steps}")
