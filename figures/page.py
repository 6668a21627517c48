"""The report as one page that needs nothing else: pictures are in it, and no script."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from connectome.atomic_file import atomic_file
from figures.arms import ARMS
from figures.comparisons import Comparison
from figures.panels import PANELS
from figures.run_costs import RunCost
from figures.summary import HEADLINES, Line

__all__ = ["write_page"]

TEMPLATE = "page.html"
SMALLEST_P = 0.0001


def write_page(
    path: Path,
    pictures: Mapping[str, Path],
    captions: Mapping[str, str],
    lines: Sequence[Line],
    compared: Sequence[Comparison],
    costs: Sequence[RunCost],
    missing: Sequence[tuple[str, str]],
) -> Path:
    """Write the page and return its path.

    Args:
        path: of the page.
        pictures: PNG of each panel, in the order of the page.
        captions: of the panels, and the scale of the experiment as `report`.
        lines: the table of everything.
        compared: paired tests between arms.
        costs: of the runs.
        missing: title of a panel, or nothing, and what is not there.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"number": number, "p": p_value, "count": lambda n: "" if n is None else f"{n:,}"}
    headlines = [line for line in lines if (line.task, line.metric) in HEADLINES and line.arm in ARMS]
    shown = [
        {
            "name": name,
            "title": PANELS[name].title,
            "source": PANELS[name].source,
            "caption": captions[name],
            "image": b64encode(picture.read_bytes()).decode(),
        }
        for name, picture in pictures.items()
    ]
    html = environment.get_template(TEMPLATE).render(
        scale=captions["report"],
        panels=shown,
        headlines=headlines,
        lines=lines,
        compared=compared,
        first=[c for c in compared if (c.task, c.metric) in HEADLINES],
        costs=costs,
        missing=missing,
        arms=ARMS,
    )
    with atomic_file(path) as file:
        file.write(html.encode())
    return path


def number(value: float | None) -> str:
    """Four digits that count; nothing for nothing."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}" if abs(value) >= 1 else f"{value:.4f}"


def p_value(value: float | None) -> str:
    """A p-value with two digits that count, or that it is below what is worth telling apart."""
    if value is None:
        return "-"
    return f"< {SMALLEST_P}" if value < SMALLEST_P else f"{value:.2g}"
