"""A callback that interrupts a run at a chosen point, as a cluster would."""

import os
import signal
from typing import Any, Literal

import lightning as L

__all__ = ["InterruptedError_", "Interruption"]


class InterruptedError_(Exception):
    """Stands for whatever ends a process between two lines of code."""


class Interruption(L.Callback):
    """At optimizer step `step` and micro-batch `micro_batch` within it, does `what`.

    Args:
        step: optimizer steps done before.
        micro_batch: of the following optimizer step, from 0.
        what: `crash` raises, `kill` sends this process SIGKILL, `ask` sends it SIGUSR1.
        at: the hook in which it happens.
        rank: of the process that it happens to.
    """

    def __init__(
        self,
        step: int,
        micro_batch: int = 0,
        what: Literal["crash", "kill", "ask"] = "crash",
        at: Literal["batch_start", "batch_end", "validation_end"] = "batch_start",
        rank: int = 0,
    ) -> None:
        self.step, self.micro_batch, self.what, self.at, self.rank = step, micro_batch, what, at, rank

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self.at == "batch_start" and batch_idx % trainer.accumulate_grad_batches == self.micro_batch:
            self.strike(trainer)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.at == "batch_end":
            self.strike(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.at == "validation_end":
            self.strike(trainer)

    def strike(self, trainer: L.Trainer) -> None:
        if trainer.global_step != self.step or trainer.global_rank != self.rank:
            return
        if self.what == "crash":
            raise InterruptedError_
        os.kill(os.getpid(), signal.SIGKILL if self.what == "kill" else signal.SIGUSR1)
