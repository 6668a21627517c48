"""One line that tells where a run stands and when it will be done."""

import sys
import time
from datetime import timedelta
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar

from callbacks.sparse_training import SparseTraining
from callbacks.throughput import Throughput

__all__ = ["ProgressLine"]


class ProgressLine(ProgressBar):
    """Generation, step, losses, tokens per second and time left, at every log step, from rank zero.

    On a terminal the line is rewritten in place, but a validation's is left standing; in a log file every line stays.
    """

    def __init__(self) -> None:
        super().__init__()
        self.enabled = True
        self.seen = 0
        self.start: tuple[int, float] = (0, 0.0)

    def disable(self) -> None:
        """Called by Lightning on all ranks but zero."""
        self.enabled = False

    def enable(self) -> None:
        """Called by Lightning on rank zero."""
        self.enabled = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock where the run stands."""
        self.seen = trainer.global_step
        self.start = trainer.global_step, time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the line after an optimizer step that was logged."""
        if trainer.global_step != self.seen and trainer.global_step % trainer.log_every_n_steps == 0:
            self.seen = trainer.global_step
            self.write(self.line(trainer), stays=not sys.stderr.isatty())

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the line of a validation standing."""
        if trainer.state.fn == "fit":
            self.write(self.line(trainer), stays=True)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock of an evaluation."""
        self.start = 0, time.perf_counter()
        self.written = self.start[1]

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write how far an evaluation has come, a few times a minute in a log file, once a second on a terminal."""
        now, done = time.perf_counter(), batch_idx + 1
        total = trainer.num_test_batches[dataloader_idx]
        if done == total or now - self.written > (1 if sys.stderr.isatty() else 20):
            self.written = now
            left = timedelta(seconds=round((now - self.start[1]) * (total - done) / done))
            name = getattr(trainer.datamodule, "task", "test")
            self.write(
                f"{name} | batch {done:,}/{total:,} | {left} left", stays=done == total or not sys.stderr.isatty()
            )

    def line(self, trainer: L.Trainer) -> str:
        """What the line says now."""
        step = trainer.global_step
        parts = []
        wiring = SparseTraining.of(trainer)
        if wiring is not None:
            parts.append(
                " ".join(f"{key} {value}" for key, value in wiring.about().items() if key in ("generation", "arm"))
            )
        parts.append(f"step {step:,}/{trainer.max_steps:,}")
        seen = trainer.callback_metrics
        for name in ("train/loss", "validation/loss", "validation/loss_full"):
            if name in seen:
                parts.append(f"{name} {float(seen[name]):.4f}")
        speed = next((callback for callback in trainer.callbacks if isinstance(callback, Throughput)), None)
        if speed is not None and speed.tokens_per_second == speed.tokens_per_second:
            parts.append(f"{speed.tokens_per_second:,.0f} tokens/s")
        first, then = self.start
        if step > first:
            left = (trainer.max_steps - step) * (time.perf_counter() - then) / (step - first)
            parts.append(f"{timedelta(seconds=round(left))} left")
        return " | ".join(parts)

    def write(self, line: str, *, stays: bool) -> None:
        """Write to standard error."""
        if self.enabled:
            sys.stderr.write(f"\r\x1b[K{line}" if sys.stderr.isatty() else line)
            sys.stderr.write("\n" if stays else "")
            sys.stderr.flush()
