"""All benchmarks of training by one command.

    python -m benchmarks                         # every table of the preset `cpu`
    python -m benchmarks speed loss              # some of them
    python -m benchmarks --preset gpu --json results.json --append
    python -m benchmarks cost                    # docs/cost.md: what the experiment costs, computed

Tables go to standard output, progress to standard error. On a CPU: one thread, the process's CPU clock.
"""

import argparse
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as in a deterministic run, which comes last here

import torch

from benchmarks.boundary import boundary
from benchmarks.checkpoint import checkpoint
from benchmarks.cost import cost_page
from benchmarks.loader import loader
from benchmarks.loss import loss
from benchmarks.masks import masks
from benchmarks.preset import PRESETS, Preset
from benchmarks.progress import progress
from benchmarks.report import Report
from benchmarks.speed import speed
from benchmarks.step_profile import step_profile
from benchmarks.table import Table

TABLES = ("speed", "profile", "loss", "masks", "loader", "boundary", "checkpoint")  # what matters most comes first


def parser() -> argparse.ArgumentParser:
    """Options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)}; all but cost if left out")
    parser.add_argument("--preset", choices=PRESETS, default="cpu", help="tiny: does it run here? (cpu if left out)")
    parser.add_argument("--json", type=Path, default=None, help="file that takes all tables, written after each")
    parser.add_argument("--append", action="store_true", help="add a section to benchmarks/RESULTS.md")
    parser.add_argument("--folder", type=Path, default=None, help="where checkpoints go, whose disk is measured")
    parser.add_argument(
        "--tokens_per_second", type=float, default=None, help="for cost: of all GPUs, as measured for 124M"
    )
    return parser


def measured(preset: Preset, folder: Path | None) -> dict[str, Callable[[], Iterator[Table]]]:
    """What yields each kind of table."""
    return {
        "speed": partial(speed, preset),
        "profile": partial(step_profile, preset),
        "loss": partial(loss, preset),
        "masks": partial(masks, preset),
        "loader": partial(loader, preset),
        "boundary": partial(boundary, preset, folder),
        "checkpoint": partial(checkpoint, preset, folder),
    }


def main(words: list[str]) -> int:
    """Print the tables; returns the exit status, 1 if one of them could not be made."""
    options = parser().parse_args(words)
    if options.tables == ["cost"]:
        print(cost_page(options.tokens_per_second), end="")
        return 0
    unknown = set(options.tables) - set(TABLES)
    if unknown:
        return complain(f"unknown table: {', '.join(sorted(unknown))}; known: {', '.join(TABLES)}; cost, alone")
    preset = PRESETS[options.preset]
    if preset.device == "cuda" and not torch.cuda.is_available():
        return complain("--preset gpu needs a CUDA device, and there is none; --preset tiny takes its paths on a CPU")
    if preset.device == "cpu":
        torch.set_num_threads(1)
    report = Report(words, device=preset.device, file=options.json)
    failed = []
    for name in options.tables or TABLES:
        try:
            for table in measured(preset, options.folder)[name]():
                report.add(table)
        except (RuntimeError, OSError, ValueError) as error:  # the others may still be had
            failed.append(name)
            report.add(Table(f"{name}: failed", ["error"], [[f"{type(error).__name__}: {error}".replace("\n", " ")]]))
        gc.collect()
        if preset.device == "cuda":
            torch.cuda.empty_cache()
    progress("done")
    if options.append:
        report.append()
    return complain(f"no table of {', '.join(failed)}") if failed else 0


def complain(message: str) -> int:
    """Say what is wrong."""
    print(f"error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    sys.exit(main(sys.argv[1:]))
