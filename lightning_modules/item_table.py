"""The table of items that an evaluation leaves: a row an item, and how each figure follows from the columns."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from connectome.atomic_file import atomic_file

__all__ = ["ItemTable", "read_items", "write_items"]

KEY = b"evaluation"  # of what is said about the table, in its metadata


@dataclass(frozen=True)
class ItemTable:
    """What one model made of every item of an evaluation.

    Args:
        path: of the file, parquet.
        about: `task`, `protocol`, `options`, `data`, `model`, and under `statistics`, by the name of a metric, how it
            follows from the columns: see `Metric.statistic`.
        columns: by name, each of shape `(items, …)`; `item` numbers the rows.
    """

    path: Path
    about: Mapping[str, Any]
    columns: Mapping[str, np.ndarray]


def write_items(table: ItemTable) -> None:
    """Write a table to its file, atomically."""
    content = pa.table({name: pa.array(list(values)) for name, values in table.columns.items()})
    buffer = BytesIO()
    pq.write_table(content.replace_schema_metadata({KEY: json.dumps(table.about)}), buffer, compression="zstd")
    with atomic_file(table.path) as file:
        file.write(buffer.getvalue())


def read_items(path: Path) -> ItemTable:
    """A table of items that an evaluation has written.

    Raises:
        ValueError: if it is damaged, or something else.
    """
    try:
        table = pq.read_table(path)
        about = json.loads((table.schema.metadata or {})[KEY])
        columns = {name: np.array(table[name].to_pylist()) for name in table.column_names}
        return ItemTable(path, about, columns)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{path} is not a table of items of an evaluation, or damaged ({type(error).__name__}: {error}); "
            "evaluate again"
        ) from error
