"""What each run was asked for, and what it cost."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from figures.curves import Point
from figures.experiment import MFU, TOKENS_PER_SECOND, Experiment
from figures.runs import Run

__all__ = ["RunCost", "run_costs"]

HOUR = 3600


class RunCost(NamedTuple):
    """Configuration and cost of one run; what is not recorded is empty.

    Args:
        size: of the model, in weights.
        arm: of the inner loop; `outer` for an outer loop.
        seed: of the run.
        generations: asked for.
        steps: optimizer steps of a generation.
        steps_done: optimizer steps to the last point on its curves.
        batch: sequences of a step.
        context: tokens of a sequence.
        tokens: read until then.
        learning_rate: at its peak.
        precision: of the trainer.
        device: what it ran on.
        devices: how many, where the configuration names a number.
        tokens_per_second: median over the log intervals, all devices together.
        mfu: median model FLOPs utilisation, on a known GPU.
        hours: tokens over tokens per second: training without validation and checkpoints.
        device_hours: hours times devices.
        tokenizer: of the tokens, as the run's records name it.
        data: folder of the tokens.
        folder: of the run.
    """

    size: str
    arm: str
    seed: int
    generations: int
    steps: int
    steps_done: int
    batch: int | None
    context: int | None
    tokens: int | None
    learning_rate: float | None
    precision: str
    device: str
    devices: int | None
    tokens_per_second: float | None
    mfu: float | None
    hours: float | None
    device_hours: float | None
    tokenizer: str
    data: str
    folder: str


def run_costs(experiment: Experiment) -> list[RunCost]:
    """One row a run, in order of size, arm and seed."""
    tokenizers = {(m.size, m.arm, m.seed): m.tokenizer for m in experiment.measured if m.tokenizer}
    return [
        _cost(run, experiment.curves.get(run, []), tokenizers.get((run.size, run.arm, run.seed), ""))
        for run in experiment.runs
    ]


def _cost(run: Run, points: Sequence[Point], tokenizer: str) -> RunCost:
    data, model, trainer = (dict(run.config.get(part) or {}) for part in ("data", "model", "trainer"))
    done = max((_since_the_beginning(run, point) for point in points), default=0)
    batch, context = data.get("batch_size"), data.get("block_size") or model.get("block_size")
    tokens = done * batch * context if batch and context else None
    speeds = [point.value for point in points if point.metric == TOKENS_PER_SECOND]
    shares = [point.value for point in points if point.metric == MFU]
    speed = median(speeds) if speeds else None
    hours = tokens / speed / HOUR if tokens and speed else None
    devices = _devices(trainer)
    return RunCost(
        size=run.size,
        arm=run.arm,
        seed=run.seed,
        generations=run.generations,
        steps=run.steps,
        steps_done=done,
        batch=batch,
        context=context,
        tokens=tokens,
        learning_rate=model.get("learning_rate"),
        precision=str(trainer.get("precision") or ""),
        device=str(trainer.get("accelerator") or ""),
        devices=devices,
        tokens_per_second=speed,
        mfu=median(shares) if shares else None,
        hours=hours,
        device_hours=hours * devices if hours and devices else None,
        tokenizer=tokenizer,
        data=str(data.get("folder") or ""),
        folder=str(run.folder),
    )


def _since_the_beginning(run: Run, point: Point) -> int:
    return point.step + (0 if point.metric.startswith("throughput/") else point.generation * run.steps)


def _devices(trainer: Mapping[str, Any]) -> int | None:
    """Devices of all nodes; nothing for `auto` or a list."""
    devices = str(trainer.get("devices") or "")
    return int(devices) * int(trainer.get("num_nodes") or 1) if devices.isdigit() else None
