"""What an evaluation leaves: records, the table of items, a point on TensorBoard's curves, and a table to read."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import lightning as L
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from callbacks.run_folder import RunFolder
from connectome.atomic_file import atomic_file
from datamodules.evaluation_data import EvaluationData
from datamodules.tokenizer import FINGERPRINTS
from lightning_modules.evaluation import Evaluation
from lightning_modules.item_table import ItemTable, write_items
from lightning_modules.metric import Metric
from lightning_modules.records import read_records, variant_of

__all__ = ["EvaluationFiles", "evaluation_folder"]


class EvaluationFiles(L.Callback):
    """Writes, when an evaluation is done, below the folder of the run whose weights were evaluated.

        evaluations/<task>/<variant>/<step>.jsonl      one record a metric
        evaluations/<task>/<variant>/<step>.parquet    one row an item, so that two models can be compared
        tensorboard/evaluations/                       the metrics against the step

    The variant is the protocol, and what else was chosen. Evaluating the same weights again replaces the files.

    Args:
        out: folder to write to. By default that of the run to which the checkpoint belongs; for weights that are in no
            run folder, `evaluations/<path of the checkpoint, with -- for />`.
    """

    def __init__(self, out: str | None = None) -> None:
        self.out = out

    def stem(self, checkpoint: str, step: int, data: EvaluationData) -> Path:
        """The files of an evaluation, without their suffix."""
        folder = Path(self.out) if self.out else evaluation_folder(checkpoint)
        return folder / "evaluations" / data.task / variant_of(data.protocol, data.options()) / f"{step:08d}"

    def are_there(self, checkpoint: str, step: int, data: EvaluationData) -> bool:
        """Whether an evaluation has its result already, on the same data; `data` has been read."""
        records = read_records(self.stem(checkpoint, step, data).with_suffix(".jsonl"))
        return bool(records) and records[0].get("data") == asdict(data.source)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the files, and print the metrics as a table."""
        if not trainer.is_global_zero or not isinstance(pl_module, Evaluation) or trainer.fast_dev_run:
            return
        stem = self.stem(pl_module.checkpoint, int(pl_module.record.get("step") or 0), pl_module.data)
        folder, variant, step = stem.parents[3], stem.parent.name, int(stem.name)
        records = _records(pl_module, str(stem.relative_to(folder).with_suffix(".parquet")))
        _write_items(stem.with_suffix(".parquet"), pl_module)
        pl_module.write(stem)
        with atomic_file(stem.with_suffix(".jsonl")) as file:  # last: whoever finds it has both
            file.writelines(json.dumps(record, sort_keys=True).encode() + b"\n" for record in records)
        _write_events(folder, pl_module, variant, step)
        print(metrics_table(pl_module.results), *pl_module.remarks, f"written: {stem}.jsonl", sep="\n")


def evaluation_folder(checkpoint: str) -> Path:
    """The run folder to which a checkpoint belongs; `evaluations/<its path, with -- for />` if it is in none."""
    if run := RunFolder.of(checkpoint):
        return run.root
    path = Path(checkpoint)
    name = path.with_suffix("") if path.is_file() else path
    return Path("evaluations") / name.as_posix().strip("/").replace("/", "--")


def metrics_table(metrics: Sequence[Metric]) -> str:
    """Metrics as aligned lines of value, interval and number of items; below them, what each is to be held against."""
    rows = [["metric", "value", "95 % interval", "n"]]
    held: dict[str, list[str]] = {}
    for metric in metrics:
        interval = "[{:.4f}, {:.4f}]".format(*metric.ci95) if metric.ci95 else "-"
        rows.append([metric.name, f"{metric.value:.4f}", interval, f"{metric.n:,}"])
        if metric.baselines:
            line = ", ".join(f"{name} {value:.4f}" for name, value in metric.baselines.items())
            held.setdefault(line, []).append(metric.name)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([*table, *(f"baselines of {', '.join(names)}: {line}" for line, names in held.items())])


def _records(evaluation: Evaluation, items: str) -> list[dict[str, Any]]:
    """One record a metric, with everything needed to make the figure again."""
    data, trainer = evaluation.data, evaluation.trainer
    model = {key: value for key, value in evaluation.record.items() if not key.startswith("validation")}
    shared = {
        "task": data.task,
        "protocol": evaluation.protocol,
        "options": data.options(),
        "per_item_file": items,
        "data": asdict(data.source),
        "tokenizer": evaluation.tokenizer,
        "tokenizer_sha256": FINGERPRINTS.get(evaluation.tokenizer),
        "model": {"ckpt": evaluation.checkpoint, "step": 0, **model, "params_nonzero": evaluation.nonzero},
        "context_len": evaluation.config.block_size,
        "dtype": str(trainer.precision),
        "device": str(evaluation.device),
        "world_size": trainer.world_size,
        "code_version": _code_version(),
        **data.about(),
    }
    return [
        shared
        | {
            "metric": metric.name,
            "value": metric.value,
            "stderr": metric.stderr,
            "ci95": metric.ci95,
            "ci_method": metric.ci_method,
            "n": metric.n,
            "baselines": dict(metric.baselines),
            "statistic": dict(metric.statistic),
            **metric.details,
        }
        for metric in evaluation.results
    ]


def _write_items(path: Path, evaluation: Evaluation) -> None:
    """The table of items, with what its figures follow from as metadata."""
    about = {
        "task": evaluation.data.task,
        "protocol": evaluation.protocol,
        "options": evaluation.data.options(),
        "data": asdict(evaluation.data.source),
        "model": evaluation.checkpoint,
        "statistics": {metric.name: dict(metric.statistic) for metric in evaluation.results if metric.statistic},
    }
    write_items(ItemTable(path, about, evaluation.items))


def _write_events(folder: Path, evaluation: Evaluation, variant: str, step: int) -> None:
    """One small event file an evaluation, named by step and task: a repeated one takes the place of the first."""
    tag = f"evaluation/{evaluation.data.task}/{variant}"
    name = f"events.out.tfevents.{step:010d}.{evaluation.data.task}.{variant}"
    values = [Summary.Value(tag=f"{tag}/{metric.name}", simple_value=metric.value) for metric in evaluation.results]
    with atomic_file(folder / "tensorboard" / "evaluations" / name) as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=step, file_version="brain.Event:2").SerializeToString())
        writer.write(Event(wall_time=step, step=step, summary=Summary(value=values)).SerializeToString())


def _code_version() -> str:
    """Version of the project, and the commit where the checkout knows it."""
    try:
        number = version("generational-connectomes")
    except PackageNotFoundError:
        number = "not installed"
    words = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        commit = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return number
    return f"{number}+{commit}"
