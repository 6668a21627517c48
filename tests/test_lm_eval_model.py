"""Our models in lm-evaluation-harness: the same figures as its own model class for transformers gives."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from exchange.model_folder import export
from lightning_modules.gpt import GPT, GPTConfig
from lightning_modules.weights import write_weights

lm_eval = pytest.importorskip("lm_eval")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # the harness' own imports warn, and take 6 s

TASK = """task: toy
dataset_path: json
dataset_kwargs:
  data_files: {{validation: {rows}}}
  cache_dir: {cache}
output_type: multiple_choice
validation_split: validation
doc_to_text: "{{{{query}}}}"
doc_to_choice: "{{{{endings}}}}"
doc_to_target: "{{{{label}}}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
  - metric: acc_norm
    aggregation: mean
    higher_is_better: true
"""
ROWS = [
    {"query": "The cat sat on the", "endings": ["mat.", "a very long and winding road", "é", "dog"], "label": 0},
    {"query": "It ends in two spaces:  ", "endings": ["one", "two", "three", "four"], "label": 2},
    {"query": "x" * 70, "endings": ["is cut", "on the left", "of its", "context"], "label": 3},
]


def pair(context: str, continuation: str) -> Any:
    return SimpleNamespace(args=(context, continuation), arguments=(context, continuation))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy on bytes with a context of 32."""
    torch.manual_seed(0)
    net = GPT(GPTConfig(vocab_size=320, n_layer=2, n_head=2, n_embd=16, block_size=32))
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    path = tmp_path_factory.mktemp("toy") / "0.safetensors"
    write_weights(path, net, {"tokenizer": "bytes"})
    return path


@pytest.fixture(scope="module")
def ours(checkpoint: Path) -> Any:
    """The adapter."""
    from exchange.lm_eval_model import ConnectomeLM

    return ConnectomeLM(str(checkpoint))


@pytest.fixture(scope="module")
def theirs(checkpoint: Path) -> Any:
    """The harness' own class on the exported model."""
    transformers = pytest.importorskip("transformers")
    from lm_eval.models.huggingface import HFLM

    folder = checkpoint.parent / "out"
    export(str(checkpoint), out=str(folder))
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1)


def test_log_likelihoods_are_those_of_the_exported_model(ours: Any, theirs: Any) -> None:
    pairs = [pair(row["query"], " " + ending) for row in ROWS for ending in row["endings"]]
    pairs += [pair("", "an empty context"), pair("a\n", "b"), pair("one<|endoftext|>", "two")]
    assert ours.max_length == theirs.max_length == 32
    found, expected = ours.loglikelihood(pairs, disable_tqdm=True), theirs.loglikelihood(pairs, disable_tqdm=True)
    assert [nats for nats, _ in found] == pytest.approx([nats for nats, _ in expected], abs=1e-4)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]


def test_the_greedy_continuation_is_known_as_such(ours: Any) -> None:
    token = int(ours.net(torch.tensor([ours.tok_encode("The cat")]))[0, -1].argmax())
    (nats, greedy), (other, not_greedy) = ours._loglikelihood_tokens(
        [(None, ours.tok_encode("The cat"), [token]), (None, ours.tok_encode("The cat"), [token ^ 1])]
    )
    assert greedy
    assert not not_greedy
    assert nats > other


@pytest.mark.parametrize("length", [1, 31, 32, 33, 100])
def test_whole_texts_are_those_of_the_exported_model(length: int, ours: Any, theirs: Any) -> None:
    text = [SimpleNamespace(args=("abcdefghijk " * 10)[:length].split("\0"))]
    found = ours.loglikelihood_rolling(text, disable_tqdm=True)
    assert found == pytest.approx(theirs.loglikelihood_rolling(text, disable_tqdm=True), abs=1e-3)


def test_the_harness_runs_a_local_task_by_the_registered_name(checkpoint: Path, ours: Any, tmp_path: Path) -> None:
    from lm_eval.tasks import TaskManager

    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    (tmp_path / "toy.yaml").write_text(TASK.format(rows=tmp_path / "rows.jsonl", cache=tmp_path / "cache"))
    found = lm_eval.simple_evaluate(
        model="connectome",
        model_args={"checkpoint": str(checkpoint), "token_budget": 64},
        tasks=["toy"],
        task_manager=TaskManager(include_path=str(tmp_path), include_defaults=False),
        bootstrap_iters=0,
    )
    answers = [[nats for nats, _ in sample["filtered_resps"]] for sample in found["samples"]["toy"]]
    pairs = [[pair(row["query"], " " + ending) for ending in row["endings"]] for row in ROWS]
    expected = [[nats for nats, _ in ours.loglikelihood(four, disable_tqdm=True)] for four in pairs]
    assert answers == [pytest.approx(four, abs=1e-4) for four in expected]
    right = [four.index(max(four)) == row["label"] for four, row in zip(expected, ROWS, strict=True)]
    assert found["results"]["toy"]["acc,none"] == pytest.approx(sum(right) / len(ROWS))


def test_a_checkpoint_without_a_tokenizer_asks_for_it(tmp_path: Path) -> None:
    from exchange.lm_eval_model import ConnectomeLM

    net = GPT(GPTConfig(vocab_size=320, n_layer=1, n_head=1, n_embd=4, block_size=8))
    write_weights(tmp_path / "0.safetensors", net, {})
    with pytest.raises(ValueError, match="does not say with which tokenizer its model was trained: give tokenizer="):
        ConnectomeLM(str(tmp_path / "0.safetensors"))
    assert ConnectomeLM(str(tmp_path / "0.safetensors"), tokenizer="bytes").eot_token_id == 256


def request(context: str, options: dict[str, Any]) -> Any:
    from lm_eval.api.instance import Instance

    return Instance("generate_until", {}, (context, options), 0)


@pytest.mark.parametrize("until", [["\n\n"], "e", ["zzz", "a"]])
def test_generated_text_is_that_of_the_exported_model(until: list[str] | str, ours: Any, theirs: Any) -> None:
    for context in ("The cat", "One two three"):
        options = {"until": until, "max_gen_toks": 12}
        asked = [request(context, options)]
        (found,) = ours.generate_until(asked, disable_tqdm=True)
        (expected,) = theirs.generate_until(asked, disable_tqdm=True)
        assert found == expected


def test_samples_are_refused(ours: Any) -> None:
    asked = [request("The cat", {"do_sample": True})]
    with pytest.raises(ValueError, match=r"cli\.py export"):
        ours.generate_until(asked)
