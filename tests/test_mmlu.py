"""MMLU's questions as the authors and as lm-evaluation-harness pose them, from each of the forms they come in."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_model import small_model

import cli
from datamodules.mmlu import CATEGORIES, CATEGORY_OF, MMLU

QUESTION = " Which one? "
ROW = {"subject": "high_school_us_history", "question": QUESTION, "choices": ["None", " x", "yy", "zzz"], "gold": 2}
DESCRIPTION = "The following are multiple choice questions (with answers) about high school us history.\n\n"
LETTERED = "Which one?\nA. None\nB.  x\nC. yy\nD. zzz\nAnswer:"


def write(folder: Path, form: str, part: str = "test", count: int = 1) -> None:
    a, b, c, d = ROW["choices"]
    if form == "csv":
        path = folder / "data" / part / f"high_school_us_history_{part}.csv"
        path.parent.mkdir(parents=True)
        path.write_text(f'"{QUESTION}",{a},{b},{c},{d},C\n' * count)
        return
    row: dict[str, Any] = {"subject": ROW["subject"], "question": QUESTION}
    row |= (
        {"choices": [a, b, c, d], "answer": 2}
        if form == "hub"
        else dict(zip("ABCD", (a, b, c, d), strict=True), answer="C")
    )
    name = f"{part}-00000-of-00001.parquet" if form == "hub" else f"mmlu_{part}.parquet"
    pq.write_table(pa.Table.from_pylist([row] * count), folder / name)


def posed(folder: Path, protocol: Any = "paper", **options: Any) -> MMLU:
    data = MMLU(folder=str(folder), protocol=protocol, tokenizer="bytes", **{"block_size": 4096, **options})
    data.setup("test")
    return data


@pytest.mark.parametrize("form", ["csv", "hub", "letters"])
def test_all_forms_hold_the_same_question(form: str, tmp_path: Path) -> None:
    write(tmp_path, form)
    (question,) = posed(tmp_path).questions
    assert question.context == "Question:  Which one? \n\nAnswer:"  # not stripped
    assert question.answers == (" None", "  x", " yy", " zzz")
    assert question.gold == 2
    assert question.groups == {"subject": "high_school_us_history", "category": "humanities"}


def test_harness_shows_the_answers_and_scores_their_letters(tmp_path: Path) -> None:
    write(tmp_path, "csv")
    data = posed(tmp_path, "harness")
    (question,) = data.questions
    assert question.context == DESCRIPTION + LETTERED
    assert question.answers == (" A", " B", " C", " D")
    assert data.option_lengths["characters"].tolist() == [[4, 2, 2, 3]]


def test_harness_continuation_scores_the_texts(tmp_path: Path) -> None:
    write(tmp_path, "csv")
    (question,) = posed(tmp_path, "harness_continuation").questions
    described = DESCRIPTION.replace("multiple choice questions", "questions")
    assert question.context == described + "Question: Which one?\nAnswer:"
    assert question.answers == (" None", "  x", " yy", " zzz")


def test_shots_that_do_not_fit_are_left_out_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path, "hub")
    write(tmp_path, "hub", "dev", count=5)
    shot = f"{LETTERED} C\n\n"
    (question,) = posed(tmp_path, "harness", shots=5).questions
    assert question.context == DESCRIPTION + 5 * shot + LETTERED
    block = len(DESCRIPTION + 2 * shot + LETTERED) + 1  # and the space, which is read; the letter is predicted
    for block_size, kept in ((block, 2), (block - 1, 1)):
        data = posed(tmp_path, "harness", shots=5, block_size=block_size)
        assert data.questions[0].context == DESCRIPTION + kept * shot + LETTERED
        assert data.about()["shots_left_out"] == 5 - kept
        assert f"{5 - kept} were left out" in data.remarks()[0]
        assert data.cut == 0


def test_options_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="protocol harness"):
        MMLU(shots=5)
    with pytest.raises(ValueError, match="letters have no"):
        MMLU(protocol="harness", mutual_information=True)
    write(tmp_path, "hub")
    write(tmp_path, "hub", "dev", count=2)
    with pytest.raises(ValueError, match="2 solved questions, expected 5"):
        posed(tmp_path, "harness", shots=5)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"mmlu_test\.parquet"):
        posed(tmp_path)
    pq.write_table(pa.table({"text": ["x"]}), tmp_path / "mmlu_test.parquet")
    with pytest.raises(ValueError, match="has not the fields of MMLU"):
        posed(tmp_path)


def test_the_57_subjects_are_in_four_categories() -> None:
    assert {name: len(subjects.split()) for name, subjects in CATEGORIES.items()} == {
        "stem": 19,
        "humanities": 13,
        "social_sciences": 12,
    }
    assert len(CATEGORY_OF) == 57 - 13  # the rest is "other"


def test_mutual_information_macro_average_and_categories_are_reported(tmp_path: Path) -> None:
    rows = [
        {"subject": subject, "question": f"{n}?", "choices": ["a", "bb", "a b", "c" * (n % 5 + 1)], "answer": n % 4}
        for subject, count in (("anatomy", 30), ("marketing", 10))
        for n in range(count)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "test-0.parquet")
    small_model(tmp_path / "m.safetensors")
    words = ["--model.checkpoint", f"{tmp_path}/m.safetensors", "--data.folder", str(tmp_path)]
    words += ["--data.mutual_information", "true", "--files.out", f"{tmp_path}/out", "--trainer.accelerator", "cpu"]
    assert cli.main(["test", "mmlu", *words]) == 0
    (stem,) = tmp_path.glob("out/evaluations/mmlu/paper,mutual_information=true/*.jsonl")
    found = {record["metric"]: record for record in map(json.loads, stem.read_text().splitlines())}
    items = pq.read_table(stem.with_suffix(".parquet")).to_pylist()
    shares = {
        subject: sum(item["correct_sum"] for item in items if item["subject"] == subject) / count
        for subject, count in Counter(item["subject"] for item in items).items()
    }
    assert found["acc_sum/macro"]["value"] == pytest.approx(sum(shares.values()) / 2)
    assert found["acc_sum/stem"]["value"] == pytest.approx(shares["anatomy"])
    assert found["acc_sum/other"]["n"] == 10
    right = 0
    for item in items:
        gain = [
            given - alone for given, alone in zip(item["log_probability"], item["log_probability_alone"], strict=True)
        ]
        right += gain.index(max(gain)) == item["gold"]
    assert found["acc_pmi"]["value"] == right / 40
