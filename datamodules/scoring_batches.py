"""Texts to score after their contexts, as batches of about equally long rows."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Request", "ScoringBatch", "ScoringBatches"]

PADDING = 0  # any id does: a causal model's scored positions never see what follows them


class Request(NamedTuple):
    """A text whose log-probability is wanted, and what goes before it.

    Args:
        context: token ids that are read and not scored; at least one.
        continuation: token ids that are scored; at least one.
    """

    context: Sequence[int]
    continuation: Sequence[int]


class ScoringBatch(NamedTuple):
    """Rows of tokens and what is scored in them. Requests whose rows are equal share one.

    Args:
        tokens: ids, padded on the right, int64, shape `(rows, time)`.
        positions: where the head is applied, as indices into the flattened rows, int64, shape `(positions,)`.
        at: for every scored token, which of `positions` predicts it, int64, shape `(scored,)`.
        targets: ids of the scored tokens, int64, shape `(scored,)`.
        requests: number of the request that each scored token belongs to, int64, shape `(scored,)`.
    """

    tokens: Tensor
    positions: Tensor
    at: Tensor
    targets: Tensor
    requests: Tensor


class ScoringBatches:
    """Requests as batches of at most `token_budget` tokens, the longest rows first, divided over ranks.

    A row is a context and its continuation but for the last token. Where it is longer than the model's context, the
    beginning of the request's own context is left out; where the continuation alone is longer, it runs at its length.
    No rank is left without a batch, which would hang the others: where there are too few, the last one is scored twice.

    Args:
        requests: what is to be scored; their numbers are their places.
        block_size: tokens of the model's context.
        token_budget: tokens of a batch, padding included; a longer row is a batch of its own.
        rank: which of `world_size` processes this one is; it takes every `world_size`-th batch.
        world_size: number of processes.

    Attributes:
        cut: requests whose context lost its beginning.
        long: requests whose continuation alone exceeds the context.

    Raises:
        ValueError: for a request without a token to read or to score, or no request at all.
    """

    def __init__(
        self,
        requests: Sequence[Request],
        *,
        block_size: int,
        token_budget: int = 16_384,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if token_budget < 1:
            raise ValueError(f"the token budget of a batch is 1 or more, found {token_budget}")
        if not requests:
            raise ValueError("there is nothing to score")
        self.cut = self.long = 0
        rows: dict[tuple[int, ...], list[tuple[int, Sequence[int]]]] = {}
        for number, (context, continuation) in enumerate(requests):
            if not context or not continuation:
                raise ValueError(f"request {number} needs a token to read and one to score: {context}, {continuation}")
            room = block_size + 1 - len(continuation)  # the last token is predicted, not read
            self.cut += len(context) > max(room, 1)
            self.long += room < 1
            row = (*context[-max(room, 1) :], *continuation[:-1])
            rows.setdefault(row, []).append((number, continuation))
        self.rows = sorted(rows.items(), key=lambda entry: -len(entry[0]))
        starts = [0]
        for start in iter(lambda: starts[-1], len(self.rows)):
            starts.append(min(len(self.rows), start + max(1, token_budget // len(self.rows[start][0]))))
        spans = list(pairwise(starts))
        self.spans = spans[rank::world_size] or spans[-1:]

    def __len__(self) -> int:
        return len(self.spans)

    def __iter__(self) -> Iterator[ScoringBatch]:
        for start, end in self.spans:
            yield _batch(self.rows[start:end])


def _batch(rows: Sequence[tuple[tuple[int, ...], list[tuple[int, Sequence[int]]]]]) -> ScoringBatch:
    width = len(rows[0][0])
    tokens = torch.full((len(rows), width), PADDING)
    places: dict[int, int] = {}  # position in the flattened rows -> its number among those that are scored
    at: list[int] = []
    targets: list[int] = []
    requests: list[int] = []
    for number, (row, scored) in enumerate(rows):
        tokens[number, : len(row)] = torch.tensor(row)
        for request, continuation in scored:
            first = number * width + len(row) - len(continuation)
            at += [places.setdefault(place, len(places)) for place in range(first, first + len(continuation))]
            targets += continuation
            requests += [request] * len(continuation)
    return ScoringBatch(
        tokens, torch.tensor(list(places)), torch.tensor(at), torch.tensor(targets), torch.tensor(requests)
    )
