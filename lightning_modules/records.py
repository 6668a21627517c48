"""Results as one JSON object a line, so that later tools need no model to read them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from connectome.atomic_file import atomic_file

__all__ = ["add_records", "read_records", "variant_of"]

IDENTITY = ("task", "protocol", "metric")


def read_records(path: str | Path) -> list[dict[str, Any]]:
    """Records of a file, in order; none if there is no file."""
    path = Path(path)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def add_records(path: str | Path, records: Iterable[dict[str, Any]]) -> None:
    """Add records to a file, atomically, in place of earlier ones of the same measurement on the same step.

    A run that repeats its last steps after a crash thus leaves one record of each.
    """
    kept = {_identity(record): record for record in [*read_records(path), *records]}
    with atomic_file(path) as file:
        for record in kept.values():
            file.write(json.dumps(record, sort_keys=True).encode() + b"\n")


def variant_of(protocol: str, options: Mapping[str, Any]) -> str:
    """A protocol and what was chosen beside it, as one name."""
    return ",".join([protocol, *(f"{name}={value}" for name, value in sorted(options.items()))])


def _identity(record: dict[str, Any]) -> tuple[Any, ...]:
    return (*(record[key] for key in IDENTITY), record.get("model", {}).get("step"))
