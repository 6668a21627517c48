"""Activations at the last token are the network's own, whatever stands beside a text in its batch."""

import pytest
import torch

from datamodules.sentence_batches import SentenceBatches
from lightning_modules.activations import last_token_states
from lightning_modules.gpt import GPT, GPTConfig, rms_norm

TEXTS = [[5, 6, 7], [1], [9, 8, 7, 6, 5, 4, 3], [2, 2], [3, 1, 4, 1, 5]]


@pytest.fixture(scope="module")
def net() -> GPT:
    torch.manual_seed(0)
    net = GPT(GPTConfig(vocab_size=16, n_layer=3, n_head=2, n_embd=16, block_size=8))
    for matrix in net.parameters():
        matrix.data.mul_(10)
    return net


def states(net: GPT, batch_size: int) -> torch.Tensor:
    result = torch.empty(len(TEXTS), 4, 16)
    for batch in SentenceBatches(TEXTS, batch_size=batch_size):
        result[batch.item] = last_token_states(net, batch.tokens, batch.last)
    return result


def test_texts_in_a_batch_do_not_see_each_other(net: GPT) -> None:
    torch.testing.assert_close(states(net, 5), states(net, 1), rtol=1e-4, atol=1e-5)


def test_layer_0_is_the_embedding_and_the_last_leads_to_the_head(net: GPT) -> None:
    result = states(net, 2)
    for text, layers in zip(TEXTS, result, strict=True):
        assert torch.equal(layers[0], net.transformer.wte.weight[text[-1]])
        torch.testing.assert_close(rms_norm(layers[-1]), net.hidden(torch.tensor([text]))[0, -1], rtol=1e-4, atol=1e-5)


def test_the_norm_before_the_head_is_an_option(net: GPT) -> None:
    tokens, last = torch.tensor([TEXTS[2]]), torch.tensor([6])
    normed = last_token_states(net, tokens, last, final_norm=True)
    plain = last_token_states(net, tokens, last)
    torch.testing.assert_close(normed[:, -1], rms_norm(plain[:, -1]))
    assert torch.equal(normed[:, :-1], plain[:, :-1])


def test_they_stay_float32_under_autocast(net: GPT) -> None:
    tokens, last = torch.tensor([TEXTS[2]]), torch.tensor([6])
    with torch.autocast("cpu", torch.bfloat16):
        found = last_token_states(net, tokens, last)
    assert torch.equal(found, last_token_states(net, tokens, last))


@pytest.mark.parametrize("world_size", [1, 2, 7])
def test_ranks_share_the_texts(world_size: int) -> None:
    items = [
        int(item)
        for rank in range(world_size)
        for batch in SentenceBatches(TEXTS, batch_size=2, rank=rank, world_size=world_size)
        for item in batch.item
    ]
    assert set(items) == set(range(5))
    assert len(items) == max(5, world_size)


def test_empty_texts_are_an_error() -> None:
    with pytest.raises(ValueError, match="no tokens"):
        SentenceBatches([[1], []], batch_size=2)
    with pytest.raises(ValueError, match="no texts"):
        SentenceBatches([], batch_size=2)
    with pytest.raises(ValueError, match="batch size"):
        SentenceBatches(TEXTS, batch_size=0)
