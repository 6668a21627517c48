"""What a panel shows, as rows of a CSV file: a panel is drawn from them, and can be drawn again without the runs."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple, get_type_hints

from connectome.atomic_file import atomic_file

__all__ = ["Shown", "over_seeds", "read_rows", "write_rows"]

SEEDS = "range over seeds"


class Shown(NamedTuple):
    """One point of a panel.

    Args:
        series: an arm, `outer`, or the name of a baseline or bound.
        role: `mean` over seeds, one `seed`, `paper` for the authors' figure, `baseline`, `bound` or `ceiling`.
        x: optimizer steps, layer or generation; 0 where the panel has none.
        y: in the unit of the panel.
        low: lower end of the spread or interval.
        high: upper end.
        spread: what lies between them, in words.
        seeds: how many a mean is over.
        n: items behind the figure.
        seed: whose point it is, of one seed.
        size: of the model.
        generation: of an outer loop.
    """

    series: str
    role: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None
    spread: str = ""
    seeds: int | None = None
    n: int | None = None
    seed: int | None = None
    size: str = ""
    generation: int | None = None


def over_seeds(points: Iterable[Shown]) -> list[Shown]:
    """The points of single seeds, and ahead of them the means of each series at the x that all of its seeds have.

    The spread of several seeds is their range; that of one is its interval over items, where it has one.
    """
    by_series: dict[tuple[str, str, int | None], dict[int | None, dict[float, Shown]]] = {}
    for point in points:
        seeds = by_series.setdefault((point.series, point.size, point.generation), {})
        seeds.setdefault(point.seed, {})[point.x] = point
    rows: list[Shown] = []
    for seeds in by_series.values():
        curves = [seeds[seed] for seed in sorted(seeds, key=lambda seed: -1 if seed is None else seed)]
        for x in sorted(set.intersection(*(set(curve) for curve in curves))):
            here = [curve[x] for curve in curves]
            values = [point.y for point in here]
            mean = here[0]._replace(role="mean", y=fmean(values), seeds=len(values), seed=None)
            if len(values) > 1:
                mean = mean._replace(low=min(values), high=max(values), spread=SEEDS)
            rows.append(mean)
        rows += [curve[x]._replace(role="seed") for curve in curves for x in sorted(curve)]
    return rows


def write_rows(rows: Sequence[Any], path: Path, kind: Any) -> None:
    """Write rows of a kind, a `NamedTuple`, as a CSV file with a header; floats keep every digit."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(kind._fields)
    floats = [hint in (float, float | None) for hint in get_type_hints(kind).values()]
    writer.writerows([_cell(cell, is_float) for cell, is_float in zip(row, floats, strict=True)] for row in rows)
    with atomic_file(path) as file:
        file.write(text.getvalue().encode())


def read_rows(path: Path, kind: Any) -> list[Any]:
    """Rows of a CSV file as the `NamedTuple` that they were.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if its columns are others, or a cell is no number where one belongs.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}: name a folder that `python cli.py report RUNS --out` wrote")
    with open(path, newline="") as file:
        header, *lines = list(csv.reader(file)) or [[]]
    if tuple(header) != kind._fields:
        raise ValueError(f"{path} has the columns {', '.join(header)}; expected {', '.join(kind._fields)}")
    readers = {name: _reader(hint) for name, hint in get_type_hints(kind).items()}
    try:
        return [kind(*(readers[name](cell) for name, cell in zip(header, line, strict=True))) for line in lines]
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): make the report from the runs again") from error


def _cell(value: Any, is_float: bool) -> str:
    return "" if value is None else repr(float(value)) if is_float else str(value)


def _reader(hint: Any) -> Any:
    kind = {str: str, int: int, float: float, int | None: int, float | None: float}[hint]
    optional = hint in (int | None, float | None)
    return lambda cell: None if optional and cell == "" else kind(cell)
