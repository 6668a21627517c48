"""Where the curves of evaluations along training have their peaks, as a table for a terminal."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from figures.loss_table import aligned
from figures.results import Measurement

__all__ = ["Peak", "peaks", "peaks_table"]


class Peak(NamedTuple):
    """The highest point of a figure along the training of one run, and its last point."""

    highest: Measurement
    last: Measurement


def peaks(measured: Sequence[Measurement]) -> list[Peak]:
    """The highest and the last point of every figure that was taken at several steps of a run."""
    curves: dict[tuple[Any, ...], list[Measurement]] = {}
    for m in measured:
        curves.setdefault((m.figure, m.size, m.arm, m.seed), []).append(m)
    return [
        Peak(max(curve, key=lambda m: m.value), max(curve, key=lambda m: m.step))
        for curve in curves.values()
        if len(curve) > 1
    ]


def peaks_table(found: Sequence[Peak]) -> str:
    """Peaks as aligned lines."""
    rows = [["figure", "arm", "seed", "peak", "at step", "last", "at step"]]
    for high, last in sorted(found, key=lambda peak: peak.last.figure):
        points = [f"{high.value:.4f}", f"{high.step:,}", f"{last.value:.4f}", f"{last.step:,}"]
        rows.append([" ".join(last.figure), last.arm, str(last.seed), *points])
    return aligned(rows)
