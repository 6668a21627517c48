"""`python -m replication.picture`: ablations and anatomy as pictures, docs/replication_{ablations,anatomy}.png."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from connectome import load_connectome
from figures.anatomy import pages
from figures.arms import ARMS, BASELINE
from figures.connectome_sizes import read_coded
from figures.pictures import save
from replication.ablations import ABLATIONS, PARTS, RATES, Setting, by_generation
from replication.measured import EXPERIMENT, LAST, BySeed, connectome_files, interval, losses, read
from replication.tables import HERE
from replication.texts import TEXTS

__all__ = ["draw_ablations", "draw_anatomy"]

EVOLVED, DENSE = ARMS["Connectome"], ARMS["NoConnectome"]
LEAD = "Loss minus NoConnectome's (nats per byte)"


def draw_ablations(folder: Path, path: Path) -> Path:
    """Draw what helps, what each generation hands on, and the lead by text and by learning rate.

    Args:
        folder: of all runs.
        path: of the picture.
    """
    panels: Mapping[str, tuple[str, Callable[[Axes], Axes]]] = {
        "parts": ("What of the connectome helps", partial(_parts, folder)),
        "bits": ("What each generation hands on", partial(_bits, folder)),
        "texts": (
            "How much text there is",
            partial(_leads, folder, TEXTS, "Bytes that are read, in 400 steps"),
        ),
        "rates": ("Learning rate of the inner loop", partial(_leads, folder, RATES, "Learning rate")),
    }
    return save(panels, path)


def draw_anatomy(folder: Path, path: Path) -> Path:
    """Draw the last connectome of seed 0 beside a random one, its forebears and that of another seed.

    Args:
        folder: of all runs.
        path: of the picture.
    """
    experiment = folder / EXPERIMENT
    line = [load_connectome(connectome_files(experiment, generation)[0]) for generation in range(LAST + 1)]
    other = load_connectome(connectome_files(experiment, LAST)[1])
    drawn = pages([other, *line], None, seed=0)
    return save(drawn["spread"] | drawn["survival"] | drawn["seeds"], path)


def _parts(folder: Path, ax: Axes) -> Axes:
    """Leads over the dense model, best last; a line is Student's 95 % interval, small points are seeds."""
    by_arm = losses(read(folder / EXPERIMENT))
    dense = by_arm["NoConnectome"]
    found: dict[str, BySeed] = {}
    for name, label in PARTS.items():
        for values in losses(read(folder / ABLATIONS / name)).values():
            found[label] = values
    found["all of it"] = by_arm["Connectome"]
    found["as much wiring at random"] = by_arm["RandomConnectome"]
    order = sorted(found, key=lambda label: -float(np.mean([*found[label].values()])))
    for row, label in enumerate(order):
        arm = {"all of it": EVOLVED, "as much wiring at random": ARMS["RandomConnectome"]}.get(label, BASELINE)
        _lead(ax, found[label], dense, arm.colour, row=row)
    ax.axvline(0, color=DENSE.colour, linestyle="--", linewidth=1.2)
    ax.set_yticks(range(len(order)), order, fontsize=8)
    ax.set_xlabel(LEAD)
    return ax


def _bits(folder: Path, ax: Axes) -> Axes:
    """Loss at the end against the size of the connectome that the inner loop starts from, by generation."""
    dense = losses(read(folder / EXPERIMENT))["NoConnectome"]
    sizes, means = [], []
    for generation, values in by_generation(folder).items():
        files = connectome_files(folder / EXPERIMENT, generation).values()
        size = float(np.mean([read_coded(path).file_bytes for path in files])) / 1e3
        density = float(np.mean([coded.kept / coded.weights for coded in map(read_coded, files)]))
        ax.plot([size] * len(values), [*values.values()], ".", color=EVOLVED.colour, markersize=4, alpha=0.6)
        sizes.append(size)
        means.append(float(np.mean([*values.values()])))
        words = f"{generation}: {100 * density:.0f} %"
        side = (6, 5) if generation != 1 else (-4, -14)
        ax.annotate(words, (size, means[-1]), xytext=side, textcoords="offset points", fontsize=8)
    ax.plot(sizes, means, color=EVOLVED.colour, marker=EVOLVED.marker, label="Connectome of a generation, its density")
    level = float(np.mean([*dense.values()]))
    ax.axhline(level, color=DENSE.colour, linestyle="--", linewidth=1.2, label=DENSE.label)
    ax.set(xlabel="File of the connectome (kB)", ylabel="Validation loss (nats per byte)")
    ax.margins(x=0.12, y=0.1)
    ax.legend(frameon=False, loc="center right")
    return ax


def _leads(folder: Path, settings: Sequence[Setting], label: str, ax: Axes) -> Axes:
    """Lead of the connectome over the dense model, by a number that both arms share."""
    for setting in settings:
        by_arm = losses(read(folder / setting.folder))
        if not by_arm.keys() >= {"Connectome", "NoConnectome"}:
            continue
        colour = EVOLVED.colour if setting.folder == EXPERIMENT else BASELINE.colour
        _lead(ax, by_arm["Connectome"], by_arm["NoConnectome"], colour, column=setting.value)
    ax.axhline(0, color=DENSE.colour, linestyle="--", linewidth=1.2)
    ax.set_xscale("log")
    values = sorted({setting.value for setting in settings})
    ax.set_xticks([value for number, value in enumerate(values) if not number or value > 1.1 * values[number - 1]])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if value < 1 else f"{value / 1e3:,.0f} k"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set(xlabel=label, ylabel=LEAD)
    ax.margins(x=0.12)
    return ax


def _lead(
    ax: Axes, one: BySeed, other: BySeed, colour: str, *, row: float | None = None, column: float | None = None
) -> None:
    """A difference with its interval and its seeds, lying in a row or standing in a column."""
    seeds = sorted(one.keys() & other.keys())
    mean, low, high, _ = interval(one, other)
    each = [one[seed] - other[seed] for seed in seeds]
    spread = [value for value in (low, high) if value is not None]
    for values, style in ((each, {"marker": ".", "markersize": 5, "alpha": 0.6}), ([mean], {"marker": "o"})):
        across = [row if row is not None else column] * len(values)
        points = (values, across) if row is not None else (across, values)
        ax.plot(*points, linestyle="", color=colour, **style)
    if spread:
        across = [row if row is not None else column] * len(spread)
        ax.plot(*((spread, across) if row is not None else (across, spread)), color=colour, linewidth=1.4)


if __name__ == "__main__":
    for which in (draw_ablations, draw_anatomy):
        name = which.__name__.replace("draw", "replication")
        print(f"drawn: {which(HERE / 'runs', HERE.parent / 'docs' / f'{name}.png')}")
