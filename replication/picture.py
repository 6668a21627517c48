"""`python -m replication.picture`: ablations and anatomy as pictures, docs/replication_{ablations,anatomy}.png."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from connectome import load_connectome
from figures.anatomy import pages
from figures.arms import ARMS, BASELINE
from figures.connectome_sizes import read_coded
from figures.pictures import save
from figures.runs import OUTER
from replication.ablations import ABLATIONS, PARTS, RATES, by_generation
from replication.measured import EXPERIMENT, LAST, BySeed, connectome_files, interval, losses, mean, read
from replication.tables import HERE
from replication.texts import TEXTS

__all__ = ["draw_ablations", "draw_anatomy"]

EVOLVED, DENSE = ARMS["Connectome"], ARMS["NoConnectome"]
LOSS = "Validation loss (nats per byte)"
LEAD = "Loss minus NoConnectome's (nats per byte)"


def draw_ablations(folder: Path, path: Path) -> Path:
    """Draw what helps, what each generation hands on, and the lead by text and by learning rate.

    Args:
        folder: of all runs.
        path: of the picture.
    """
    panels: Mapping[str, tuple[str, Callable[[Axes], Axes]]] = {
        "parts": ("What of the connectome helps", partial(_parts, folder)),
        "densities": ("What each generation hands on", partial(_densities, folder)),
        "texts": ("How much text there is", partial(_texts, folder)),
        "rates": ("Learning rate of the inner loop", partial(_rates, folder)),
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


def _densities(folder: Path, ax: Axes) -> Axes:
    """Loss at the end by the density of the connectome that the inner loop starts from, with the size of its file."""
    places, means = [], []
    for generation, values in by_generation(folder).items():
        files = [read_coded(path) for path in connectome_files(folder / EXPERIMENT, generation).values()]
        places.append(100 * float(np.mean([coded.kept / coded.weights for coded in files])))
        means.append(mean(values))
        ax.plot([places[-1]] * len(values), [*values.values()], ".", color=EVOLVED.colour, markersize=5, alpha=0.6)
        words = f"{np.mean([coded.file_bytes for coded in files]) / 1e3:.0f} kB"
        ax.annotate(words, (places[-1], means[-1]), xytext=(6, -11), textcoords="offset points", fontsize=8)
    style: dict[str, Any] = {"color": EVOLVED.colour, "marker": EVOLVED.marker}
    ax.plot(places, means, label="Connectome and its file, generation 5 to 0", **style)
    level = mean(losses(read(folder / EXPERIMENT))["NoConnectome"])
    ax.axhline(level, color=DENSE.colour, linestyle="--", linewidth=1.2, label=DENSE.label)
    ax.set_xscale("log")
    ax.set_xticks(places)
    ax.xaxis.set_major_formatter("{x:.0f}")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set(xlabel="Weights of the connectome (%)", ylabel=LOSS)
    ax.margins(x=0.08, y=0.1)
    ax.legend(frameon=False, loc=(0.12, 0.68))
    return ax


def _texts(folder: Path, ax: Axes) -> Axes:
    """Loss of the arms, less that of the dense model on the large corpus, by the text there is, in as many steps."""
    bound = losses(read(folder / EXPERIMENT))[OUTER]
    settings = [setting for setting in TEXTS if setting.folder != EXPERIMENT]
    found = {setting.value: losses(read(folder / setting.folder)) for setting in settings}
    for name, arm in ARMS.items():
        line = {size: _minus(by_arm[name], bound) for size, by_arm in found.items() if name in by_arm}
        for size, values in line.items():
            ax.plot([size] * len(values), [*values.values()], ".", color=arm.colour, markersize=5, alpha=0.6)
        style: dict[str, Any] = {"color": arm.colour, "marker": arm.marker}
        ax.plot([*line], [mean(values) for values in line.values()], label=arm.label, **style)
    ax.set(xscale="log", yscale="log", xlabel="Text that is read, in 400 steps (kB)")
    ax.set_ylabel("Loss above dense on the large corpus")
    ax.set_xticks([*found])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1e3:,.0f}"))
    ax.yaxis.set_major_locator(FixedLocator([0.3, 0.4, 0.5, 1, 2]))
    ax.yaxis.set_major_formatter("{x:g}")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_locator(NullLocator())
    ax.legend(frameon=False)
    return ax


def _rates(folder: Path, ax: Axes) -> Axes:
    """Lead of the connectome over the dense model by the learning rate of both."""
    for setting in RATES:
        by_arm = losses(read(folder / setting.folder))
        if by_arm.keys() >= {"Connectome", "NoConnectome"}:
            colour = EVOLVED.colour if setting.folder == EXPERIMENT else BASELINE.colour
            _lead(ax, by_arm["Connectome"], by_arm["NoConnectome"], colour, column=setting.value)
    ax.axhline(0, color=DENSE.colour, linestyle="--", linewidth=1.2)
    ax.set(xscale="log", xlabel="Learning rate of both arms", ylabel=LEAD)
    ax.set_xticks([setting.value for setting in RATES])
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.margins(x=0.12)
    return ax


def _minus(one: BySeed, other: BySeed) -> BySeed:
    return {seed: one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())}


def _lead(
    ax: Axes, one: BySeed, other: BySeed, colour: str, *, row: float | None = None, column: float | None = None
) -> None:
    """A difference with its interval and its seeds, lying in a row or standing in a column."""
    middle, low, high, _ = interval(one, other)
    each = [*_minus(one, other).values()]
    spread = [value for value in (low, high) if value is not None]
    for values, style in ((each, {"marker": ".", "markersize": 5, "alpha": 0.6}), ([middle], {"marker": "o"})):
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
