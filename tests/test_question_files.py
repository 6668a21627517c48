"""Rows of benchmarks: the three forms on disk, and the Hub."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_hub import COMMIT, FakeHub
from small_model import small_model

from datamodules.question_files import find_files, read_rows

ROWS = [{"question": "q", "A": "None", "label": 1}, {"question": "ü", "A": " x ", "label": 0}]


def test_parquet_and_json_lines_hold_the_same(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, ROWS)) + "\n\n")
    for name in ("a.parquet", "a.jsonl"):
        rows, source = read_rows([tmp_path / name])
        assert rows == ROWS
        assert source.sha256 == {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}


def test_every_cell_of_a_csv_is_text(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text('1,"two\nlines, ""quoted""",None\n,NA,nan\n')
    rows, _ = read_rows([tmp_path / "b.csv"], ("x", "y", "z"))
    assert [(row["x"], row["y"], row["z"]) for row in rows] == [
        ("1", 'two\nlines, "quoted"', "None"),
        ("", "NA", "nan"),
    ]
    assert {row["file"] for row in rows} == {"b.csv"}


@pytest.mark.parametrize(("name", "content"), [("a.parquet", b"PAR1"), ("a.jsonl", b"{]"), ("a.csv", b"one,two\n")])
def test_a_damaged_file_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} cannot be read"):
        read_rows([tmp_path / name], ("x", "y", "z"))


def test_the_first_pattern_that_matches_is_taken(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "c.parquet"):
        (tmp_path / name).touch()
    assert [path.name for path in find_files(tmp_path, ["*.jsonl", "*.csv", "*.parquet"])] == ["a.csv", "b.csv"]
    with pytest.raises(FileNotFoundError, match=r"none of \*\.txt in .* Hub"):
        find_files(tmp_path, ["*.txt"])


HUB_LAYOUT = {  # configurations and files as the two data sets have them
    "hellaswag": (
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: validation\n    path: data/val*\n---\n",
        "data/validation-00000-of-00001.parquet",
        {"ctx": "a man", "ctx_a": "a man", "ctx_b": "he", "activity_label": "x", "endings": list("abcd"), "label": "2"},
    ),
    "mmlu": (
        "---\nconfigs:\n- config_name: all\n  data_files:\n  - split: test\n    path: all/test-*\n---\n",
        "all/test-00000-of-00001.parquet",
        {"question": "q?", "subject": "anatomy", "choices": list("abcd"), "answer": 2},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("task", HUB_LAYOUT)
def test_without_a_folder_the_data_come_from_the_hub(task: str, tmp_path: Path) -> None:
    readme, name, row = HUB_LAYOUT[task]
    (tmp_path / "hub" / name).parent.mkdir(parents=True)
    (tmp_path / "hub" / "README.md").write_text(readme)
    pq.write_table(pa.Table.from_pylist([row] * 3), tmp_path / "hub" / name)
    small_model(tmp_path / "m.safetensors")
    words = ["test", task, "--model.checkpoint", "m.safetensors", "--trainer.accelerator", "cpu"]
    command = [sys.executable, Path(__file__).parents[1] / "cli.py", *words]
    with FakeHub(tmp_path / "hub") as hub:
        home = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
        done = subprocess.run(
            list(map(str, command)), cwd=tmp_path, env=os.environ | home, capture_output=True, text=True, timeout=200
        )
        hub.shutdown()
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.glob(f"evaluations/m/evaluations/{task}/paper/00000007.jsonl")
    record = json.loads(file.read_text().splitlines()[0])
    assert record["n"] == 3
    assert record["data"]["revision"] == COMMIT
    assert [len(digest) for digest in record["data"]["sha256"].values()] == [64]
