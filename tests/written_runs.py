"""Run folders written by hand, as training and evaluations leave them, for tests and benchmarks of the report."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from torch.utils.tensorboard import SummaryWriter

SMALL = {"n_layer": 2, "n_head": 4, "n_embd": 128, "vocab_size": 320, "block_size": 256}  # 0.4M weights


def write_run(
    experiment: Path,
    arm: str,
    seed: int,
    losses: Sequence[float],
    generations: int = 1,
    curve: bool = True,
    model: Mapping[str, Any] | None = None,
) -> Path:
    """A run folder with one end per loss, and a curve of two points in each generation."""
    outer = arm == "outer"
    folder = experiment / ("outer" if outer else f"inner/{arm}") / f"seed_{seed}"
    folder.mkdir(parents=True)
    wiring = {
        "class_path": "callbacks.GenerationalPruning" if outer else "callbacks.InheritConnectome",
        "init_args": {} if outer else {"arm": arm},
    }
    config = {"seed_everything": seed, "generations": generations, "steps_per_generation": 20, "wiring": wiring}
    config["model"] = dict(SMALL if model is None else model)
    config["data"] = {"folder": "data/words", "batch_size": 8, "block_size": 256}
    config["trainer"] = {"accelerator": "cpu", "devices": "1", "num_nodes": 1, "precision": "32-true"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    records = []
    for generation, loss in enumerate(losses):
        about = {"seed": seed, "step": 20 * (generation + 1), "density": 0.5**generation, "tokenizer": "bytes"}
        about |= {"generation": generation} if outer else {"arm": arm}
        for metric, value in (("loss", 9.0), ("loss_full", loss)):
            records.append(
                {"task": "validation", "protocol": "standard", "metric": metric, "value": value, "model": about}
            )
        events = folder / "tensorboard" / (f"generation_{generation}" if outer else "")
        if curve:
            with SummaryWriter(str(events)) as writer:
                writer.add_scalar("within_generation/validation/loss", loss + 1, 10)
                writer.add_scalar("within_generation/validation/loss", loss, 20)
                writer.add_scalar("throughput/tokens_per_second", 2048.0, 20 * generation + 10)
    (folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def write_evaluation(
    run: Path,
    task: str,
    step: int,
    values: Mapping[str, float],
    variant: str = "paper",
    n: int = 1000,
    half: float | None = 0.01,
    baselines: Mapping[str, float] | None = None,
) -> Path:
    """The records of one evaluation: a metric each, its interval `half` to both sides."""
    path = run / "evaluations" / task / variant / f"{step:08d}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [
        {
            "task": task,
            "protocol": variant.split(",")[0],
            "metric": metric,
            "value": value,
            "ci95": None if half is None else [value - half, value + half],
            "ci_method": "" if half is None else "Wilson",
            "n": n,
            "baselines": dict(baselines or {}),
            "per_item_file": str(path.with_suffix(".parquet").relative_to(run)),
            "model": {"step": step, "tokenizer": "bytes"},
            "statistic": {"kind": "mean", "column": metric},
        }
        for metric, value in values.items()
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path
