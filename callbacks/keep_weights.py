"""Weights that are kept: at the end of a generation or run, and at the steps asked for."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from callbacks.run_folder import RunFolder
from callbacks.sparse_training import SparseTraining
from lightning_modules.records import add_records
from lightning_modules.weights import write_weights

__all__ = ["KeepWeights"]


class KeepWeights(Checkpoint):
    """Writes `generations/<g>.safetensors`, or an inner run's `final.safetensors`, and `snapshots/<s>.safetensors`.

    The file of a generation's end is the very last one of that generation, after its full validation and checkpoint:
    whoever finds it may believe that the generation is finished. Its validation losses go into `records.jsonl`.

    Args:
        snapshot_every: optimizer steps between two snapshots; 0 for none.
        snapshot_at: single steps to take a snapshot of.
    """

    def __init__(self, *, snapshot_every: int = 0, snapshot_at: list[int] | None = None) -> None:
        self.snapshot_every = snapshot_every
        self.snapshot_at = set(snapshot_at or [])
        self.resumed_at = 0
        self.seen = 0

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note where the run stands; the trainer does not know it yet at `on_fit_start`."""
        self.resumed_at = checkpoint["global_step"]

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write what a run that was killed right after the last checkpoint of a generation still owes."""
        wiring = SparseTraining.of(trainer)
        file = wiring.finished_file(RunFolder(trainer.default_root_dir), self.resumed_at) if wiring else None
        if file and not file.is_file() and "validation_loss_full" in pl_module.record:
            self._finish(trainer, pl_module, self.resumed_at)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count from where the run stands; the beginning itself may be asked for, or what a kill has prevented."""
        self.seen = trainer.global_step
        self._snapshot(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take a snapshot after an optimizer step that is asked for."""
        if trainer.global_step != self.seen:
            self.seen = trainer.global_step
            self._snapshot(trainer, pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the weights of a generation's end; the rolling checkpoint came just before."""
        if trainer.state.fn == "fit":
            self._finish(trainer, pl_module, trainer.global_step)

    def _finish(self, trainer: L.Trainer, pl_module: L.LightningModule, step: int) -> None:
        wiring = SparseTraining.of(trainer)
        file = wiring.finished_file(RunFolder(trainer.default_root_dir), step) if wiring else None
        if file is None or not trainer.is_global_zero:
            return
        record = pl_module.record | {"step": step}
        model = {key: value for key, value in record.items() if not key.startswith("validation")}
        losses = [
            (name, record[f"validation_{name}"]) for name in ("loss", "loss_full") if f"validation_{name}" in record
        ]
        add_records(
            RunFolder(trainer.default_root_dir).records,
            [
                {"task": "validation", "protocol": "standard", "metric": name, "value": value, "model": model}
                for name, value in losses
            ],
        )
        write_weights(file, pl_module.net, record)

    def _snapshot(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        due = self.seen in self.snapshot_at or (self.snapshot_every and self.seen % self.snapshot_every == 0)
        if not due:
            return
        pl_module.raise_if_not_finite()  # all ranks together
        if trainer.is_global_zero:
            record = {k: v for k, v in pl_module.record.items() if not k.startswith("validation")} | {"step": self.seen}
            write_weights(RunFolder(trainer.default_root_dir).snapshot(self.seen), pl_module.net, record)
