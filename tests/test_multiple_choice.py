"""HellaSwag and MMLU through the command line, on hand-made questions."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiktoken
import torch
from evaluated import evaluated, value
from small_model import small_model

import cli
from datamodules.multiple_choice import encode_jointly, encode_separately, stratified_subset
from datamodules.scoring_batches import Request, ScoringBatch
from datamodules.tokenizer import get_tokenizer
from lightning_modules import multiple_choice
from lightning_modules.multiple_choice import cheap_answers
from lightning_modules.scorer import Scores, score, score_all

Run = Callable[..., list[dict[str, Any]]]
WORDS = ["the", "a", "man", "dog", "runs", "sits", "and", "then", "to", "house", "quickly", "water", "looks", "up"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 questions in the original form of HellaSwag."""
    draw = random.Random(0)
    path = tmp_path_factory.mktemp("hellaswag") / "hellaswag_val.jsonl"

    def text(most: int) -> str:
        return " ".join(draw.choices(WORDS, k=draw.randrange(1, most)))

    rows = [
        {
            "ind": n,
            "activity_label": "Walking",
            "ctx_a": (a := text(8)),
            "ctx_b": (b := text(3)),
            "ctx": f"{a} {b}",
            "endings": [text(5) for _ in range(4)],
            "label": draw.randrange(4),
            "split_type": "indomain" if n % 3 else "zeroshot",
            "source_id": f"activitynet~v_{n}" if n % 2 else f"wikihow~{n}",
        }
        for n in range(40)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path.parent


@pytest.fixture
def run(tmp_path: Path, folder: Path) -> Run:
    """Evaluates a model, and returns the records."""

    def evaluate(checkpoint: Path, *options: str, task: str = "hellaswag", data: Path = folder) -> list[dict[str, Any]]:
        return evaluated(tmp_path, checkpoint, *options, task=task, data=data)

    return evaluate


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    small_model(tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def test_accuracies_follow_from_the_log_probabilities_of_each_answer(checkpoint: Path, run: Run, folder: Path) -> None:
    records = run(checkpoint)
    rows = [json.loads(line) for line in (folder / "hellaswag_val.jsonl").read_text().splitlines()]
    net = small_model(checkpoint)
    nats = [
        [
            score_all(net, [Request(list(row["ctx"].encode()), list(f" {ending}".encode()))])[0][0]
            for ending in row["endings"]
        ]
        for row in rows
    ]
    gold = np.array([row["label"] for row in rows])
    letters = np.array([[len(ending) for ending in row["endings"]] for row in rows])
    expected = {
        "acc_sum": nats,
        "acc_token": nats / (letters + 1),
        "acc_char": nats / letters,
        "acc_byte": nats / letters,
    }
    for name, scores in expected.items():
        assert value(records, name) == np.mean(np.argmax(scores, axis=1) == gold), name
    items = pq.read_table(records[0]["items"])
    assert items["log_probability"].to_pylist() == [pytest.approx(four, abs=1e-4) for four in nats]
    assert items["item"].to_pylist() == list(range(40))
    assert {"acc_sum/indomain", "acc_sum/zeroshot", "acc_sum/wikihow", "acc_sum/activitynet"} <= {
        record["metric"] for record in records
    }


@pytest.mark.parametrize("options", [("--data.batch_tokens", "1"), ("--data.batch_tokens", "300"), ()])
def test_batches_change_nothing(options: tuple[str, ...], checkpoint: Path, run: Run) -> None:
    one, other = run(checkpoint), run(checkpoint, *options)
    assert [record["value"] for record in one] == [record["value"] for record in other]
    tables = [pq.read_table(records[0]["items"])["log_probability"].to_pylist() for records in (one, other)]
    np.testing.assert_allclose(tables[0], tables[1], atol=1e-4)


def test_a_uniform_model_takes_the_shortest_answer_and_the_first_of_equal_ones(tmp_path: Path, run: Run) -> None:
    small_model(tmp_path / "u.safetensors", uniform=True)
    records = run(tmp_path / "u.safetensors")
    first = records[0]
    assert first["metric"] == "acc_sum"
    assert first["value"] == first["baselines"]["shortest in tokens"]
    assert value(records, "acc_token") == first["baselines"]["always A"]
    assert next(record["ties"] for record in records if record["metric"] == "acc_token") == 40
    assert next(record["value_ties_split"] for record in records if record["metric"] == "acc_token") == 0.25


@pytest.mark.parametrize(("bonus", "expected"), [(1e6, 1.0), (-1e6, 0.0)])
def test_an_oracle_is_always_right_and_its_opposite_never(
    bonus: float, expected: float, checkpoint: Path, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [json.loads(line) for line in (folder / "hellaswag_val.jsonl").read_text().splitlines()]

    def with_bonus(net: Any, batch: ScoringBatch) -> Scores:
        scores = score(net, batch)
        right = [rows[request // 4]["label"] == request % 4 for request in scores.requests.tolist()]
        return scores._replace(log_probability=scores.log_probability + bonus * torch.tensor(right))

    monkeypatch.setattr(multiple_choice, "score", with_bonus)
    records = run(checkpoint)
    assert {record["value"] for record in records} == {expected}


def test_rows_that_do_not_fit_are_counted_and_said(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    small_model(tmp_path / "short.safetensors", block_size=12)
    record = run(tmp_path / "short.safetensors")[0]
    assert record["rows"] == 160
    assert 0 < record["rows_long"] < record["rows_cut"] < 160
    assert f"{record['rows_cut']:,} exceed the model's context of 12 tokens" in capsys.readouterr().out


def test_a_limit_is_part_of_the_name_and_said(checkpoint: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    record = run(checkpoint, "--data.limit", "12")[0]
    assert record["items"].parent.name == "paper,limit=12"
    assert (record["n"], record["questions"], record["questions_in_all"]) == (12, 12, 40)
    assert "12 of 40 questions" in capsys.readouterr().out
    assert len(pq.read_table(record["items"])) == 12


def test_a_verdict_is_printed(checkpoint: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run(checkpoint)
    assert "Above chance (0.25): nothing. Above the best choice that needs no model" in capsys.readouterr().out


def test_a_subset_has_the_shares_of_the_whole_and_is_always_the_same() -> None:
    strata = ["a"] * 60 + ["b"] * 30 + ["c"] * 10
    places = stratified_subset(strata, 20)
    assert [sum(strata[place] == name for place in places) for name in "abc"] == [12, 6, 2]
    assert (places == stratified_subset(strata, 20)).all()
    assert (np.diff(places) > 0).all()
    assert len(stratified_subset(strata, 21)) == 21
    assert len(stratified_subset(strata, 1000)) == 100


def test_cheap_answers() -> None:
    lengths = {"tokens": np.array([[2, 1, 1, 3], [1, 1, 2, 2]]), "characters": np.array([[5, 9, 9, 8], [1, 2, 3, 4]])}
    found = cheap_answers(np.array([1, 2]), lengths)
    assert {name: right.tolist() for name, right in found.items()} == {
        "always A": [False, False],
        "always B": [True, False],
        "always C": [False, True],
        "always D": [False, False],
        "shortest in tokens": [True, False],
        "longest in tokens": [False, True],
        "shortest in characters": [False, False],
        "longest in characters": [True, False],
    }


def test_the_harness_moves_spaces_to_the_continuation_and_cuts_after_the_context() -> None:
    encoding = get_tokenizer("bytes")
    assert encode_jointly(encoding, "ab \n", " c") == Request(list(b"ab"), list(b" \n c"))
    assert encode_jointly(encoding, " ", " c") == Request([256], list(b"  c"))
    assert encode_separately(encoding, "ab ", " c") == Request(list(b"ab "), list(b" c"))


def test_a_text_whose_tokens_span_the_border_is_cut_where_the_context_would_end() -> None:
    pairs = {bytes([byte]): byte for byte in range(256)} | {b"bc": 256}
    encoding = tiktoken.Encoding(
        "pairs", pat_str=r"[\s\S]+", mergeable_ranks=pairs, special_tokens={"<|endoftext|>": 257}
    )
    assert encode_jointly(encoding, "ab", "cd") == Request([97, 256], [100])
    assert encode_separately(encoding, "ab", "cd") == Request([97, 98], [99, 100])


def test_questions_without_four_answers_are_refused(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"activity_label": "x", "ctx": "a", "ctx_a": "a", "ctx_b": "", "endings": ["b"], "label": 0}
    (tmp_path / "hellaswag_val.jsonl").write_text(json.dumps(row))
    words = ["--model.checkpoint", str(checkpoint), "--data.folder", str(tmp_path), "--trainer.accelerator", "cpu"]
    assert cli.main(["test", "hellaswag", *words]) == 1
    assert "question 0 of HellaSwag has not 4 answers" in capsys.readouterr().err


@pytest.mark.slow
def test_two_ranks_find_what_one_finds(tmp_path: Path, checkpoint: Path, run: Run, folder: Path) -> None:
    alone = run(checkpoint)
    out = tmp_path / "two"
    words = (
        f"test hellaswag --model.checkpoint {checkpoint} --data.folder {folder} --files.out {out} --trainer.devices 2"
    )
    command = [sys.executable, str(Path(cli.__file__)), *words.split(), "--trainer.accelerator", "cpu"]
    command += ["--trainer.strategy", "ddp", "--data.batch_tokens", "200"]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=200, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (file,) = out.glob("evaluations/*/*/*.jsonl")
    together = [json.loads(line) for line in file.read_text().splitlines()]
    assert {record["world_size"] for record in together} == {2}
    assert [record["value"] for record in together] == [record["value"] for record in alone]
