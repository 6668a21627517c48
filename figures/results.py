"""Result records of a run as tidy values: one line for the end of every generation or inner run."""

import json
from typing import Any, NamedTuple

from figures.runs import OUTER, Run
from lightning_modules.records import read_records

__all__ = ["End", "read_ends", "upper_bound"]

LOSS_FULL = "loss_full"


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


def read_ends(run: Run) -> list[End]:
    """What `records.jsonl` says about the ends of a run, in order; nothing if none is reached.

    Raises:
        ValueError: if the file is damaged.
    """
    path = run.folder / "records.jsonl"
    try:
        records = read_records(path)
        ends = [_end(run, record) for record in records if _is_end(record)]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}: {error}); every line is one JSON object with task, metric, "
            "value and model. Move it elsewhere and write the losses again with `python cli.py validate`"
        ) from error
    return sorted(ends, key=lambda end: end.generation)


def upper_bound(ends: list[End]) -> dict[int, float]:
    """Loss of the dense model on the large corpus by seed: what generation 0 of the outer loop reaches."""
    return {end.seed: end.loss for end in ends if (end.arm, end.generation) == (OUTER, 0)}


def _is_end(record: dict[str, Any]) -> bool:
    return record["task"] == "validation" and record["metric"] == LOSS_FULL


def _end(run: Run, record: dict[str, Any]) -> End:
    model = record["model"]
    generation = int(model["generation"]) if run.arm == OUTER else 0
    return End(run.arm, run.seed, generation, float(record["value"]), float(model["density"]))
