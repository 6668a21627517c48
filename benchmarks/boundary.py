"""From the last step of one generation to the end of the first step of the next, in a run of two short ones."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


class Moments(L.Callback):
    """Notes the wall clock at the ends of steps and validations, and how many graphs have been compiled by then.

    Callbacks of the command line come before those of the project: at the end of a step this one is called before
    anything is pruned or written.
    """

    current: "Moments"

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.graphs: list[int] = []
        self.validations: list[tuple[float, float]] = []
        self.validation_start = 0.0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        progress(f"boundary: step {trainer.global_step} of {trainer.max_steps}")
        self.steps.append(time.perf_counter())
        self.graphs.append(counters["stats"]["unique_graphs"])

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.validation_start = time.perf_counter()

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.validations.append((self.validation_start, time.perf_counter()))


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
    if status or len(moments.steps) != 2 * STEPS:
        done = len(moments.steps)
        raise RuntimeError(f"the run of two generations ended with exit status {status} after {done} steps")
    last, first = moments.steps[STEPS - 1], moments.steps[STEPS]
    start, end = next((s, e) for s, e in moments.validations if last <= s <= first)
    within = [b - a for a, b in zip(moments.steps[STEPS:-1], moments.steps[STEPS + 1 :], strict=True)]
    step = statistics.median(within)
    table = Table(
        f"Boundary of two generations: {case}, compiled",
        ["", "s, wall clock"],
        note="Validation here is of 16 windows. Goals: the first step within 10 s of the last one's end, not counting "
        "validation; nothing compiled.",
    )
    table.add("a step within a generation", step)
    table.add("prune, write and describe the connectome", start - last)
    table.add("validation", end - start)
    table.add("checkpoint, kept weights, crossing, first step", first - end)
    table.add("last step's end to the first step's end, without validation", first - last - (end - start))
    table.add("graphs compiled before the boundary", moments.graphs[STEPS - 1])
    table.add("graphs compiled after it", moments.graphs[-1] - moments.graphs[STEPS - 1])
    yield table
