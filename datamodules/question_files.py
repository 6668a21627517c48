"""Rows of a benchmark: from parquet, JSON lines or CSV in a folder, or from the Hugging Face Hub."""

import csv
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datamodules.evaluation_data import DataSource

__all__ = ["Row", "fetch_rows", "find_files", "read_rows"]

Row = dict[str, Any]


def find_files(folder: str | Path, patterns: Sequence[str]) -> list[Path]:
    """Files of the first of the patterns that matches any, in order of name.

    Raises:
        FileNotFoundError: if none does.
    """
    for pattern in patterns:
        if found := sorted(Path(folder).glob(pattern)):
            return found
    raise FileNotFoundError(
        f"none of {', '.join(patterns)} in {folder}; without --data.folder the data set is fetched from the Hub"
    )


def read_rows(paths: Sequence[Path], columns: Sequence[str] = ()) -> tuple[list[Row], DataSource]:
    """Rows of all files, one after the other, and what they are.

    Args:
        paths: `.parquet`, `.jsonl`, or `.csv` without a header; each row of a CSV also gets its `file`.
        columns: names of a CSV's columns.

    Raises:
        ValueError: if a file is damaged, or a CSV has another number of columns.
    """
    rows: list[Row] = []
    for path in paths:
        try:
            rows += _READERS[path.suffix](path, columns)
        except (ValueError, OSError, csv.Error) as error:
            raise ValueError(f"{path} cannot be read ({type(error).__name__}: {error}); copy it again") from error
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    return rows, DataSource(paths[0].parent.name, "", digests)


def fetch_rows(repository: str, configuration: str | None, split: str, revision: str) -> tuple[list[Row], DataSource]:
    """Rows of one split of a data set on the Hub, at the commit that `revision` names now.

    Raises:
        FileNotFoundError: if it cannot be fetched.
    """
    import datasets
    from huggingface_hub import HfApi

    try:
        commit = HfApi().dataset_info(repository, revision=revision).sha
        rows = datasets.load_dataset(repository, configuration, split=split, revision=commit).to_list()
    except Exception as error:  # the two libraries raise a dozen kinds
        raise FileNotFoundError(
            f"{repository} could not be fetched ({type(error).__name__}: {error}). Without a network, give "
            "--data.folder: a folder with the files that --help names"
        ) from error
    digest = hashlib.sha256(json.dumps(rows, sort_keys=True, default=str).encode()).hexdigest()
    return rows, DataSource(repository, str(commit), {split: digest})


def _parquet(path: Path, _: Sequence[str]) -> list[Row]:
    import pyarrow.parquet as pq

    return pq.read_table(path).to_pylist()


def _lines(path: Path, _: Sequence[str]) -> list[Row]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def _csv(path: Path, columns: Sequence[str]) -> list[Row]:
    """Every cell is text: `None` stays a word, which pandas would turn into a missing value."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    for number, row in enumerate(rows, 1):
        if len(row) != len(columns):
            raise ValueError(f"row {number} has {len(row)} columns, expected {len(columns)}: {', '.join(columns)}")
    return [dict(zip(columns, row, strict=True)) | {"file": path.name} for row in rows]


_READERS = {".parquet": _parquet, ".jsonl": _lines, ".csv": _csv}
