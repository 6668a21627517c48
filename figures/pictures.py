"""Panels -> picture files, all in one style."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from connectome.atomic_file import atomic_file

__all__ = ["save"]

STYLE: dict[Any, Any] = {  # readable on a slide and in a column of print
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "font.size": 10,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "pdf.fonttype": 42,  # text stays text, which journals ask for
    "savefig.dpi": 160,
}
PANEL_INCHES = (5.4, 3.8)
MANY, MANY_INCHES = 5, (7.0, 3.8)  # of many panels the names beside one narrow all


def save(panels: Mapping[str, tuple[str, Callable[[Axes], Axes]]], *paths: Path) -> Path:
    """Draw titled panels, two to a row, once, and write them to each path in the format that its suffix names.

    Returns:
        The first path.
    """
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    width, height = MANY_INCHES if len(panels) >= MANY else PANEL_INCHES
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
        for number, (title, panel) in enumerate(panels.values(), start=1):
            panel(figure.add_subplot(rows, columns, number)).set_title(title)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # the layout is found; each format would look for it again, twice
        for path in paths:
            kind = path.suffix.removeprefix(".")
            undated = {"CreationDate": None} if kind == "pdf" else {}  # equal rows give equal bytes
            with atomic_file(path) as file:
                figure.savefig(file, format=kind, metadata=undated)
    return paths[0]
