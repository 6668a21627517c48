"""Lines of the arms with their spread over seeds, and beside them the authors' points, baselines and bounds."""

from collections.abc import Collection, Sequence
from typing import Any

from matplotlib.axes import Axes

from figures.arms import ARMS, BASELINE, size_line
from figures.shown import Shown

__all__ = ["arm_lines", "band", "legend", "legend_below", "levels", "paper_points", "seeds_words", "sizes_of"]

BAND = 0.2  # opacity of the range over seeds
PAPER: dict[str, Any] = {"markerfacecolor": "none", "linestyle": (0, (1, 2)), "linewidth": 1, "alpha": 0.9}
PAPER_LABEL = "paper"
ROW = 0.1  # of the height of a panel: a row of a legend
CLOSE = 0.05  # of the height of a panel: names of lines closer than that would overlap


def arm_lines(rows: Collection[Shown], ax: Axes) -> Axes:
    """Means over seeds, a band for their range or, of a single seed, whiskers for its interval over items."""
    means = [row for row in rows if row.role == "mean"]
    counts = {row.seeds for row in means}
    sizes = sizes_of(means)
    for name, arm in ARMS.items():
        for number, size in enumerate(sizes):
            line = [row for row in means if (row.series, row.size) == (name, size)]
            if not line:
                continue
            label = arm.label + (f", {size}" if len(sizes) > 1 else "")
            label += f" ({seeds_words(line[0].seeds or 1)})" if len(counts) > 1 else ""
            style: dict[str, Any] = {"color": arm.colour, "marker": arm.marker, "markersize": 4, "zorder": 3}
            ax.plot([r.x for r in line], [r.y for r in line], size_line(number), label=label, **style)
            spread = [row for row in line if row.low is not None and row.high is not None]
            if not spread:
                continue
            xs, lows, highs = zip(*((row.x, row.low, row.high) for row in spread), strict=True)
            if (line[0].seeds or 1) > 1 or len(xs) > 15:
                band(ax, xs, lows, highs, arm.colour)
            else:
                ax.vlines(xs, lows, highs, color=arm.colour, linewidth=1, alpha=0.55)
    return ax


def band(ax: Axes, xs: Sequence[float], lows: Sequence[float], highs: Sequence[float], colour: str) -> Axes:
    """A shade between two curves, with edges that do not show: a legend looks for room between lines, not shades."""
    ax.fill_between(xs, lows, highs, color=colour, alpha=BAND, linewidth=0)
    ax.plot(xs, lows, xs, highs, linestyle="")
    return ax


def paper_points(rows: Collection[Shown], ax: Axes) -> Axes:
    """The authors' values: open markers on a dotted line of the arm's colour."""
    first = True
    for name, arm in ARMS.items():
        line = [row for row in rows if (row.role, row.series) == ("paper", name)]
        if line:
            label = PAPER_LABEL if first else None
            style: dict[str, Any] = {**PAPER, "color": arm.colour, "marker": arm.marker, "markersize": 5.5}
            ax.plot([r.x for r in line], [r.y for r in line], label=label, zorder=2, **style)
            first = False
    return ax


def levels(rows: Collection[Shown], ax: Axes, *, form: str = "{:.3f}") -> Axes:
    """Baselines and ceilings: dotted lines, named at the right; of lines too close for two names one carries both.

    What lies so far off that it would flatten the rest is named only, with an arrow.

    Args:
        rows: of the panel; the means and the authors' values say what the panel is to show.
        ax: where to draw, when all else is drawn.
        form: of a value.
    """
    ours = [row for row in rows if row.role in ("mean", "paper")]
    shown = [v for row in ours for v in (row.y, row.low, row.high) if v is not None]
    found = sorted((row for row in rows if row.role == "baseline"), key=lambda row: row.y)
    if not shown or not found:
        return ax
    reach = max(max(shown) - min(shown), 1e-9)
    near = [row for row in found if min(shown) - reach <= row.y <= max(shown) + reach]
    for row in near:
        ax.axhline(row.y, color=BASELINE.colour, linestyle=":", linewidth=1.2, zorder=1)
    bottom, top = ax.get_ylim()
    groups = [[row] for row in near]
    line = CLOSE * (top - bottom)
    while clash := next((i for i in range(1, len(groups)) if _overlap(groups[i - 1], groups[i], line)), 0):
        groups[clash - 1 : clash + 1] = [groups[clash - 1] + groups[clash]]
    for group in groups:
        words = "\n".join(f"{row.series} {form.format(row.y)}" for row in reversed(group))
        _name(ax, words, (1, (group[0].y + group[-1].y) / 2), ("axes fraction", "data"), "center")
    for arrow, place, anchor in (("↓", 0, "top"), ("↑", 1, "bottom")):
        off = [row for row in found if row not in near and (row.y < min(shown)) == (arrow == "↓")]
        if off:
            words = "\n".join(f"{arrow} {row.series} {form.format(row.y)}" for row in reversed(off))
            _name(ax, words, (1, place), ("axes fraction", "axes fraction"), anchor)
    ax.set_ylim(bottom, top)
    return ax


def legend(ax: Axes, title: str | None = None, loc: Any = "best", columns: int = 1) -> Axes:
    """A legend without a frame, through which no line shows; none where there is nothing to name."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(title=title, loc=loc, ncols=columns, alignment="left", edgecolor="none", framealpha=0.85)
    return ax


def legend_below(ax: Axes) -> Axes:
    """The same in a strip below all that is drawn, where the panel has no room."""
    low, high = ax.get_ylim()
    rows = -(-len(ax.get_legend_handles_labels()[0]) // 2)
    ax.set_ylim(low - ROW * rows * (high - low), high)
    return legend(ax, loc="lower left", columns=2)


def sizes_of(rows: Collection[Shown]) -> Sequence[str]:
    """Sizes of the models, in the order of the rows."""
    return [*dict.fromkeys(row.size for row in rows)]


def seeds_words(count: int, shown: str = "") -> str:
    """How many seeds, and what is shown of several."""
    return "1 seed" if count == 1 else f"{count} seeds" + (f": {shown}" if shown else "")


def _overlap(lower: Sequence[Shown], upper: Sequence[Shown], line: float) -> bool:
    """Whether the names of two groups of lines would, each a `line` high and around the middle of its group."""
    apart = (upper[0].y + upper[-1].y - lower[0].y - lower[-1].y) / 2
    return apart < line * (len(lower) + len(upper)) / 2


def _name(ax: Axes, words: str, place: tuple[float, float], coordinates: tuple[str, str], anchor: str) -> None:
    offset: dict[str, Any] = {"xytext": (5, 0), "textcoords": "offset points"}
    ax.annotate(words, place, xycoords=coordinates, va=anchor, fontsize=8, color=BASELINE.colour, **offset)
