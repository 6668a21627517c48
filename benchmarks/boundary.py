"""From the last step of one generation to the end of the first step of the next, in a run of two short ones."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import torch
from torch._dynamo.utils import counters

import cli
from benchmarks.preset import Preset
from benchmarks.progress import progress
from benchmarks.table import Table
from benchmarks.toy_corpus import options_of, write_shards

__all__ = ["Moments", "boundary", "current_moments"]

STEPS = 4  # of a generation; after two a validation, so that what it compiles is there before the boundary


class Moment(NamedTuple):
    """Seconds on the clock on the wall, and of this process."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> "Moment":
        """After a GPU has finished."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return cls(time.perf_counter(), time.process_time())

    def since(self, earlier: "Moment") -> tuple[float, float]:
        """Both differences."""
        return self.wall - earlier.wall, self.cpu - earlier.cpu


class Moments(L.Callback):
    """Notes when steps and validations begin and end, and how many graphs have been compiled by then.

    Callbacks of the command line come before those of the project: at the end of a step this one is called before
    anything is pruned or written, and at the start of one before a generation is crossed.
    """

    current: "Moments"

    def __init__(self) -> None:
        self.starts: list[Moment] = []
        self.ends: list[Moment] = []
        self.graphs: list[int] = []
        self.validations: list[tuple[Moment, Moment]] = []
        self.validation_start = Moment(0.0, 0.0)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.starts.append(Moment.now())

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        progress(f"boundary: step {trainer.global_step} of {trainer.max_steps}")
        self.ends.append(Moment.now())
        self.graphs.append(counters["stats"]["unique_graphs"])

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.validation_start = Moment.now()

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.validations.append((self.validation_start, Moment.now()))


def current_moments() -> Moments:
    """Those that are being noted, for the command line to pick up."""
    return Moments.current


def boundary(preset: Preset, folder: Path | None = None) -> Iterator[Table]:
    """One table: the parts of a generation's end, and what is compiled anew."""
    case = preset.boundary
    moments = Moments.current = Moments()
    torch.compiler.reset()
    counters.clear()
    with tempfile.TemporaryDirectory(dir=folder) as name:
        data = Path(name) / "shards"
        write_shards(data, case)
        status = cli.main(
            [
                *("fit", "--wiring", "GenerationalPruning", f"--run={name}/run", "--generations=2"),
                *(f"--steps_per_generation={STEPS}", "--data.validation_interval=2"),
                *(
                    "--model.warmup_steps=1",
                    "--model.decay_steps=1",
                    "--trainer.callbacks+=benchmarks.boundary.current_moments",
                ),
                *options_of(case, data, device=preset.device, compile=True),
            ]
        )
    if status or len(moments.ends) != 2 * STEPS:
        done = len(moments.ends)
        raise RuntimeError(f"the run of two generations ended with exit status {status} after {done} steps")
    last, begun, first = moments.ends[STEPS - 1], moments.starts[STEPS], moments.ends[STEPS]
    start, end = next((s, e) for s, e in moments.validations if last <= s <= first)
    table = Table(
        f"Boundary of two generations: {case}, compiled",
        ["", "s, wall clock", "s of CPU, or graphs"],
        note="Validation here is of 16 windows. Goals: the first step within 10 s of the last one's end, not counting "
        "validation; nothing compiled.",
    )
    table.add("a step within a generation", *moments.ends[-1].since(moments.starts[-1]))
    table.add("prune, write and describe the connectome", *start.since(last))
    table.add("validation", *end.since(start))
    table.add("checkpoint and kept weights", *begun.since(end))
    table.add("reset to the connectome, first step", *first.since(begun))
    validation, whole = end.since(start), first.since(last)
    without = [total - part for total, part in zip(whole, validation, strict=True)]
    table.add("last step's end to the first step's end, without validation", *without)
    table.add("graphs compiled before the boundary", None, moments.graphs[STEPS - 1])
    table.add("graphs compiled after it", None, moments.graphs[-1] - moments.graphs[STEPS - 1])
    yield table
