"""Results of evaluations along training as one tidy table, and where each curve has its peak."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from connectome.atomic_file import atomic_file
from figures.loss_table import aligned
from figures.runs import OUTER, Run
from lightning_modules.records import read_records

__all__ = ["Evaluated", "Peak", "peaks", "peaks_table", "read_evaluations", "write_table"]


@dataclass(frozen=True)
class Evaluated:
    """One figure of one evaluation.

    Args:
        step: optimizer steps since the run began.
        seed: of the run.
        arm: of the inner loop; `outer` for an outer loop.
        generation: of an outer loop; 0 in an inner one.
        task: what was evaluated.
        variant: the protocol, and what else was chosen.
        metric: name of the figure.
        value: the figure.
        low: lower end of its 95 % interval; None where it has none.
        high: upper end.
    """

    step: int
    seed: int
    arm: str
    generation: int
    task: str
    variant: str
    metric: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Peak:
    """The highest point of a figure along the training of one run, and its last point."""

    highest: Evaluated
    last: Evaluated


def read_evaluations(run: Run) -> list[Evaluated]:
    """Results in `evaluations/` of a run, in order of task, variant, step and metric.

    Raises:
        ValueError: if a file is damaged.
    """
    found = []
    for path in sorted((run.folder / "evaluations").glob("*/*/*.jsonl")):
        try:
            found += [_read(run, path, record) for record in read_records(path)]
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is damaged ({type(error).__name__}: {error}); remove it and evaluate again"
            ) from error
    return sorted(found, key=lambda row: (row.task, row.variant, row.step, row.metric))


def write_table(rows: Sequence[Evaluated], path: Path) -> None:
    """Write the results as comma-separated values, a line each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Evaluated))
    writer.writerows(astuple(row) for row in rows)
    with atomic_file(path) as file:
        file.write(text.getvalue().encode())


def peaks(rows: Sequence[Evaluated]) -> list[Peak]:
    """The highest and the last point of every figure that was taken at several steps of a run."""
    curves: dict[tuple[Any, ...], list[Evaluated]] = {}
    for row in rows:
        curves.setdefault((row.task, row.variant, row.metric, row.arm, row.seed), []).append(row)
    return [
        Peak(max(curve, key=lambda row: row.value), max(curve, key=lambda row: row.step))
        for curve in curves.values()
        if len(curve) > 1
    ]


def peaks_table(found: Sequence[Peak]) -> str:
    """Peaks as aligned lines for a terminal."""
    rows = [["figure", "arm", "seed", "peak", "at step", "last", "at step"]]
    for peak in sorted(found, key=lambda peak: (peak.last.task, peak.last.variant, peak.last.metric)):
        high, last = peak.highest, peak.last
        name = f"{last.task} {last.variant} {last.metric}"
        points = [f"{high.value:.4f}", f"{high.step:,}", f"{last.value:.4f}", f"{last.step:,}"]
        rows.append([name, last.arm, str(last.seed), *points])
    return aligned(rows)


def _read(run: Run, path: Path, record: dict[str, Any]) -> Evaluated:
    low, high = record["ci95"] or (None, None)
    model = record["model"]
    return Evaluated(
        step=int(path.stem),
        seed=run.seed,
        arm=run.arm,
        generation=int(model.get("generation") or 0) if run.arm == OUTER else 0,
        task=record["task"],
        variant=path.parent.name,
        metric=record["metric"],
        value=float(record["value"]),
        low=low,
        high=high,
    )
