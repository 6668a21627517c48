"""What an evaluation leaves: records, the table of items, curves, and a table to read."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from small_model import small_model
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import cli
from callbacks.evaluation_files import EvaluationFiles, evaluation_folder, metrics_table
from datamodules.fineweb_validation import FineWebValidation
from lightning_modules.metric import Metric
from lightning_modules.records import variant_of

FIELDS = (
    "task protocol metric value stderr ci95 ci_method n baselines per_item_file data tokenizer_sha256 model "
    "context_len window bos dtype device batch_tokens code_version"
)


@pytest.fixture
def run(tmp_path: Path, shards: Path) -> Path:
    """A run folder whose weights have been evaluated."""
    folder = tmp_path / "run"
    (folder / "snapshots").mkdir(parents=True)
    (folder / "config.yaml").touch()
    small_model(folder / "snapshots" / "7.safetensors", block_size=16)
    evaluate(folder, shards)
    return folder


def evaluate(folder: Path, shards: Path) -> None:
    words = ["--data.folder", str(shards), "--data.tokens", "320", "--trainer.accelerator", "cpu"]
    command = ["test", "next_word_loss", "--model.checkpoint", str(folder / "snapshots" / "7.safetensors"), *words]
    assert cli.main(command) == 0


def test_records_lie_beside_the_weights_with_all_their_fields(run: Path) -> None:
    (file,) = run.glob("evaluations/*/*/*.jsonl")
    assert file.relative_to(run) == Path("evaluations/next_word_loss/standard,tokens=320/00000007.jsonl")
    for record in map(json.loads, file.read_text().splitlines()):
        assert record.keys() >= set(FIELDS.split())
        assert record["model"]["step"] == 7
        assert record["model"]["params_nonzero"] > 0
        assert record["data"].keys() == {"name", "revision", "sha256"}
        assert (run / record["per_item_file"]).is_file()


def test_the_table_of_items_says_how_figures_follow_from_it(run: Path) -> None:
    (file,) = run.glob("evaluations/*/*/*.parquet")
    table = pq.read_table(file)
    about = json.loads(table.schema.metadata[b"evaluation"])
    assert about["statistics"] == {"loss": {"kind": "mean", "column": "loss"}}
    assert (about["task"], about["protocol"], about["options"]) == ("next_word_loss", "standard", {"tokens": 320})
    record = json.loads(file.with_suffix(".jsonl").read_text().splitlines()[0])
    assert sum(table["loss"].to_pylist()) / len(table) == pytest.approx(record["value"])


def test_evaluating_again_replaces_files_and_points(run: Path, shards: Path) -> None:
    before = sorted(path.relative_to(run) for path in run.rglob("*"))
    evaluate(run, shards)
    assert sorted(path.relative_to(run) for path in run.rglob("*")) == before
    curves = EventAccumulator(str(run / "tensorboard" / "evaluations")).Reload()
    (point,) = curves.Scalars("evaluation/next_word_loss/standard,tokens=320/loss")
    assert point.step == 7


def test_a_result_counts_only_for_the_data_it_was_made_from(run: Path, shards: Path) -> None:
    checkpoint = str(run / "snapshots" / "7.safetensors")
    for part, known in (("validation", True), ("small", False)):
        data = FineWebValidation(folder=str(shards), validation=part, tokens=320, tokenizer="bytes", block_size=16)
        data.setup("test")
        assert EvaluationFiles().are_there(checkpoint, 7, data) is known
        assert not EvaluationFiles().are_there(checkpoint, 8, data)


def test_weights_that_belong_to_no_run_have_a_folder_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").touch()
    path = str(tmp_path).strip("/").replace("/", "--")
    assert evaluation_folder(str(tmp_path / "m.safetensors")) == Path(f"evaluations/{path}--m")
    assert evaluation_folder("owner/model") == Path("evaluations/owner--model")


def test_what_was_chosen_is_part_of_the_name() -> None:
    assert variant_of("paper", {}) == "paper"
    assert variant_of("paper", {"shots": 5, "limit": 10}) == "paper,limit=10,shots=5"


def test_metrics_as_a_table_with_equal_baselines_said_once() -> None:
    chance = {"chance": 0.25}
    metrics = [
        Metric("acc_sum", 0.5, 1000, ci95=(0.4, 0.6), baselines=chance),
        Metric("acc_token", 0.25, 1000, baselines=chance),
    ]
    assert metrics_table(metrics).splitlines() == [
        "metric     value   95 % interval     n",
        "acc_sum    0.5000  [0.4000, 0.6000]  1,000",
        "acc_token  0.2500  -                 1,000",
        "baselines of acc_sum, acc_token: chance 0.2500",
    ]
