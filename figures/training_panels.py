"""Panels of training: the three arms, and the generations that led to them (Kotar & Tuckute 2025, Figure 1B i)."""

from collections.abc import Collection, Mapping

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from figures.arms import ARMS, UPPER_BOUND, generation_colour
from figures.curves import Point, curve, mean_and_range
from figures.results import End
from figures.runs import OUTER

__all__ = ["density_over_generations", "loss_over_generations", "loss_over_training", "loss_within_generations"]

LOSS_LABEL = "Validation loss (nats per token)"
STEP_LABEL = "Optimizer steps"
FIRST_SHOWN = 0.1  # of training: before it the losses fall from ln(vocabulary) and would flatten what matters
BAND = 0.2  # opacity


def loss_over_training(points: Collection[Point], ends: Collection[End], bounds: Mapping[int, float], ax: Axes) -> Axes:
    """Validation loss of the three arms over training, with the dense model on the large corpus as a dotted line.

    The form of Figure 1B i. Curves are `validation/loss`, on the first tokens of the validation part; the last marker
    is the loss on all of it, and so is the dotted line. Over several seeds: the mean, and a band from the lowest to
    the highest.

    Args:
        points: of inner runs.
        ends: of the same runs; an arm without them has no last marker.
        bounds: loss of generation 0 on the whole validation part, by seed; may be empty.
        ax: where to draw.
    """
    curves = [p for p in points if p.metric == "validation/loss"]
    seeds_of = {name: sorted({p.seed for p in curves if p.arm == name}) for name in ARMS}
    counts = {len(seeds) for seeds in [*seeds_of.values(), [*bounds]] if seeds}
    for name, arm in ARMS.items():
        seeds = seeds_of[name]
        spread = mean_and_range([curve(curves, "validation/loss", arm=name, seed=seed) for seed in seeds])
        if not spread:
            continue
        steps, means, lows, highs = zip(*spread, strict=True)
        label = _with_seeds(arm.label, len(seeds), counts)
        ax.plot(steps, means, color=arm.colour, marker=arm.marker, markersize=4, label=label, zorder=3)
        if len(seeds) > 1:
            ax.fill_between(steps, lows, highs, color=arm.colour, alpha=BAND, linewidth=0)
        finals = [end.loss for end in ends if end.arm == name and end.seed in seeds]
        if finals:
            ax.plot(steps[-1], sum(finals) / len(finals), color=arm.colour, marker=arm.marker, markersize=9, zorder=4)
    if bounds:
        mean = sum(bounds.values()) / len(bounds)
        label = _with_seeds(UPPER_BOUND.label, len(bounds), counts)
        ax.axhline(mean, color=UPPER_BOUND.colour, linestyle=":", label=label, zorder=2)
    _cut_beginning(ax)
    ax.set(xlabel=f"{STEP_LABEL} on the small corpus", ylabel=LOSS_LABEL)
    return _legend(ax, title=_seeds(counts.pop(), "mean and range") if len(counts) == 1 else None)


def density_over_generations(ends: Collection[End], ax: Axes) -> Axes:
    """Share of the weights that exist in each generation of the outer loop, in percent.

    Seeds prune alike, so that there is one line unless their runs differ in the pruned fraction.
    """
    outer = [end for end in ends if end.arm == OUTER]
    seeds = sorted({end.seed for end in outer})
    lines = {tuple((end.generation, 100 * end.density) for end in outer if end.seed == seed) for seed in seeds}
    for line in sorted(lines):
        generations, densities = zip(*line, strict=True)
        ax.plot(generations, densities, color=ARMS["Connectome"].colour, marker="o")
        for generation, density in line:
            ax.annotate(f"{density:.0f} %", (generation, density), xytext=(5, 5), textcoords="offset points")
    ax.set(xlabel="Generation", ylabel="Weights in training (%)", ylim=(0, 112))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.margins(x=0.15)
    return ax


def loss_over_generations(ends: Collection[End], ax: Axes) -> Axes:
    """Loss on the whole validation part at each generation's end: what a model loses as it gets sparser."""
    outer = [end for end in ends if end.arm == OUTER]
    seeds = sorted({end.seed for end in outer})
    colour = ARMS["Connectome"].colour
    spread = mean_and_range([[(end.generation, end.loss) for end in outer if end.seed == seed] for seed in seeds])
    if spread:
        generations, means, lows, highs = zip(*spread, strict=True)
        ax.plot(
            generations, means, color=colour, marker="o", label=f"Outer loop ({_seeds(len(seeds), 'mean and range')})"
        )
        if len(seeds) > 1:
            ax.fill_between(generations, lows, highs, color=colour, alpha=BAND, linewidth=0)
    bounds = [end.loss for end in outer if end.generation == 0]
    if bounds:
        ax.axhline(sum(bounds) / len(bounds), color=UPPER_BOUND.colour, linestyle=":", label="Generation 0 (dense)")
    ax.set(xlabel="Generation", ylabel=LOSS_LABEL)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.margins(x=0.15, y=0.15)
    return _legend(ax)


def loss_within_generations(points: Collection[Point], ax: Axes) -> Axes:
    """Validation loss over the steps of a generation, the generations of the outer loop overlaid, pale to dark."""
    outer = [p for p in points if (p.arm, p.metric) == (OUTER, "validation/loss")]
    seeds_of = {p.generation: sorted({q.seed for q in outer if q.generation == p.generation}) for p in outer}
    counts = {len(seeds) for seeds in seeds_of.values()}
    for generation, seeds in sorted(seeds_of.items()):
        spread = mean_and_range(
            [curve(outer, "validation/loss", arm=OUTER, seed=seed, generation=generation) for seed in seeds]
        )
        if not spread:
            continue
        steps, means, _, _ = zip(*spread, strict=True)
        colour = generation_colour(generation, max(seeds_of) + 1)
        label = _with_seeds(str(generation), len(seeds), counts)
        ax.plot(steps, means, color=colour, marker="o", markersize=3, label=label)
    _cut_beginning(ax)
    ax.set(xlabel=f"{STEP_LABEL} of the generation", ylabel=LOSS_LABEL)
    return _legend(ax, title=f"Generation ({_seeds(counts.pop(), 'mean')})" if len(counts) == 1 else "Generation")


def _seeds(count: int, shown: str = "") -> str:
    """How many seeds, and what is shown of several."""
    return "1 seed" if count == 1 else f"{count} seeds" + (f": {shown}" if shown else "")


def _with_seeds(label: str, count: int, counts: Collection[int]) -> str:
    """The label, with the number of seeds unless that is the same everywhere and stands in the legend's title."""
    return label if len(counts) == 1 else f"{label} ({_seeds(count)})"


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


def _legend(ax: Axes, title: str | None = None) -> Axes:
    if ax.get_legend_handles_labels()[0]:
        ax.legend(title=title, frameon=False, alignment="left")
    return ax
