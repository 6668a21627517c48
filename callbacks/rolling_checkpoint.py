"""Full checkpoints of a run, always at an optimizer-step boundary, always after the validation of that step."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from callbacks import stop_signal
from callbacks.run_folder import RunFolder
from callbacks.run_logger import RunLogger
from callbacks.sparse_training import SparseTraining

__all__ = ["RollingCheckpoint"]


class RollingCheckpoint(Checkpoint):
    """Writes `checkpoints/step_<s>.ckpt` and keeps the last few.

    A step is saved if it is a multiple of `every`, the end of a generation or of the run, or the first after a signal
    (SIGUSR1 or SIGTERM) asked to stop, with several ranks the first of those that is logged; then all ranks leave
    together with exit code 0. If that step is validated, the validation comes first, since a resumed run
    never runs the validation of the step it starts from.

    Args:
        every: optimizer steps between two checkpoints.
        keep: number of checkpoints kept.
    """

    def __init__(self, *, every: int = 1000, keep: int = 3) -> None:
        if every < 1 or keep < 1:
            raise ValueError(f"expected positive numbers, found every={every}, keep={keep}")
        self.every = every
        self.keep = keep
        self.seen = 0
        self.due = False
        self.leave = False

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note where the run stands; the trainer does not know it yet at `on_fit_start`."""
        self.seen = checkpoint["global_step"]

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refuse ranks that stand apart; keep Lightning's SIGTERM handler away; remove what killed writers have left.

        That handler ends the run without a checkpoint, and with several ranks communicates from wherever it strikes;
        and before every micro-batch the ranks would ask each other about it, which makes a GPU wait for its host.
        """
        leaders = trainer.strategy.broadcast(self.seen)
        if leaders != self.seen:
            raise RuntimeError(
                f"rank {trainer.global_rank} found the checkpoint of step {self.seen:,}, rank 0 that of {leaders:,}: "
                f"the nodes do not see the same files in {trainer.default_root_dir}; start the same command again"
            )
        stop_signal.install()
        trainer._signal_connector.register_signal_handlers = lambda: None
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None
        if trainer.is_global_zero:
            RunFolder(trainer.default_root_dir).remove_partial_checkpoints()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count from where the run stands, and cut the curves back to it: what was lost will be logged again."""
        self.seen = trainer.global_step
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.rewind(self.seen)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Leave, if the checkpoint for it was written."""
        if self.leave:
            trainer.strategy.barrier("leave")
            raise SystemExit(0)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save after an optimizer step that is due, or leave that to the end of its validation."""
        step = trainer.global_step
        if step == self.seen:  # inside an accumulation window
            return
        self.seen = step
        self.leave = self._asked_to_stop(trainer)
        self.due = self.leave or step % self.every == 0 or step == trainer.max_steps or self._generation_ends(trainer)
        if self.due and not self._validates_now(trainer):
            self.save(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save a step that is due and now validated."""
        if trainer.state.fn == "fit" and self.due:
            self.save(trainer)

    def save(self, trainer: L.Trainer) -> None:
        """Write the checkpoint on all ranks together, then remove the oldest ones."""
        self.due = False
        trainer.lightning_module.raise_if_not_finite()
        folder = RunFolder(trainer.default_root_dir)
        for logger in trainer.loggers:
            logger.save()  # what was logged up to this step must not be younger than the checkpoint
        path = folder.checkpoint(trainer.global_step)
        try:
            trainer.save_checkpoint(path, weights_only=False)
        except OSError as error:
            older = folder.newest_checkpoint()
            raise OSError(f"{error} ({f'it goes on from {older}' if older else 'from the beginning'})") from error
        if trainer.is_global_zero:
            for old in list(folder.checkpoints().values())[self.keep :]:
                old.unlink()

    def _asked_to_stop(self, trainer: L.Trainer) -> bool:
        """Whether any rank was; several ranks ask each other at log steps only, to spare the synchronisation."""
        if trainer.world_size == 1:
            return stop_signal.asked()
        if trainer.global_step % trainer.log_every_n_steps:
            return False
        return bool(trainer.strategy.reduce_boolean_decision(stop_signal.asked(), all=False))

    @staticmethod
    def _generation_ends(trainer: L.Trainer) -> bool:
        wiring = SparseTraining.of(trainer)
        return wiring is not None and trainer.global_step % wiring.steps_per_generation == 0

    @staticmethod
    def _validates_now(trainer: L.Trainer) -> bool:
        if not trainer.enable_validation:
            return False
        return trainer.global_step * trainer.accumulate_grad_batches % trainer.val_check_batch == 0
