"""Optimizer steps through the command line, masks and logging on, beside bare loops around the same model.

All take turns in one process, some steps each, so that what else the machine does hits all alike; ratios are formed
within a round.
"""

import gc
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import torch

import cli
from benchmarks.bare_loop import BareLoop
from benchmarks.meter import Meter, spread
from benchmarks.preset import Case, Preset, Run
from benchmarks.progress import progress
from benchmarks.table import Cell, Table
from benchmarks.toy_corpus import options_of, write_connectome, write_shards
from callbacks.throughput import flops_per_token, peak_flops

__all__ = ["Turns", "current_turns", "speed"]


class Turns(L.Callback):
    """Takes turns with bare loops inside a run, and keeps everyone's seconds. The first turn of each is warm-up.

    Args:
        loops: by name.
        own: name of the run itself.
        steps: optimizer steps of a turn.
        meter: of time and memory.
    """

    current: "Turns"

    def __init__(self, loops: dict[str, BareLoop], own: str, *, steps: int, meter: Meter) -> None:
        self.loops, self.own, self.steps, self.meter = loops, own, steps, meter
        self.seconds: dict[str, list[float]] = {name: [] for name in [*loops, own]}
        self.peaks: dict[str, int | None] = dict.fromkeys(self.seconds)
        self.start = 0.0
        self.failure = ""  # why the run ended early

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """After a turn of the run, everyone else's."""
        if trainer.global_step % self.steps:
            return
        if trainer.global_step:
            self.seconds[self.own].append(self.meter.now() - self.start)
            self.peaks[self.own] = self.meter.above_mark()
        progress(f"{self.own}: step {trainer.global_step} of {trainer.max_steps - 1}")
        if trainer.global_step + self.steps >= trainer.max_steps:  # the run's last step counts no turn
            return
        deterministic = torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(False)
        try:
            for name, loop in list(self.loops.items()):
                self.turn(name, loop)
        finally:
            torch.use_deterministic_algorithms(deterministic)
        self.meter.mark()
        self.start = self.meter.now()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Keep the reason, but not the exception, which holds the run's tensors."""
        fits = not isinstance(exception, torch.OutOfMemoryError)
        self.failure = f"{type(exception).__name__}: {exception}".replace("\n", " ") if fits else "does not fit"

    def turn(self, name: str, loop: BareLoop) -> None:
        """One turn of a bare loop. One that does not fit takes no more."""
        self.meter.mark()
        try:
            self.seconds[name].append(self.meter.seconds(lambda: loop.steps(self.steps)))
            self.peaks[name] = self.meter.above_mark()
        except torch.OutOfMemoryError:
            progress(f"{name} does not fit")
            del self.loops[name]
            self.seconds[name] = []
            loop.optimizer.zero_grad(set_to_none=True)


def current_turns() -> Turns:
    """Those that are being taken, for the command line to pick up."""
    return Turns.current


def speed(preset: Preset) -> Iterator[Table]:
    """A table for every run of every case."""
    for case, runs in preset.speed:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            shard = write_shards(folder, case)
            write_connectome(folder / "made.connectome", case)
            for index, run in enumerate(runs):
                torch.compiler.reset()  # or a second batch size would be compiled for all sizes
                yield side_by_side(case, run, preset, shard, folder / f"run_{index}")
                gc.collect()
                if preset.device == "cuda":
                    torch.cuda.empty_cache()


def side_by_side(case: Case, run: Run, preset: Preset, shard: Path, folder: Path) -> Table:
    """Train, in turn with the bare loops, and put everyone's speed into a table."""
    loops = {str(variant): BareLoop(case, variant, shard=shard, device=preset.device) for variant in run.beside}
    flops = flops_per_token(next(iter(loops.values())).model)
    turns = Turns.current = Turns(loops, str(run), steps=preset.steps, meter=Meter(preset.device))
    base, like = str(run.beside[0]), next(str(each) for each in run.beside if each.compile == run.compile)
    data, logged = shard.parents[1], max(2, preset.steps)
    words = [
        *("fit", "--wiring", "InheritConnectome", f"--wiring.connectome={data}/made.connectome"),
        *(f"--run={folder}", f"--trainer.max_steps={preset.steps * (preset.rounds + 1) + 1}"),
        *options_of(case, data, device=preset.device, compile=run.compile),
        *(f"--trainer.deterministic={str(run.deterministic).lower()}", "--trainer.limit_val_batches=0"),
        *("--checkpoint.every=1000000", f"--trainer.log_every_n_steps={logged}"),
        "--trainer.callbacks+=benchmarks.speed.current_turns",
    ]
    try:
        status = cli.main(words)
    finally:
        torch.use_deterministic_algorithms(False)
        del Turns.current  # it holds models
    if status:  # medians of fewer turns would look like those of all
        turns.seconds = {name: [] for name in turns.seconds}
    clock = "the process's CPU clock" if preset.device == "cpu" else "wall clock"
    on_gpu = preset.device == "cuda"
    columns = ["", "ms a step", "tokens/s", f"speed / {base}"]
    columns += [f"speed / {like}"] if like != base else []
    columns += ["MFU", "extra MB"] if on_gpu else []
    table = Table(
        f"Speed: {case}",
        columns,
        note=f"{preset.rounds} turns of {preset.steps} steps after one that is not counted, medians [least, most], "
        f"{clock}. In the command line masks and logging (every {logged} steps) are on; it never chunks its loss here."
        + (" Extra memory: the peak of a turn beyond what stays." if on_gpu else ""),
    )
    peak = peak_flops(torch.device(preset.device))
    counted = {name: seconds[1:] for name, seconds in turns.seconds.items()}
    for name, seconds in counted.items():
        cells: dict[str, Cell] = {"": name}
        if seconds:
            step, memory = statistics.median(seconds) / preset.steps, turns.peaks[name]
            cells |= {"ms a step": 1e3 * step, "tokens/s": case.tokens / step}
            cells |= {f"speed / {like}": spread(counted[like], seconds)} if name == turns.own else {}
            cells |= {f"speed / {base}": spread(counted[base], seconds)}
            cells |= {"MFU": f"{flops * case.tokens / step / peak:.1%}"} if peak else {}
            cells |= {"extra MB": memory / 1e6} if memory is not None else {}
        elif name == turns.own:
            cells["ms a step"] = turns.failure or f"ended with exit status {status}"
        else:
            cells["ms a step"] = "cut short" if name in turns.loops else "does not fit"
        table.add(*(cells.get(column) for column in columns))
    return table
