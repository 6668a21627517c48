"""TensorBoard, one run per generation, training's curves against three axes."""

import time
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.loggers.logger import DummyExperiment, rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard.summary import hparams

from callbacks.event_files import cut_events, date_before

__all__ = ["RunLogger"]

METRICS = ("validation/loss", "validation/loss_full")  # columns of TensorBoard's table of hyper-parameters
CURVES = ("train/", "validation/")  # what is looked at against other axes, too
WITHIN, BY_TOKENS = "within_generation/", "versus_tokens/"


class RunLogger(TensorBoardLogger):
    """Writes each scalar at the optimizer steps since generation 0, and losses against two more axes.

    What is under `train/` and `validation/` stands again as `within_generation/…` at the steps of its own generation
    (1 to S), so that generations overlay, and as `versus_tokens/…` at the tokens read.

    Args:
        folder: where the runs lie; a generation's is `generation_<g>` in it.
        steps_per_generation: optimizer steps S of a generation.
        tokens_per_step: tokens of a global batch.
        single: one run only, in `folder` itself, as for an inner loop.
        params: hyper-parameters besides those of model and data.
    """

    def __init__(
        self,
        folder: str,
        *,
        steps_per_generation: int,
        tokens_per_step: int,
        single: bool = False,
        params: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(save_dir=folder, name="", version="", default_hp_metric=False)
        self.steps_per_generation = steps_per_generation
        self.tokens_per_step = tokens_per_step
        self.single = single
        self.params = dict(params or {})
        self._version: str = ""
        self._experiment: Any = None  # no writer before the first point
        self._opened = False

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer of the open run; none before the first point, though Lightning asks for one at the start."""
        return super().experiment if self._opened else DummyExperiment()

    @rank_zero_only
    def log_hyperparams(self, params: Any, metrics: Any = None, step: int | None = None) -> None:
        """Hold the hyper-parameters until it is known which generation's run they belong to."""
        self.params |= {name: value for name, value in dict(params).items() if not name.startswith("_")}

    @rank_zero_only
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Write scalars at `step`, in the run of its generation."""
        step = step or 0
        generation = max(step - 1, 0) // self.steps_per_generation
        self.open(generation)
        for name, value in metrics.items():
            self.experiment.add_scalar(name, value, step)
            if name.startswith(CURVES):
                self.experiment.add_scalar(WITHIN + name, value, step - generation * self.steps_per_generation)
                self.experiment.add_scalar(BY_TOKENS + name, value, step * self.tokens_per_step)

    def open(self, generation: int) -> None:
        """Make the run of `generation` the one that is written to."""
        version = "" if self.single else f"generation_{generation}"
        if self._experiment is not None and version == self._version:
            return
        if self._experiment is not None:
            self._experiment.close()
            self._experiment = None
        self._version = version
        self._opened = True
        plain = {name: v if isinstance(v, bool | int | float) else str(v) for name, v in self.params.items()}
        if plain:  # Lightning 2.6 writes them together with a metric only
            experiment, session, _ = hparams(plain, dict.fromkeys(METRICS, 0.0))
            for summary in (experiment, session):
                self.experiment._get_file_writer().add_summary(summary)

    @rank_zero_only
    def save(self) -> None:
        """Bring what was logged onto the disk."""
        if self._experiment is not None:
            self._experiment.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the event file."""
        if self._experiment is not None:
            self._experiment.close()
            self._experiment = None

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """Forget every point after `step`: the run goes on from there and will log them again."""
        for folder in [path for path in Path(self.save_dir).glob("*") if path.is_dir()] + [Path(self.save_dir)]:
            number = folder.name.removeprefix("generation_")
            offset = int(number) * self.steps_per_generation if number.isdigit() else 0

            def keep(tag: str, at: int, offset: int = offset) -> bool:
                if tag.startswith(WITHIN):
                    return offset + at <= step
                if tag.startswith(BY_TOKENS):
                    return at <= step * self.tokens_per_step
                return at <= step

            cut_events(folder, keep)
            date_before(folder, int(time.time()))
