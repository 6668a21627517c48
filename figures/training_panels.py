"""Panels of training: the three arms, and the generations that led to them (Kotar & Tuckute 2025, Figure 1B i)."""

from collections.abc import Collection
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from figures.arm_lines import arm_lines, band, legend, paper_points, seeds_words, sizes_of
from figures.arms import ARMS, OUTER_LOOP, UPPER_BOUND, generation_colour, size_line
from figures.shown import Shown

__all__ = ["density_over_generations", "loss_over_generations", "loss_over_training", "loss_within_generations"]

LOSS_LABEL = "Validation loss (nats per token)"
STEP_LABEL = "Optimizer steps"
FIRST_SHOWN = 0.1  # of training: before it the losses fall from ln(vocabulary) and would flatten what matters


def loss_over_training(rows: Collection[Shown], ax: Axes) -> Axes:
    """Validation loss of the three arms over training, with the dense model on the large corpus as a dotted line.

    The form of Figure 1B i. Curves are `validation/loss`, on the first tokens of the validation part; the last, large
    marker is the loss on all of it, and so is the dotted line.
    """
    arm_lines(rows, ax)
    for row in rows:
        if row.role == "end":
            arm = ARMS[row.series]
            ax.plot(row.x, row.y, color=arm.colour, marker=arm.marker, markersize=9, zorder=4)
    for number, row in enumerate([row for row in rows if row.role == "bound"]):
        label = UPPER_BOUND.label + (f", {row.size}" if number or len(sizes_of(rows)) > 2 else "")
        ax.axhline(row.y, color=UPPER_BOUND.colour, linestyle=":", label=f"{label} ({seeds_words(row.seeds or 1)})")
    paper_points(rows, ax)
    _cut_beginning(ax)
    ax.set(xlabel=f"{STEP_LABEL} on the small corpus", ylabel=LOSS_LABEL)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return legend(ax, title=_seeds_title(rows, "mean and range"), loc="upper right")


def density_over_generations(rows: Collection[Shown], ax: Axes) -> Axes:
    """Share of the weights that exist in each generation of the outer loop, in percent."""
    means = [row for row in rows if row.role == "mean"]
    for number, size in enumerate(sizes_of(means)):
        line = [(row.x, 100 * row.y) for row in means if row.size == size]
        label = size if len(sizes_of(means)) > 1 else None
        xs, ys = zip(*line, strict=True)
        ax.plot(xs, ys, size_line(number), color=OUTER_LOOP.colour, marker=OUTER_LOOP.marker, label=label)
        for x, y in line if number == 0 else []:
            ax.annotate(f"{y:.0f} %", (x, y), xytext=(5, 5), textcoords="offset points")
    ax.set(xlabel="Generation", ylabel="Weights in training (%)", ylim=(0, 112))
    return legend(_by_generation(ax))


def loss_over_generations(rows: Collection[Shown], ax: Axes) -> Axes:
    """Loss on the whole validation part at each generation's end: what a model loses as it gets sparser."""
    means = [row for row in rows if row.role == "mean"]
    for number, size in enumerate(sizes_of(means)):
        line = [row for row in means if row.size == size]
        count = line[0].seeds or 1
        label = f"{OUTER_LOOP.label}{f', {size}' if len(sizes_of(means)) > 1 else ''}"
        label += f" ({seeds_words(count, 'mean and range')})"
        style: dict[str, Any] = {"color": OUTER_LOOP.colour, "marker": OUTER_LOOP.marker}
        ax.plot([r.x for r in line], [r.y for r in line], size_line(number), label=label, **style)
        if count > 1:
            xs, lows, highs = zip(*((row.x, row.low, row.high) for row in line), strict=True)
            band(ax, xs, lows, highs, OUTER_LOOP.colour)
        if line[0].x == 0:
            label = "Generation 0 (dense)" if number == 0 else "_"
            ax.axhline(line[0].y, color=UPPER_BOUND.colour, linestyle=":", label=label)
    ax.set(xlabel="Generation", ylabel=LOSS_LABEL)
    ax.margins(y=0.15)
    return legend(_by_generation(ax))


def loss_within_generations(rows: Collection[Shown], ax: Axes) -> Axes:
    """Validation loss over the steps of a generation, the generations of the outer loop overlaid, pale to dark."""
    means = [row for row in rows if row.role == "mean"]
    generations = sorted({row.generation or 0 for row in means})
    counts = {row.seeds for row in means}
    for number, size in enumerate(sizes_of(means)):
        for generation in generations:
            line = [row for row in means if (row.size, row.generation or 0) == (size, generation)]
            if not line:
                continue
            label = f"{generation}{f', {size}' if len(sizes_of(means)) > 1 else ''}"
            label += f" ({seeds_words(line[0].seeds or 1)})" if len(counts) > 1 else ""
            colour = generation_colour(generation, max(generations) + 1)
            ax.plot(
                [r.x for r in line], [r.y for r in line], size_line(number), color=colour, label=label, linewidth=1.5
            )
    _cut_beginning(ax)
    ax.set(xlabel=f"{STEP_LABEL} of the generation", ylabel=LOSS_LABEL)
    title = f"Generation ({_seeds_title(rows, 'mean')})" if len(counts) == 1 else "Generation"
    return legend(ax, title, "upper right")


def _seeds_title(rows: Collection[Shown], shown: str) -> str | None:
    """How many seeds, where that is the same everywhere."""
    counts = {row.seeds or 1 for row in rows if row.role == "mean"}
    return seeds_words(counts.pop(), shown) if len(counts) == 1 else None


def _by_generation(ax: Axes) -> Axes:
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.margins(x=0.15)
    return ax


def _cut_beginning(ax: Axes) -> None:
    """Limit the losses shown to those from `FIRST_SHOWN` of training on, with a margin."""
    shown: list[float] = []
    for line in ax.get_lines():
        steps, losses = list(map(float, line.get_xdata())), list(map(float, line.get_ydata()))  # type: ignore[arg-type]
        after = max(steps) * FIRST_SHOWN if len(steps) > 2 else -1.0
        shown += [loss for step, loss in zip(steps, losses, strict=True) if step >= after]
    if shown and max(shown) > min(shown):
        margin = 0.06 * (max(shown) - min(shown))
        ax.set_ylim(min(shown) - margin, max(shown) + margin)
