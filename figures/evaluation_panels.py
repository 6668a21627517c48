"""Panels of benchmarks, reading times, brain responses and compression (Kotar & Tuckute 2025, Figure 1)."""

from collections.abc import Collection
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from figures.arm_lines import arm_lines, legend, legend_below, levels, paper_points, seeds_words, sizes_of
from figures.arms import ARMS, BASELINE, OUTER_LOOP, UPPER_BOUND
from figures.shown import Shown

__all__ = ["accuracy", "brain_by_layer", "compression", "localised", "reading_times"]

R_LABEL = "Correlation (Pearson's r)"
BESIDE = 0.22  # how far the authors' value stands from ours, in arms


def accuracy(rows: Collection[Shown], ax: Axes) -> Axes:
    """Share of right answers of each arm, the authors' beside it, and what costs nothing as lines (Figure 1B ii)."""
    levels(rows, _by_arm(rows, ax), form="{:.1%}")
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    ax.set_ylabel("Accuracy (% of items)")
    return ax


def localised(rows: Collection[Shown], ax: Axes) -> Axes:
    """Correlation with brain responses of the units that a localizer selects (Figure 1D, right, and appendix A.2)."""
    levels(rows, _by_arm(rows, ax))
    ax.set_ylabel(R_LABEL)
    return ax


def reading_times(rows: Collection[Shown], ax: Axes) -> Axes:
    """Correlation of surprisal with reading times over training (Figure 1C)."""
    arm_lines(rows, ax)
    paper_points(rows, ax)
    levels(rows, ax)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="Optimizer steps on the small corpus", ylabel=R_LABEL)
    return legend_below(ax)


def brain_by_layer(rows: Collection[Shown], ax: Axes) -> Axes:
    """Correlation with brain responses by layer, and the ceiling that noise sets (Figure 1D, left)."""
    arm_lines(rows, ax)
    paper_points(rows, ax)
    for row in rows:
        if row.role == "ceiling":
            ax.axhline(row.y, color=BASELINE.colour, linestyle="--", linewidth=1.2)
            words = f"noise ceiling {row.y:.2f}"
            ax.annotate(words, (0, row.y), xytext=(2, 3), textcoords="offset points", fontsize=8, color=BASELINE.colour)
    levels(rows, ax)
    ax.set(xlabel="Layer (0: embedding)", ylabel=R_LABEL)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return legend_below(ax)


def compression(rows: Collection[Shown], ax: Axes) -> Axes:
    """Bytes that each generation hands on: the file, Shannon's bound, and all weights in 16 bits (appendix A.1)."""
    styles: dict[str, dict[str, Any]] = {
        "dense": {"label": "all weights, 16 bits each", "color": UPPER_BOUND.colour, "linestyle": ":"},
        "bound": {"label": "Shannon's bound", "color": BASELINE.colour, "linestyle": "--"},
        "file": {"label": "connectome file", "color": OUTER_LOOP.colour, "marker": OUTER_LOOP.marker, "linestyle": ""},
    }
    means = [row for row in rows if row.role == "mean"]
    for number, size in enumerate(sizes_of(means)):
        for name, style in styles.items():
            line = [row for row in means if (row.series, row.size) == (name, size)]
            shown = style | {"label": style["label"] if number == 0 else None}
            ax.plot([row.x for row in line], [row.y for row in line], **shown)
            if name == "file" and line:
                words = f"{_bytes(line[-1].y)}{f' ({size})' if len(sizes_of(means)) > 1 else ''}"
                ax.annotate(words, (line[-1].x, line[-1].y), xytext=(0, 8), textcoords="offset points", ha="center")
    ax.set(xlabel="Generation that leaves it", ylabel="Size (bytes)", yscale="log")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _bytes(value)))
    ax.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.margins(x=0.1, y=0.15)
    return legend(ax)


def _by_arm(rows: Collection[Shown], ax: Axes) -> Axes:
    """Arms side by side: means with their spread, single seeds as small points, the authors' values as open markers."""
    means = [row for row in rows if row.role == "mean"]
    sizes = sizes_of(means)
    places = {
        (arm, size): index + (number - (len(sizes) - 1) / 2) * BESIDE
        for index, arm in enumerate(ARMS)
        for number, size in enumerate(sizes)
    }
    for row in rows:
        arm = ARMS.get(row.series)
        if arm is None:
            continue
        x = places[row.series, row.size] if row.role != "paper" else [*ARMS].index(row.series) + 1.5 * BESIDE
        if row.role == "seed":
            if any(mean.seeds != 1 for mean in means if (mean.series, mean.size) == (row.series, row.size)):
                ax.plot(x - 0.08, row.y, ".", color=arm.colour, markersize=4, alpha=0.6, zorder=3)
            continue
        if row.low is not None and row.high is not None:
            ax.vlines(x, row.low, row.high, color=arm.colour, linewidth=1.2 if row.role == "paper" else 2, zorder=2)
        face = "none" if row.role == "paper" else arm.colour
        marker: dict[str, Any] = {"color": arm.colour, "marker": arm.marker, "markerfacecolor": face}
        ax.plot(x, row.y, markersize=7 if row.role == "paper" else 9, linestyle="", zorder=4, **marker)
        if row.role == "mean" and len(sizes) > 1:
            ax.annotate(row.size, (x, row.y), xytext=(6, -3), textcoords="offset points", fontsize=7)
    if any(row.role == "paper" for row in rows):
        ax.plot([], [], "o", color="0.3", markersize=8, label=f"here ({_seeds(means)})")
        ax.plot([], [], "o", color="0.3", markersize=7, markerfacecolor="none", label="paper (4 seeds)")
    ax.set_xticks(range(len(ARMS)), [arm.short for arm in ARMS.values()])
    ax.set_xlim(-0.5, len(ARMS) - 0.4)
    ax.margins(y=0.12)
    return legend(ax, loc="upper right")


def _seeds(means: Collection[Shown]) -> str:
    counts = sorted({row.seeds or 1 for row in means})
    return seeds_words(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"


def _bytes(value: float) -> str:
    """Bytes with a unit, to three digits."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f} B"
