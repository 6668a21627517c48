"""From what was read of the runs to the points that each panel shows."""

import json
import re
from collections.abc import Callable, Collection
from statistics import fmean

from figures.arms import ARMS
from figures.connectome_sizes import Coded, read_coded
from figures.experiment import VALIDATION_LOSS, Experiment, chosen_variant, last_measurements
from figures.paper_values import UPPER_BOUND, paper_values
from figures.results import Measurement
from figures.runs import OUTER, Run
from figures.shown import Shown, over_seeds

__all__ = ["TASKS", "panel_rows", "paper_scale"]

LAYER = re.compile(r"r_layer_(\d+)")
PAPER_WEIGHTS = 100e6  # from here on a model counts as of the paper's size
TASKS = {  # panel: task, metric
    "hellaswag": ("hellaswag", "acc_sum"),
    "mmlu": ("mmlu", "acc_sum"),
    "reading_times": ("natural_stories", "r"),
    "brain_by_layer": ("tuckute2024", "r_layer_<k>"),
    "localised_1pct": ("tuckute2024", "localised_1pct"),
    "localised_10pct": ("tuckute2024", "localised_10pct"),
}


def panel_rows(experiment: Experiment) -> dict[str, list[Shown]]:
    """Rows of every panel, in the order of the page; of a panel for which nothing is there, none."""
    makers: dict[str, Callable[[Experiment], list[Shown]]] = {
        "loss_over_training": loss_over_training,
        "hellaswag": lambda e: one_figure(e, "hellaswag"),
        "mmlu": lambda e: one_figure(e, "mmlu"),
        "reading_times": reading_times,
        "brain_by_layer": brain_by_layer,
        "localised_1pct": lambda e: one_figure(e, "localised_1pct"),
        "localised_10pct": lambda e: one_figure(e, "localised_10pct"),
        "compression": compression,
        "density_over_generations": lambda e: over_generations(e, "density"),
        "loss_over_generations": lambda e: over_generations(e, "loss_full"),
        "loss_within_generations": loss_within_generations,
    }
    return {name: make(experiment) for name, make in makers.items()}


def loss_over_training(experiment: Experiment) -> list[Shown]:
    """Curves of the inner runs, their losses on the whole validation part, and the dense upper bound (Figure 1B i)."""
    inner = [run for run in experiment.runs if run.arm in ARMS]
    curves = over_seeds(point for run in inner for point in _validation(experiment, run))
    if not curves:
        return []
    ends = [m for m in experiment.measured if (m.task, m.metric) == ("validation", "loss_full")]
    finals = over_seeds(_shown(m, x=m.step) for m in ends if m.arm in ARMS)
    bounds = over_seeds(_shown(m)._replace(series=UPPER_BOUND) for m in ends if (m.arm, m.generation) == (OUTER, 0))
    rows = curves
    rows += [row._replace(role="end") for row in finals if row.role == "mean"]
    rows += [row._replace(role="bound", generation=None) for row in bounds if row.role == "mean"]
    if paper_scale(experiment):
        rows += paper_values("loss_over_training", steps=max(run.steps for run in inner))
    return rows


def loss_within_generations(experiment: Experiment) -> list[Shown]:
    """Curves of the outer loop, generation by generation."""
    outer = [run for run in experiment.runs if run.arm == OUTER]
    return over_seeds(point for run in outer for point in _validation(experiment, run))


def over_generations(experiment: Experiment, metric: str) -> list[Shown]:
    """A figure of the end of each generation of the outer loop."""
    ends = [m for m in experiment.measured if m.arm == OUTER and (m.task, m.metric) == ("validation", metric)]
    return over_seeds(_shown(m, x=m.generation)._replace(generation=None) for m in ends)


def one_figure(experiment: Experiment, panel: str) -> list[Shown]:
    """One figure of each arm at the end of its training, baselines and the authors' values (Figure 1B ii, 1D, A.2)."""
    task, metric = TASKS[panel]
    found = [m for m in _of_task(last_measurements(experiment.measured), task) if m.metric == metric and m.arm in ARMS]
    rows = over_seeds(_shown(m) for m in found)
    return rows + _baselines(found) + paper_values(panel) if rows else []


