"""Evaluations through the command line, for tests: what they leave as records."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cli


def evaluated(root: Path, checkpoint: Path, *options: str, task: str, data: Path) -> list[dict[str, Any]]:
    """Evaluate a model into a new folder below `root`; its records, `items` being the path of the table."""
    out = root / f"out{len(list(root.glob('out*')))}"
    words = ["--data.folder", str(data), "--files.out", str(out), "--trainer.accelerator", "cpu", *options]
    assert cli.main(["test", task, "--model.checkpoint", str(checkpoint), *words]) == 0
    (file,) = out.glob("evaluations/*/*/*.jsonl")
    records = [json.loads(line) for line in file.read_text().splitlines()]
    return [record | {"items": out / record["per_item_file"]} for record in records]


def value(records: Sequence[dict[str, Any]], metric: str) -> float:
    """The figure of that name."""
    return next(record["value"] for record in records if record["metric"] == metric)
