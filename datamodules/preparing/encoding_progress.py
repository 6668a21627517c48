"""One line that says how far tokenising has come."""

import sys
from types import TracebackType
from typing import Self

from tqdm import tqdm

from datamodules.preparing.documents import Unit
from datamodules.preparing.encoding_workers import UnitTotals

__all__ = ["EncodingProgress"]


class EncodingProgress:
    """A bar with tokens, tokens/s, time left, documents, and shard i of n; a line a minute where there is no terminal.

    Args:
        goal: tokens wanted, or None if the whole source is; their number is then estimated from its size.
        shard_tokens: tokens of a shard.
        source_bytes: bytes of text in the whole source, for that estimate; 0 if not known.
    """

    def __init__(self, goal: int | None, shard_tokens: int, source_bytes: int = 0) -> None:
        self.goal, self.shard_tokens, self.source_bytes = (goal, shard_tokens, source_bytes)
        self.documents = self.bytes = 0
        self.bar = tqdm(
            total=goal,
            unit=" tokens",
            unit_scale=True,
            smoothing=0,
            mininterval=0.5 if sys.stderr.isatty() else 60,
            desc="tokenising",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()

    def update(self, unit: Unit, totals: UnitTotals) -> None:
        """Count one unit; those found complete do not enter the rate."""
        self.documents += totals.documents
        self.bytes += unit.size
        if not totals.fresh:
            self.bar.initial += totals.tokens
        total = self.goal or round((self.bar.n + totals.tokens) * self.source_bytes / max(1, self.bytes))
        if total:
            self.bar.total = max(total, self.bar.n + totals.tokens)
        shard, shards = (1 + int(self.bar.n // self.shard_tokens), -(-total // self.shard_tokens))
        of = f" of {shards}" if shards else ""
        self.bar.set_postfix_str(f"{self.documents:,} documents, shard {shard}{of}", refresh=False)
        self.bar.update(totals.tokens)
