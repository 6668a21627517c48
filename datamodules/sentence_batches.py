"""Short texts as batches of about equally long rows, padded on the right."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["SentenceBatch", "SentenceBatches"]


class SentenceBatch(NamedTuple):
    """Rows of tokens.

    Args:
        item: numbers of the texts, int64, shape `(batch,)`.
        tokens: ids, int64, shape `(batch, time)`; a causal model does not see the padding before it.
        last: place of the last token of each row, int64, shape `(batch,)`.
    """

    item: Tensor
    tokens: Tensor
    last: Tensor


class SentenceBatches:
    """Batches of one rank, the longest texts first. A rank without texts of its own repeats one.

    Args:
        texts: their tokens.
        batch_size: texts of a batch.
        rank: of this process.
        world_size: number of processes.

    Raises:
        ValueError: for a text without tokens, no text, or a batch size below one.
    """

    def __init__(self, texts: Sequence[Sequence[int]], *, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        if batch_size < 1:
            raise ValueError(f"the batch size is 1 or more, found {batch_size}")
        if not texts or not all(texts):
            raise ValueError("a text has no tokens" if texts else "there are no texts")
        self.texts = texts
        order = sorted(range(len(texts)), key=lambda number: -len(texts[number]))
        mine = order[rank::world_size] or order[-1:]
        self.batches = [mine[start : start + batch_size] for start in range(0, len(mine), batch_size)]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[SentenceBatch]:
        for numbers in self.batches:
            rows = [torch.tensor(self.texts[number]) for number in numbers]
            tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
            yield SentenceBatch(torch.tensor(numbers), tokens, torch.tensor([len(row) - 1 for row in rows]))