def reading_times(experiment: Experiment) -> list[Shown]:
    """Correlation with reading times over training (Figure 1C)."""
    task, metric = TASKS["reading_times"]
    found = [m for m in _of_task(experiment.measured, task) if m.metric == metric and m.arm in ARMS]
    rows = over_seeds(_shown(m, x=m.step) for m in found)
    steps = max((run.steps for run in experiment.runs if run.arm in ARMS), default=0)
    return rows + _baselines(found) + paper_values("reading_times", steps=steps) if rows else []


def brain_by_layer(experiment: Experiment) -> list[Shown]:
    """Correlation with brain responses by layer (Figure 1D)."""
    found = _of_task(last_measurements(experiment.measured), TASKS["brain_by_layer"][0])
    found = [m for m in found if m.arm in ARMS]
    layers = [(LAYER.fullmatch(m.metric), m) for m in found]
    rows = over_seeds(_shown(m, x=int(match[1])) for match, m in layers if match)
    if not rows:
        return []
    ceilings = {m.value for m in found if m.metric in ("ceiling", "noise_ceiling")}
    ceiling = [Shown("noise ceiling", "ceiling", 0, fmean(ceilings))] if ceilings else []
    # Our layers are drawn against the paper's twelve only where there are as many.
    same = max(row.x for row in rows) == max(row.x for row in paper_values("brain_by_layer"))
    return (
        rows
        + ceiling
        + _baselines([m for match, m in layers if match])
        + (paper_values("brain_by_layer") if same else [])
    )


def compression(experiment: Experiment) -> list[Shown]:
    """Bytes of what each generation hands on, of Shannon's bound, and of the weights in 16 bits each (appendix A.1)."""
    found: list[Shown] = []
    for run in experiment.runs:
        for path in sorted((run.folder / "connectomes").glob("generation_*.connectome")) if run.arm == OUTER else []:
            generation = int(path.stem.removeprefix("generation_"))
            coded = read_coded(path)
            found += [_bytes(run, generation, coded, name) for name in ("file", "bound", "dense")]
    return over_seeds(found)


def paper_scale(experiment: Experiment) -> bool:
    """Whether the losses compare with the paper's: GPT-2's tokens, and a model of its size."""
    inner = [m for m in experiment.measured if m.arm in ARMS]
    tokenizers = {m.tokenizer for m in inner if m.tokenizer}
    return tokenizers == {"gpt2"} and any(float(m.size.removesuffix("M") or 0) * 1e6 >= PAPER_WEIGHTS for m in inner)


def _bytes(run: Run, generation: int, coded: Coded, name: str) -> Shown:
    value = getattr(coded, f"{name}_bytes")
    return Shown(name, "seed", generation, value, n=coded.weights, seed=run.seed, size=run.size)


def _validation(experiment: Experiment, run: Run) -> list[Shown]:
    return [
        Shown(
            run.arm,
            "seed",
            point.step,
            point.value,
            seed=run.seed,
            size=run.size,
            generation=point.generation if run.arm == OUTER else None,
        )
        for point in experiment.curves.get(run, [])
        if point.metric == VALIDATION_LOSS
    ]


def _of_task(measured: Collection[Measurement], task: str) -> list[Measurement]:
    variant = chosen_variant(measured, task)
    return [m for m in measured if (m.task, m.variant) == (task, variant)]


def _shown(m: Measurement, x: float = 0) -> Shown:
    spread = f"95 % interval ({m.interval})" if m.interval and m.low is not None else ""
    return Shown(
        m.arm,
        "seed",
        x,
        m.value,
        m.low,
        m.high,
        spread,
        n=m.n,
        seed=m.seed,
        size=m.size,
        generation=m.generation if m.arm == OUTER else None,
    )


def _baselines(measured: Collection[Measurement]) -> list[Shown]:
    """What costs nothing, the mean where runs differ."""
    values: dict[str, list[float]] = {}
    for m in measured:
        for name, value in json.loads(m.baselines).items():
            values.setdefault(name, []).append(float(value))
    return [Shown(name.replace("_", " "), "baseline", 0, fmean(found)) for name, found in values.items()]
