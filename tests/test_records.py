"""Results, one JSON object a line; a repeated measurement replaces the earlier one."""

import json
from pathlib import Path
from typing import Any

import pytest

from lightning_modules.records import add_records, read_records


def record(value: float, *, step: int = 10, **changes: Any) -> dict[str, Any]:
    return {
        "task": "validation",
        "protocol": "full",
        "metric": "loss",
        "value": value,
        "model": {"step": step},
    } | changes


def values(path: Path) -> list[float]:
    return [entry["value"] for entry in read_records(path)]


def test_no_file_holds_no_records(tmp_path: Path) -> None:
    assert read_records(tmp_path / "records.jsonl") == []


def test_records_come_back_in_order(tmp_path: Path) -> None:
    added = [record(3.0, step=1), record(2.0, step=2)]
    add_records(tmp_path / "records.jsonl", added)
    add_records(tmp_path / "records.jsonl", [record(1.0, step=3)])
    assert read_records(tmp_path / "records.jsonl")[:2] == added
    assert values(tmp_path / "records.jsonl") == [3.0, 2.0, 1.0]


def test_a_repeated_measurement_replaces_the_earlier_one_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    add_records(path, [record(3.0, step=1), record(2.0, step=2)])
    add_records(path, [record(2.5, step=1)])
    assert values(path) == [2.5, 2.0]


@pytest.mark.parametrize("key", ["task", "protocol", "metric"])
def test_another_measurement_on_the_same_step_is_kept(tmp_path: Path, key: str) -> None:
    path = tmp_path / "records.jsonl"
    add_records(path, [record(3.0), record(2.0, **{key: "other"})])
    assert values(path) == [3.0, 2.0]


def test_every_line_is_one_object(tmp_path: Path) -> None:
    """A line separator of Unicode within a text is no line's end."""
    path = tmp_path / "records.jsonl"
    add_records(path, [record(1.0, note="two\u2028lines\nof text"), record(2.0, step=11)])
    lines = path.read_text().split("\n")
    assert [json.loads(line)["value"] for line in lines[:-1]] == [1.0, 2.0]
    assert lines[-1] == ""
    assert read_records(path)[0]["note"] == "two\u2028lines\nof text"


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    add_records(tmp_path / "a", [record(1.0)])
    add_records(tmp_path / "b", [dict(reversed(record(1.0).items()))])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_record_that_cannot_be_written_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    add_records(path, [record(1.0)])
    with pytest.raises(TypeError):
        add_records(path, [record(2.0, step=11), record(3.0, step=12, note=object())])
    assert values(path) == [1.0]
    assert list(tmp_path.iterdir()) == [path]
