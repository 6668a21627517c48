"""HellaSwag and MMLU on the real files: what a model that knows nothing must reach."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from evaluated import evaluated, value
from small_model import small_model

from datamodules.hellaswag import HellaSwag
from datamodules.mmlu import MMLU
from datamodules.multiple_choice import MultipleChoiceData, encode_jointly, encode_separately
from datamodules.tokenizer import get_tokenizer
from lightning_modules.multiple_choice import MultipleChoice, cheap_answers


@pytest.fixture(scope="module")
def real() -> Callable[..., MultipleChoiceData]:
    if "CONNECTOMES_SHARED" not in os.environ:
        pytest.skip("CONNECTOMES_SHARED is not set")
    data = Path(os.environ["CONNECTOMES_SHARED"]) / "data"
    os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(data / "tiktoken"))

    def read(task: str, **options: Any) -> MultipleChoiceData:
        kind = HellaSwag if task == "hellaswag" else MMLU
        found = kind(folder=str(data / task), **options)
        found.setup("test")
        return found

    return read


UNIFORM = {"hellaswag": (10_042, 0.253436, 0.254232, 0.2504), "mmlu": (14_042, 0.220766, 0.227508, 0.229454)}


@pytest.mark.shared
@pytest.mark.parametrize("task", UNIFORM)
def test_the_anchors_of_a_model_that_finds_all_tokens_equally_likely(
    task: str, real: Callable[..., MultipleChoiceData]
) -> None:
    data = real(task)
    n, by_sum, split, by_token = UNIFORM[task]
    nats = np.float64(np.float32(-np.log(50_304))) * data.lengths["tokens"]
    module: Any = SimpleNamespace(
        data=data,
        remarks=[],
        _accuracy=MultipleChoice._accuracy,
        _part=MultipleChoice._part,
        _macro=MultipleChoice._macro,
    )
    for name in ("_accuracy", "_part", "_macro"):
        setattr(module, name, getattr(MultipleChoice, name).__get__(module))
    items = MultipleChoice.assemble(module, {"log_probability": nats.ravel()})
    found = {metric.name: metric for metric in MultipleChoice.metrics(module, items)}
    assert (found["acc_sum"].n, len(data.questions)) == (n, n)
    assert found["acc_sum"].value == pytest.approx(by_sum, abs=5e-7)
    assert found["acc_sum"].details["value_ties_split"] == pytest.approx(split, abs=5e-7)
    assert found["acc_token"].value == pytest.approx(by_token, abs=5e-5 if task == "hellaswag" else 5e-7)
    assert found["acc_token"].details["ties"] == n
    assert found["acc_sum"].baselines["shortest in tokens"] == found["acc_sum"].value
    assert not data.cut


@pytest.mark.shared
def test_shares_of_the_right_answers(real: Callable[..., MultipleChoiceData]) -> None:
    counts = np.bincount([question.gold for question in real("hellaswag").questions])
    assert counts.tolist() == [2515, 2485, 2584, 2458]
    mmlu = real("mmlu")
    shares = np.bincount([question.gold for question in mmlu.questions]) / len(mmlu.questions)
    assert shares == pytest.approx([0.2295, 0.2465, 0.2551, 0.2689], abs=5e-5)
    cheap = cheap_answers(np.array([question.gold for question in mmlu.questions]), mmlu.option_lengths)
    measured = {"longest in tokens": 0.2827, "longest in characters": 0.2789, "shortest in characters": 0.2188}
    assert {name: cheap[name].mean() for name in measured} == pytest.approx(measured, abs=5e-5)


@pytest.mark.shared
def test_both_ways_to_tokens_agree_on_hellaswag(real: Callable[..., MultipleChoiceData]) -> None:
    encoding = get_tokenizer("gpt2")
    for question in real("hellaswag").questions[::5]:
        for answer in question.answers:
            assert encode_jointly(encoding, question.context, answer) == encode_separately(
                encoding, question.context, answer
            )


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("task", UNIFORM)
def test_the_anchors_through_the_command_line(
    task: str, real: Callable[..., MultipleChoiceData], tmp_path: Path
) -> None:
    small_model(tmp_path / "u.safetensors", uniform=True, vocab_size=50_304, width=2, block_size=1024)
    folder = Path(os.environ["CONNECTOMES_SHARED"]) / "data" / task
    records = evaluated(tmp_path, tmp_path / "u.safetensors", task=task, data=folder)
    n, by_sum, split, by_token = UNIFORM[task]
    assert value(records, "acc_sum") == pytest.approx(by_sum, abs=5e-7)
    assert records[0]["value_ties_split"] == pytest.approx(split, abs=5e-7)
    assert value(records, "acc_token") == pytest.approx(by_token, abs=5e-5 if task == "hellaswag" else 5e-7)
    assert records[0]["n"] == n


@pytest.mark.shared
def test_letters_of_all_questions_are_scored_in_one_pass_each(
    real: Callable[..., MultipleChoiceData], tmp_path: Path
) -> None:
    small_model(tmp_path / "u.safetensors", uniform=True, vocab_size=50_304, width=2, block_size=1024)
    options = ("--data.protocol", "harness", "--data.limit", "1000")
    folder = Path(os.environ["CONNECTOMES_SHARED"]) / "data" / "mmlu"
    records = evaluated(tmp_path, tmp_path / "u.safetensors", *options, task="mmlu", data=folder)
    assert records[0]["value"] == records[0]["baselines"]["always A"]
    data = real("mmlu", protocol="harness", limit=100)
    assert sum(len(batch.positions) for batch in data._batches(0, 1)) == 100
