"""`prepare` from a Hub that stands on loopback, through the real client libraries."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_hub import COMMIT, FakeHub

from datamodules.manifest import Manifest
from datamodules.preparing.verification import verify_folder
from datamodules.token_shards import write_shard

CLI = Path(__file__).parents[1] / "cli.py"
CONFIGURATION = """---
configs:
- config_name: sample-10BT
  data_files:
  - split: train
    path: sample/*.parquet
---
"""
pytestmark = pytest.mark.slow


def prepare(hub, tmp_path, *options):
    """Run the command against the fake Hub; returns the finished process."""
    environment = os.environ | {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, CLI, "prepare", "--folder", tmp_path / "out", "--source", "some/corpus", *options]
    return subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("failures", [0, 3])
def test_a_dataset_is_streamed_at_a_fixed_commit_and_refusals_are_tried_again(tmp_path, failures):
    (tmp_path / "hub" / "sample").mkdir(parents=True)
    (tmp_path / "hub" / "README.md").write_text(CONFIGURATION)
    pq.write_table(pa.table({"text": ["never read"]}), tmp_path / "hub" / "other.parquet")
    for file in range(2):
        rows = [{"text": f"document {n} of file {file}", "url": f"u/{file}/{n}"} for n in range(100)]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "hub" / "sample" / f"{file}.parquet")
    with FakeHub(tmp_path / "hub", failures) as hub:
        sizes = ["--tokenizer", "bytes", "--large", "-1", "--small", "500", "--validation", "500"]
        done = prepare(hub, tmp_path, *sizes)
        assert done.returncode == 0, done.stderr
        assert hub.failures == 0
        hub.shutdown()
    source = Manifest.read(tmp_path / "out" / "large").source["source"]
    assert source["revision"] == COMMIT
    assert [name.rsplit("/", 1)[1] for name, _ in source["files"]] == ["0.parquet", "1.parquet"]
    assert b"never read" not in (tmp_path / "out" / "large" / "large_000000.bin").read_bytes()[1024::2]
    verify_folder(tmp_path / "out")


def test_pre_tokenised_shards_are_fetched(tmp_path):
    for number, name in enumerate(["train_000001", "train_000002", "val_000000"]):
        write_shard(tmp_path / "hub" / f"fineweb_{name}.bin", [50256, *range(number * 100, number * 100 + 9)])
    with FakeHub(tmp_path / "hub", failures=1) as hub:
        done = prepare(hub, tmp_path, "--large", "10", "--small", "10", "--validation", "10")
        assert done.returncode == 0, done.stderr
        hub.shutdown()
    for part, name in {"large": "train_000002", "small": "train_000001", "validation": "val_000000"}.items():
        there, here = tmp_path / "hub", tmp_path / "out" / part
        assert (here / f"fineweb_{name}.bin").read_bytes() == (there / f"fineweb_{name}.bin").read_bytes()
    assert Manifest.read(tmp_path / "out" / "large").source["revision"] == COMMIT


def test_no_network_is_told_with_what_to_do(tmp_path):
    with FakeHub(tmp_path) as hub:
        address = hub.address
        hub.shutdown()
    gone = type("Gone", (), {"address": address})
    done = prepare(gone, tmp_path, "--tokenizer", "bytes")
    assert done.returncode == 1
    assert "a dataset of that name on the Hub could be found" in done.stderr
    assert "name a folder of parquet or jsonl files" in done.stderr
