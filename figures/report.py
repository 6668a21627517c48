"""`python cli.py report`: runs -> a table, and a picture of every panel."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from connectome.atomic_file import atomic_file
from figures.arms import ARMS
from figures.curves import Point, read_points
from figures.loss_table import arms_table, generations_table
from figures.results import End, read_ends, upper_bound
from figures.runs import OUTER, Run, find_runs
from figures.training_panels import (
    density_over_generations,
    loss_over_generations,
    loss_over_training,
    loss_within_generations,
)

__all__ = ["report"]

METRICS = ("validation/loss",)
STYLE: dict[Any, Any] = {  # readable on a slide and in a column of print
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "font.size": 10,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "savefig.dpi": 150,
}
PANEL_INCHES = (5.4, 3.8)


def report(runs: Sequence[str], out: str = "report") -> None:
    """Print the losses of all runs and draw their panels; what is missing is named.

    Args:
        runs: folders of runs, or of experiments with runs in them.
        out: folder for the pictures.

    Raises:
        FileNotFoundError: if a folder is not there or holds no run.
        ValueError: if a configuration, a record or an event file is damaged, or two runs are the same.
    """
    found = find_runs(runs)
    ends = [end for run in found for end in read_ends(run)]
    points = [point for run in found for point in read_points(run, METRICS)]
    print(arms_table(ends), generations_table(ends), sep="\n\n")
    for line in missing(found, ends, points):
        print(f"missing: {line}")
    for path in draw(points, ends, Path(out)):
        print(f"drawn: {path}")


def missing(runs: Sequence[Run], ends: Sequence[End], points: Sequence[Point]) -> list[str]:
    """What a complete experiment would have and these runs do not, one sentence each."""
    lines = []
    seeds = sorted({run.seed for run in runs})
    for arm in (OUTER, *ARMS):
        name = "the outer loop, and with it the dense upper bound," if arm == OUTER else f"the arm {arm}"
        there = {run.seed for run in runs if run.arm == arm}
        if not there:
            lines.append(f"{name} of any seed")
        elif absent := [seed for seed in seeds if seed not in there]:
            lines.append(f"{name} of seed {', '.join(map(str, absent))}")
    for run in runs:
        reached = {end.generation for end in ends if (end.arm, end.seed) == (run.arm, run.seed)}
        left = [generation for generation in range(run.generations) if generation not in reached]
        if left and run.arm == OUTER:
            lines.append(f"the end of generation {', '.join(map(str, left))} in {run.folder}")
        elif left:
            lines.append(f"the end of {run.folder}: it has not reached step {run.steps:,}")
        if not any((point.arm, point.seed) == (run.arm, run.seed) for point in points):
            lines.append(f"validation curves in {run.folder / 'tensorboard'}")
    return lines


def draw(points: Sequence[Point], ends: Sequence[End], out: Path) -> list[Path]:
    """Draw each panel for which there is something, and all of them on one page; return the files."""
    inner = [point for point in points if point.arm != OUTER]
    outer_points = [point for point in points if point.arm == OUTER]
    outer_ends = [end for end in ends if end.arm == OUTER]
    panels: dict[str, tuple[bool, str, Callable[[Axes], Axes]]] = {  # file: anything to draw, title, panel
        "loss_over_training": (
            bool(inner),
            "Three arms on the small corpus",
            lambda ax: loss_over_training(inner, ends, upper_bound(list(ends)), ax),
        ),
        "density_over_generations": (
            bool(outer_ends),
            "Density over generations",
            lambda ax: density_over_generations(outer_ends, ax),
        ),
        "loss_over_generations": (
            bool(outer_ends),
            "Loss at the end of each generation",
            lambda ax: loss_over_generations(outer_ends, ax),
        ),
        "loss_within_generations": (
            bool(outer_points),
            "Loss within each generation",
            lambda ax: loss_within_generations(outer_points, ax),
        ),
    }
    drawable = {name: (title, panel) for name, (there, title, panel) in panels.items() if there}
    files = [save({name: panel}, out / f"{name}.png") for name, panel in drawable.items()]
    return [*files, save(drawable, out / "overview.png")] if len(drawable) > 1 else files


def save(panels: dict[str, tuple[str, Callable[[Axes], Axes]]], path: Path) -> Path:
    """Draw panels, two to a row, into one PNG."""
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PANEL_INCHES[0] * columns, PANEL_INCHES[1] * rows), layout="constrained")
        for number, (title, panel) in enumerate(panels.values(), start=1):
            panel(figure.add_subplot(rows, columns, number)).set_title(title)
        with atomic_file(path) as file:
            figure.savefig(file, format="png")
    return path
