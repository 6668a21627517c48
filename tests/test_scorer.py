"""The scorer gives what one forward pass per request gives, whatever the batches are."""

import random
from pathlib import Path

import pytest
import torch
from small_model import BYTES, small_model
from torch.nn import functional as F

from datamodules.scoring_batches import Request, ScoringBatches
from lightning_modules import scorer
from lightning_modules.gpt import GPT
from lightning_modules.scorer import score, score_all, token_log_probabilities


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> GPT:
    return small_model(tmp_path_factory.mktemp("model") / "m.safetensors", width=16)


@pytest.fixture(scope="module")
def asked() -> list[Request]:
    draw = random.Random(0)
    texts = [[draw.randrange(257) for _ in range(draw.randrange(3, 30))] for _ in range(40)]
    return [Request(text[: (border := draw.randrange(1, len(text)))], text[border:]) for text in texts]


def one_by_one(net: GPT, request: Request) -> float:
    """One forward pass with all logits."""
    tokens = torch.tensor([*request.context, *request.continuation])
    with torch.no_grad():
        nats = F.log_softmax(net(tokens[None, :-1])[0].double(), dim=-1)
    places = range(len(request.context) - 1, len(tokens) - 1)
    return sum(nats[place, tokens[place + 1]].item() for place in places)


def test_scores_are_those_of_one_pass_per_request(net: GPT, asked: list[Request]) -> None:
    found = [nats for nats, _ in score_all(net, asked)]
    assert found == pytest.approx([one_by_one(net, request) for request in asked], abs=1e-4, rel=1e-5)


@pytest.mark.parametrize("budget", [1, 70, 100_000])
def test_batches_and_order_change_nothing(net: GPT, asked: list[Request], budget: int) -> None:
    order = random.Random(budget).sample(range(len(asked)), len(asked))
    shuffled = score_all(net, [asked[number] for number in order], token_budget=budget)
    expected = score_all(net, asked)
    assert [shuffled[order.index(n)][0] for n in range(len(asked))] == pytest.approx(
        [nats for nats, _ in expected], abs=1e-4
    )


def test_pieces_of_the_head_change_nothing(net: GPT, asked: list[Request], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = score_all(net, asked)
    monkeypatch.setattr(scorer, "LOGITS_CPU", 3 * BYTES)
    assert [nats for nats, _ in score_all(net, asked)] == pytest.approx([nats for nats, _ in expected], abs=1e-4)


def test_the_greedy_continuation_is_known_as_such(net: GPT) -> None:
    text = [65, 66]
    with torch.no_grad():
        for _ in range(3):
            text.append(int(net(torch.tensor([text]))[0, -1].argmax()))
    other = [*text[:-1], (text[-1] + 1) % 257]
    answers = score_all(net, [Request(text[:2], text[2:]), Request(text[:2], other[2:])])
    assert [greedy for _, greedy in answers] == [True, False]


def test_ids_that_pad_the_embedding_can_be_left_out(net: GPT) -> None:
    (batch,) = ScoringBatches([Request([1, 2], [token]) for token in range(257)], block_size=64)
    inside, _ = token_log_probabilities(net, batch, 257)
    with_padding, _ = token_log_probabilities(net, batch)
    assert inside.exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert with_padding.exp().sum().item() < 1 - 1e-4


def test_equally_likely_tokens_give_exact_ties(tmp_path: Path) -> None:
    """Sums in float64 of one float32 number: texts of equal length are equal, and so are all means."""
    uniform = small_model(tmp_path / "u.safetensors", uniform=True)
    lengths = [1, 2, 3, 5, 7, 11, 29]
    found = [nats for nats, _ in score_all(uniform, [Request([1], [4] * n) for n in lengths])]
    assert len({nats / n for nats, n in zip(found, lengths, strict=True)}) == 1
    assert found[0] == pytest.approx(-torch.tensor(float(BYTES)).log().item())


def test_what_is_not_finite_is_an_error(net: GPT) -> None:
    broken = GPT(net.config)
    with torch.no_grad():
        broken.transformer.wte.weight.fill_(float("nan"))
    (batch,) = ScoringBatches([Request([1], [2])], block_size=64)
    with pytest.raises(RuntimeError, match="not finite"):
        score(broken, batch)


def test_scores_are_float32_where_a_precision_plugin_makes_another_type_the_default(net: GPT) -> None:
    (batch,) = ScoringBatches([Request([65, 66], [67])], block_size=net.config.block_size)
    expected, _ = token_log_probabilities(net, batch)
    torch.set_default_dtype(torch.bfloat16)
    try:
        found, _ = token_log_probabilities(net, batch)
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.dtype == torch.float32
    assert found.tolist() == expected.tolist()
