"""Result records of a run as tidy values: what was measured of which model, with its uncertainty."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from figures.runs import OUTER, Run
from lightning_modules.records import read_records

__all__ = ["ALONG_TRAINING", "VALIDATION", "End", "Measurement", "ends_of", "read_measurements", "upper_bound"]

VALIDATION = "validation"
LOSS_FULL, DENSITY = "loss_full", "density"
ALONG_TRAINING = ("natural_stories",)  # of the other tasks only the last step is wanted


class Measurement(NamedTuple):
    """One figure of one model.

    Args:
        size: of the model, in weights.
        arm: of the inner loop; `outer` for an outer loop.
        seed: of the run.
        generation: of an outer loop; 0 in an inner one.
        step: optimizer steps of the run at which the model was measured.
        task: for example `hellaswag`; `validation` for the losses at the end of a generation or run.
        variant: the protocol, and what was chosen beside it.
        metric: name of the figure.
        value: of the metric.
        low: lower end of its 95 % interval over items.
        high: upper end.
        interval: how the interval was made.
        n: items behind it.
        baselines: what costs nothing reaches, by name, as JSON.
        tokenizer: of the model.
        items: the table of items, in the run folder; empty if there is none.
    """

    size: str
    arm: str
    seed: int
    generation: int
    step: int
    task: str
    variant: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    interval: str = ""
    n: int | None = None
    baselines: str = "{}"
    tokenizer: str = ""
    items: str = ""

    @property
    def figure(self) -> tuple[str, str, str]:
        """What was measured, whatever the model."""
        return self.task, self.variant, self.metric


class End(NamedTuple):
    """The end of a generation, or of an inner run.

    Args:
        arm: of the inner loop; `outer` for an outer loop.
        seed: of the run.
        generation: of an outer loop; 0 in an inner one.
        loss: on the whole validation part, nats per token.
        density: share of the weights that existed in training.
    """

    arm: str
    seed: int
    generation: int
    loss: float
    density: float


def read_measurements(run: Run, *, all_steps: bool = False) -> list[Measurement]:
    """What the records of a run say: the ends of its generations, and its evaluations; nothing if there are none.

    Args:
        run: whose records are read.
        all_steps: read all evaluations along training, not only those that the report shows.

    Raises:
        ValueError: if a file is damaged.
    """
    found: list[Measurement] = []
    for record in _records(run.folder / "records.jsonl", "write the losses again with `python cli.py validate`"):
        if record["task"] == VALIDATION and record["metric"] == LOSS_FULL:
            found.append(_measurement(run, record, str(record["protocol"])))
            density = record | {"metric": DENSITY, "value": record["model"]["density"]}
            found.append(_measurement(run, density, str(record["protocol"])))
    for folder in sorted((run.folder / "evaluations").glob("*/*")):
        for path in _wanted(run, folder, all_steps):
            records = _records(path, "repeat the evaluation with `python cli.py test`")
            found += [_measurement(run, record, folder.name) for record in records]
    return sorted(found, key=lambda m: (m.generation, m.task != VALIDATION, m.task, m.variant, m.step))


def ends_of(measured: Iterable[Measurement]) -> list[End]:
    """The ends of generations and inner runs among what was measured of models of one size."""
    found: dict[tuple[str, int, int], dict[str, float]] = {}
    for m in measured:
        if m.task == VALIDATION:
            found.setdefault((m.arm, m.seed, m.generation), {})[m.metric] = m.value
    return [End(*key, values[LOSS_FULL], values[DENSITY]) for key, values in found.items()]


def upper_bound(ends: Iterable[End]) -> dict[int, float]:
    """Loss of the dense model on the large corpus by seed: what generation 0 of the outer loop reaches."""
    return {end.seed: end.loss for end in ends if (end.arm, end.generation) == (OUTER, 0)}


def _wanted(run: Run, folder: Path, all_steps: bool) -> list[Path]:
    """Files of one task and variant: the generations' ends, all along training, or the last."""
    files = {int(path.stem): path for path in sorted(folder.glob("*.jsonl")) if path.stem.isdigit()}
    if all_steps:
        return [*files.values()]
    if run.arm == OUTER:
        return [path for step, path in files.items() if step % run.steps == 0]
    return [*files.values()] if folder.parent.name in ALONG_TRAINING else [*files.values()][-1:]


def _records(path: Path, remedy: str) -> list[dict[str, Any]]:
    try:
        records = read_records(path)
        for record in records:
            record["task"], record["metric"], float(record["value"])
            if record["task"] == VALIDATION:
                record["model"]["step"], record["model"]["density"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}: {error}); every line is one JSON object with task, metric, "
            f"value and model. Move it elsewhere and {remedy}"
        ) from error
    return records


def _measurement(run: Run, record: dict[str, Any], variant: str) -> Measurement:
    model = record["model"]
    step = int(model.get("step") or 0)
    interval = record.get("ci95") or (None, None)
    return Measurement(
        size=run.size,
        arm=run.arm,
        seed=run.seed,
        generation=max(0, step - 1) // run.steps if run.arm == OUTER else 0,
        step=step,
        task=record["task"],
        variant=variant,
        metric=record["metric"],
        value=float(record["value"]),
        low=interval[0],
        high=interval[1],
        interval=record.get("ci_method") or "",
        n=record.get("n"),
        baselines=json.dumps(record.get("baselines") or {}, sort_keys=True),
        tokenizer=model.get("tokenizer") or record.get("tokenizer") or "",
        items=record.get("per_item_file") or "",
    )
