"""A callback that lets a SLURM task wait, mid-generation, for the signal that is to come."""

import os
import time
from pathlib import Path
from typing import Any

import lightning as L

from callbacks import stop_signal

__all__ = ["Hold"]


class Hold(L.Callback):
    """In its first turn, a task waits in the middle of the step after `step` until it is asked to stop.

    It says so by a file `holding_<seed>` in `folder`.

    Args:
        step: optimizer steps done before.
        folder: where the file goes.
        at_most: seconds after which it goes on unasked.
    """

    def __init__(self, step: int, folder: str, at_most: float = 120) -> None:
        self.step, self.folder, self.at_most = step, Path(folder), at_most

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        inside = (batch_idx + 1) % trainer.accumulate_grad_batches == 1
        if trainer.global_step != self.step or not inside or os.environ.get("SLURM_RESTART_COUNT"):
            return
        (self.folder / f"holding_{os.environ['SLURM_ARRAY_TASK_ID']}").touch()
        until = time.monotonic() + self.at_most
        while not stop_signal.asked() and time.monotonic() < until:
            time.sleep(0.05)
