"""A table of results, for people and for programs."""

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Cell", "Table"]

Cell = str | int | float | None


@dataclass
class Table:
    """Rows under columns, with a title and a sentence about how they were measured.

    Args:
        title: what and at which size.
        columns: their headings; `rows` has as many cells.
        rows: numbers as they are, rounded only to be read.
        note: clock, what is compared with what, and the goal.
    """

    title: str
    columns: list[str]
    rows: list[list[Cell]] = field(default_factory=list)
    note: str = ""

    def add(self, *cells: Cell) -> None:
        """One more row."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{self.title}: {len(self.columns)} columns, found {len(cells)} cells: {cells}")
        self.rows.append(list(cells))

    def markdown(self) -> str:
        """Title, note and table."""
        lines = ["| " + " | ".join(row) + " |" for row in (self.columns, ["---"] * len(self.columns))]
        lines += ["| " + " | ".join(readable(cell) for cell in row) + " |" for row in self.rows]
        return "\n\n".join(part for part in (f"### {self.title}", self.note, "\n".join(lines)) if part) + "\n"

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def readable(cell: Cell) -> str:
    """Four digits at most, thousands separated."""
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.4g}"
    return f"{cell:,}" if isinstance(cell, int) else cell
