"""Tokens of finished units become the shards of one part, in canonical order, each written once."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from datamodules.manifest import ShardEntry, shard_entry
from datamodules.preparing.encoded_unit import drop_tokens, read_tokens
from datamodules.preparing.unit_index import UnitIndex
from datamodules.token_shards import open_shard, write_shard

__all__ = ["PartWriter"]


class PartWriter:
    """The stream of one part's tokens, cut at `size` and into shards of `shard_tokens`.

    Args:
        units: folder of the finished units.
        index: their documents.
        chosen: whether a document is in this part, bool, `(documents,)`.
        size: tokens wanted, or -1 for all.
        shard_tokens: tokens of a shard; the last one may have fewer.
    """

    def __init__(self, units: Path, index: UnitIndex, chosen: np.ndarray, size: int, shard_tokens: int) -> None:
        self.units, self.index, self.chosen, self.shard_tokens = (units, index, chosen, shard_tokens)
        so_far = np.concatenate([[0], np.cumsum(np.where(chosen, index.lengths, 0))])
        self.unit_ends = so_far[index.first_document[1:]]
        total = int(self.unit_ends[-1])
        self.tokens = total if size == -1 else min(size, total)
        lengths = index.lengths[chosen]
        self.documents = int(np.searchsorted(np.cumsum(lengths) - lengths, self.tokens))

    def write(self, folder: Path, part: str, *, drop: bool) -> Iterator[ShardEntry]:
        """Write the shards that `folder` lacks; yields every shard's entry for the manifest, in order.

        Args:
            folder: where the shards go, named `<part>_000000.bin` and so on.
            part: the part's name.
            drop: whether to delete the tokens of units that no later shard needs.

        Raises:
            FileExistsError: if a shard lies there that this preparation would not write.
        """
        for number, start in enumerate(range(0, self.tokens, self.shard_tokens)):
            stop = min(start + self.shard_tokens, self.tokens)
            path = folder / f"{part}_{number:06d}.bin"
            if not path.exists():
                write_shard(path, self._between(start, stop))
            elif open_shard(path).size != stop - start:
                raise FileExistsError(
                    f"{path} is not what this preparation writes ({stop - start:,} tokens); remove it"
                )
            yield shard_entry(path)
            if drop:
                for unit in np.flatnonzero(self.unit_ends <= stop).tolist():
                    drop_tokens(self.units, unit)

    def _between(self, start: int, stop: int) -> np.ndarray:
        """Tokens `start` to `stop` of the part, uint16."""
        shard, filled = np.empty(stop - start, "<u2"), 0
        unit = int(np.searchsorted(self.unit_ends, start, side="right"))
        while filled < shard.size:
            documents = self.index.documents_of(unit)
            tokens = read_tokens(self.units, unit)
            tokens = tokens[np.repeat(self.chosen[documents], self.index.lengths[documents])]
            tokens = tokens[max(0, tokens.size - (int(self.unit_ends[unit]) - start - filled)) :][: shard.size - filled]
            shard[filled : filled + tokens.size] = tokens
            filled, unit = filled + tokens.size, unit + 1
        return shard
