"""Every figure of every arm in one table: mean over seeds, interval, the paper's value."""

import json
from collections.abc import Collection, Sequence
from statistics import fmean
from typing import NamedTuple

from figures.arms import ARMS
from figures.panel_rows import LAYER, TASKS
from figures.paper_values import paper_values
from figures.results import Measurement
from figures.runs import OUTER

__all__ = ["HEADLINES", "Line", "summary"]

HEADLINES = (  # task and metric of the figures that are looked at first
    ("validation", "loss_full"),
    ("next_word_loss", "loss"),
    ("next_word_loss", "bits_per_byte"),
    ("hellaswag", "acc_sum"),
    ("mmlu", "acc_sum"),
    ("natural_stories", "r"),
    ("tuckute2024", "localised_1pct"),
    ("tuckute2024", "localised_10pct"),
)


class Line(NamedTuple):
    """One figure of one arm.

    Args:
        size: of the models, in weights.
        task: of the figure.
        variant: of the task.
        metric: name of the figure.
        arm: or `outer, generation <g>`.
        step: optimizer steps of the last one.
        mean: over seeds.
        low: lower end of the 95 % interval.
        high: upper end.
        interval: how it was made.
        seeds: how many.
        n: items behind the figure of a seed.
        paper: the authors' value.
        baselines: what costs nothing, in words.
    """

    size: str
    task: str
    variant: str
    metric: str
    arm: str
    step: int
    mean: float
    low: float | None
    high: float | None
    interval: str
    seeds: int
    n: int | None
    paper: float | None
    baselines: str

    @property
    def figure(self) -> tuple[str, ...]:
        """What was measured, whatever the arm."""
        return self.size, self.task, self.variant, self.metric


def summary(measured: Collection[Measurement]) -> list[Line]:
    """A line per figure and arm; the interval is Student's over seeds where there are several, else over items."""
    groups: dict[tuple[str, ...], list[Measurement]] = {}
    for m in measured:
        arm = f"{OUTER}, generation {m.generation}" if m.arm == OUTER else m.arm
        groups.setdefault((m.size, *m.figure, arm), []).append(m)
    lines = []
    for (size, task, variant, metric, arm), group in groups.items():
        low, high, interval = _interval(group)
        baselines = "; ".join(f"{name} {value:.4f}" for name, value in json.loads(group[0].baselines).items())
        mean, step = fmean(m.value for m in group), max(m.step for m in group)
        paper = _paper(task, variant, metric, arm)
        about = (size, task, variant, metric, arm, step)
        lines.append(Line(*about, mean, low, high, interval, len(group), group[0].n, paper, baselines))
    places = {arm: number for number, arm in enumerate(ARMS, start=1)}
    first = {name: number for number, name in enumerate(HEADLINES)}
    return sorted(
        lines,
        key=lambda line: (
            line.size,
            first.get((line.task, line.metric), len(first)),
            line.task,
            line.variant,
            _natural(line.metric),
            places.get(line.arm, 0),
            line.arm,
        ),
    )


def _interval(group: Sequence[Measurement]) -> tuple[float | None, float | None, str]:
    if len(group) == 1:
        return group[0].low, group[0].high, f"items: {group[0].interval}" if group[0].low is not None else ""
    from scipy.stats import t  # takes a second to import

    values = [m.value for m in group]
    mean, n = fmean(values), len(values)
    error = (sum((value - mean) ** 2 for value in values) / (n - 1) / n) ** 0.5
    half = float(t.ppf(0.975, n - 1)) * error
    return mean - half, mean + half, "seeds: Student's t"


def _paper(task: str, variant: str, metric: str, arm: str) -> float | None:
    """The authors' value at the end of training, under their protocol."""
    match = LAYER.fullmatch(metric)
    if (task, metric) == ("validation", "loss_full"):
        panel, x = "loss_over_training", None
    elif variant.split(",")[0] != "paper":
        return None
    elif match:
        panel, x = "brain_by_layer", float(match[1])
    else:
        panel, x = next((name for name, key in TASKS.items() if key == (task, metric)), ""), None
    found = [row for row in paper_values(panel) if row.series == arm and x in (None, row.x)]
    return found[-1].y if found else None


def _natural(metric: str) -> tuple[str, int]:
    """Layers in order of their numbers."""
    match = LAYER.fullmatch(metric)
    return ("r_layer", int(match[1])) if match else (metric, 0)
