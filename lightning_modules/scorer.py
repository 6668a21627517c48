"""Log-probabilities of texts after their contexts: one scorer behind every benchmark."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.scoring_batches import Request, ScoringBatch, ScoringBatches
from lightning_modules.gpt import GPT

__all__ = ["Scores", "score", "score_all", "token_log_probabilities"]

# Entries of the logits that exist at a time. On a CPU 16 MiB: memory that is asked for and given back in larger pieces
# costs more than the arithmetic. On a GPU 512 MiB: many small pieces would be all launching.
LOGITS_CPU, LOGITS_GPU = 2**22, 2**27


class Scores(NamedTuple):
    """What a model makes of some requests.

    Args:
        requests: their numbers, int64, shape `(requests,)`.
        log_probability: of the continuation, in nats, summed over its tokens in float64, shape `(requests,)`.
        greedy: whether no token is more probable than the continuation's, at any of its places, bool, shape
            `(requests,)`.
    """

    requests: Tensor
    log_probability: Tensor
    greedy: Tensor


@torch.no_grad()
def token_log_probabilities(net: GPT, batch: ScoringBatch, vocabulary: int | None = None) -> tuple[Tensor, Tensor]:
    """Log-probability of every scored token, and whether no other one is more probable.

    The head is applied only where something is scored, piece by piece; the log-softmax is taken in float32.

    Args:
        net: the model.
        batch: rows and what is scored in them.
        vocabulary: ids from here on take no part: the rows that pad the embedding. All take part by default.

    Returns:
        Nats in float32 and bool, both of the shape of `batch.targets`.
    """
    hidden = net.hidden(batch.tokens).flatten(0, 1)[batch.positions]  # (positions, C)
    log_probability = torch.empty(len(batch.targets), dtype=torch.float32, device=hidden.device)
    greedy = torch.empty(len(batch.targets), dtype=torch.bool, device=hidden.device)
    entries = LOGITS_CPU if hidden.device.type == "cpu" else LOGITS_GPU
    piece = max(1, entries // net.config.vocab_size)
    for start in range(0, len(hidden), piece):
        logits = net.lm_head(hidden[start : start + piece])[:, :vocabulary].float()  # (piece, V)
        here = (batch.at >= start) & (batch.at < start + piece)
        at, targets = batch.at[here] - start, batch.targets[here]
        best = logits.amax(dim=-1, keepdim=True)
        scored = logits[at, targets]
        normaliser = logits.sub_(best).exp_().sum(dim=-1).log() + best[:, 0]  # in place: no second copy of the logits
        log_probability[here] = scored - normaliser[at]
        greedy[here] = scored == best[at, 0]
    return log_probability, greedy


def score(net: GPT, batch: ScoringBatch, vocabulary: int | None = None) -> Scores:
    """Log-probability of every continuation in a batch.

    Raises:
        RuntimeError: if one is not finite; an argmax over NaN would look like a choice.
    """
    nats, greedy = token_log_probabilities(net, batch, vocabulary)
    if not torch.isfinite(nats).all():
        raise RuntimeError(
            "the model gives log-probabilities that are not finite: its weights hold NaN or infinity, or "
            "--trainer.precision is too low for them"
        )
    requests, place = torch.unique(batch.requests, return_inverse=True)
    total = torch.zeros(len(requests), dtype=torch.float64, device=nats.device)
    total.index_add_(0, place, nats.double())
    missed = torch.zeros(len(requests), dtype=torch.int64, device=nats.device)
    missed.index_add_(0, place, (~greedy).long())
    return Scores(requests, total, missed == 0)


@torch.inference_mode()
def score_all(net: GPT, requests: Sequence[Request], *, token_budget: int = 16_384) -> list[tuple[float, bool]]:
    """Log-probability in nats, and whether it is the greedy continuation, for each request, in their order."""
    answers: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
    device = net.lm_head.weight.device
    for batch in ScoringBatches(requests, block_size=net.config.block_size, token_budget=token_budget):
        scores = score(net, ScoringBatch(*(tensor.to(device) for tensor in batch)))
        columns = (scores.requests.tolist(), scores.log_probability.tolist(), scores.greedy.tolist())
        for number, nats, greedy in zip(*columns, strict=True):
            answers[number] = nats, greedy
    return answers
