"""HellaSwag's questions as the authors and as lm-evaluation-harness pose them."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.hellaswag import HellaSwag, harness_text

WIKIHOW = {
    "ind": 3,
    "activity_label": "Family Life",
    "ctx_a": "[header] How to cook [title] Wash  your hands. [step] Use soap.",
    "ctx_b": "then DRY them",
    "ctx": "[header] How to cook [title] Wash  your hands. [step] Use soap. then DRY them",
    "endings": [" [title] With a towel. [step] Do", "slowly.", "ünder water", "now  [substeps] later"],
    "label": 2,
    "split_type": "zeroshot",
    "source_id": "wikihow~123",
}


def posed(folder: Path, protocol: Any) -> HellaSwag:
    data = HellaSwag(folder=str(folder), protocol=protocol, tokenizer="bytes", block_size=256)
    data.setup("test")
    return data


@pytest.fixture
def original(tmp_path: Path) -> Path:
    (tmp_path / "hellaswag_val.jsonl").write_text(json.dumps(WIKIHOW) + "\n")
    return tmp_path


def test_paper_scores_the_text_as_it_stands(original: Path) -> None:
    (question,) = posed(original, "paper").questions
    assert question.context == WIKIHOW["ctx"]
    assert question.answers[0] == "  [title] With a towel. [step] Do"
    assert question.gold == 2
    assert question.groups == {"split_type": "zeroshot", "source": "wikihow"}


def test_harness_cleans_the_text_and_puts_the_activity_before_it(original: Path) -> None:
    (question,) = posed(original, "harness").questions
    assert question.context == "Family Life: How to cook. Wash your hands. Use soap. Then dry them"
    assert question.answers == (
        "  With a towel. Do",
        " slowly.",
        " ünder water",
        " now  later",  # a tag between three spaces leaves two
    )


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("  a b ", "a b"),
        ("[header] How [title] Go", " How. Go"),
        ("a [step] b [substeps] c", "a b c"),
        ("a   b", "a  b"),  # three spaces: pairs are replaced once
        ("[title] Go", " Go"),
        ("x [a] [b] y", "x  y"),
        ("no tags", "no tags"),
    ],
)
def test_the_harness_cleaning(text: str, clean: str) -> None:
    assert harness_text(text) == clean


def test_lengths_are_those_of_the_ending_without_the_space_before_it(original: Path) -> None:
    data = posed(original, "paper")
    assert data.lengths["characters"][0, 2] == len("ünder water")
    assert data.lengths["bytes"][0, 2] == len("ünder water") + 1
    assert data.lengths["tokens"][0, 2] == len("ünder water") + 2  # bytes, and the space


def test_cleaned_text_is_said_to_be_that(tmp_path: Path) -> None:
    row = {"row": 0, "activity_label": "Roofs", "ctx": "A man. he", "query": "Roofs: A man. he", "label": 3}
    pq.write_table(pa.Table.from_pylist([row | {"endings": list("abcd")}]), tmp_path / "hellaswag_val.parquet")
    data = posed(tmp_path, "paper")
    assert data.about()["text"] == "cleaned"
    assert "tags" in data.remarks()[0]
    assert data.questions[0].context == "A man. he"
    assert posed(tmp_path, "harness").questions[0].context == row["query"]


def test_the_original_is_said_to_be_that(original: Path) -> None:
    data = posed(original, "paper")
    assert data.about()["text"] == "original"
    assert data.remarks() == []
    assert data.source.name == "HellaSwag"
    assert list(data.source.sha256) == ["hellaswag_val.jsonl"]


def test_the_hubs_labels_are_text(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([WIKIHOW | {"label": "1"}]), tmp_path / "validation-0.parquet")
    assert posed(tmp_path, "paper").questions[0].gold == 1


@pytest.mark.parametrize("change", [{"label": ""}, {"endings": None}])
def test_foreign_fields_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "hellaswag_val.jsonl").write_text(json.dumps(WIKIHOW | change))
    with pytest.raises(ValueError, match="has not the fields of HellaSwag"):
        posed(tmp_path, "paper")


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="limit"):
        HellaSwag(limit=0)
