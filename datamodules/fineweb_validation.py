"""The validation part of FineWeb, or of any other token shards, for the next-word loss."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from datamodules.evaluation_data import DataSource, EvaluationData
from datamodules.manifest import Manifest, describe_part
from datamodules.token_shards import ShardError, TokenShards, find_shards

__all__ = ["STANDARD_TOKENS", "FineWebValidation", "WindowBatch"]

STANDARD_TOKENS = 10_485_760  # the first ones of the part, which is what everybody quotes
PAPER_BATCHES, AUTHORS_BATCH = 100, 16


class WindowBatch(NamedTuple):
    """Windows of the validation part.

    Args:
        item: numbers of the windows, int64, shape `(batch,)`.
        tokens: ids, int64, shape `(batch, time)`.
        targets: the same moved by one, int64, shape `(batch, time)`.
    """

    item: Tensor
    tokens: Tensor
    targets: Tensor


class FineWebValidation(EvaluationData):
    """Windows of the model's context from the beginning of the validation part, token after token.

    Args:
        folder: where the shards lie; `python cli.py prepare` writes them.
        validation: what to read: a sub-folder of `folder`, a file or a glob of shards.
        protocol: `standard` reads the first 10,485,760 tokens, the rule by which losses on FineWeb are quoted; `paper`
            the first 100 batches of `batch_size` windows, as the authors' training script does.
        tokens: how many to read, in place of the protocol's number.
        batch_size: windows of a batch; the result does not depend on it, except that `paper` reads 100 of them.
        tokenizer: the model's; shards of another are refused.
        block_size: tokens of a window: the model's context.

    Raises:
        ShardError: if the shards are too few, damaged, or of another tokenizer.
    """

    task = "next_word_loss"

    def __init__(
        self,
        *,
        folder: str = "data/fineweb",
        validation: str = "validation",
        protocol: Literal["standard", "paper"] = "standard",
        tokens: int | None = None,
        batch_size: int = AUTHORS_BATCH,
        tokenizer: str = "gpt2",
        block_size: int = 1024,
    ) -> None:
        super().__init__(protocol=protocol, tokenizer=tokenizer, block_size=block_size)
        self.folder, self.validation = folder, validation
        self.batch_size = batch_size
        self.limit = tokens
        standard = STANDARD_TOKENS if protocol == "standard" else PAPER_BATCHES * batch_size * block_size
        self.number_of_items = (tokens or standard) // block_size

    def read(self) -> None:
        """Open and check the shards."""
        paths = find_shards(self.folder, self.validation)
        part = describe_part(paths, self.tokenizer)
        self.shards = TokenShards(paths, self.block_size)
        if part.tokenizer != self.tokenizer:
            raise ShardError(
                f"the shards hold tokens of {part.tokenizer!r}, the model knows those of {self.tokenizer!r}"
            )
        if not 0 < self.number_of_items <= len(self.shards):
            raise ShardError(
                f"the protocol {self.protocol!r} reads {self.number_of_items:,} windows of {self.block_size} tokens, "
                f"the shards hold {len(self.shards):,}: prepare more, or set --data.tokens to at most "
                f"{len(self.shards) * self.block_size}"
            )
        stated = [entry for path in paths if (manifest := Manifest.read(path.parent)) for entry in manifest.shards]
        self.source = DataSource(self.folder, part.fingerprint, {entry.file: entry.sha256 for entry in stated})

    def options(self) -> dict[str, Any]:
        """The number of tokens where it is not the protocol's, or what it follows from."""
        if self.limit is not None:
            return {"tokens": self.limit}
        return {"batch_size": self.batch_size} if self.protocol == "paper" and self.batch_size != AUTHORS_BATCH else {}

    def about(self) -> dict[str, Any]:
        """How the windows are cut."""
        return {"window": self.block_size, "bos": False, "batch_tokens": self.batch_size * self.block_size}

    def test_dataloader(self) -> "WindowBatches":
        """Batches of this rank."""
        trainer = self.trainer
        assert trainer is not None
        mine = np.arange(min(trainer.global_rank, self.number_of_items - 1), self.number_of_items, trainer.world_size)
        return WindowBatches(self.shards, np.split(mine, range(self.batch_size, len(mine), self.batch_size)))


class WindowBatches:
    """Windows by their numbers.

    Args:
        shards: what to read.
        batches: numbers of the windows of each batch.
    """

    def __init__(self, shards: TokenShards, batches: list[np.ndarray]) -> None:
        self.shards = shards
        self.batches = [batch for batch in batches if len(batch)]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[WindowBatch]:
        for numbers in self.batches:
            windows = self.shards.read(numbers)  # (batch, time + 1)
            yield WindowBatch(torch.from_numpy(numbers), windows[:, :-1].contiguous(), windows[:, 1:].contiguous())
