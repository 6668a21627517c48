"""Token shards in llm.c's format: a header of 256 int32 (20240520, 1, number of tokens), then uint16 tokens."""

import os
from collections.abc import Iterable, Sequence
from glob import escape, glob, has_magic
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from connectome.atomic_file import atomic_file

__all__ = ["HEADER_BYTES", "ShardError", "TokenShards", "find_shards", "open_shard", "write_shard"]

MAGIC, VERSION, HEADER_INTS = 20240520, 1, 256
HEADER_BYTES = 4 * HEADER_INTS
TOKEN = np.dtype("<u2")


class ShardError(ValueError):
    """A file is not a whole token shard; the message says what was expected and found."""


def find_shards(folder: str | Path, part: str) -> list[Path]:
    """Shards of one part in order of name: all `*.bin` of a folder, or what a glob matches.

    Args:
        folder: where the data lies.
        part: a sub-folder of it, one file, or a glob; an absolute path stands for itself.

    Raises:
        FileNotFoundError: if nothing is found.
    """
    place = Path(folder) / part
    if place.is_file():
        return [place]
    if place.is_dir() or not has_magic(part):
        pattern = os.path.join(escape(str(place)), "*.bin")
        state = "the folder holds no *.bin" if place.is_dir() else "there is no such folder or file"
    else:
        pattern, state = os.path.join(escape(str(folder)), part), "no file matches"
    paths = sorted(Path(path) for path in glob(pattern))
    if not paths:
        raise FileNotFoundError(
            f"no token shards at {place}: {state}; write them first, for example with "
            f"`python cli.py prepare --folder {folder}`, or name them with --data.folder and --data.train"
        )
    return paths


def write_shard(path: str | Path, tokens: Sequence[int] | np.ndarray) -> None:
    """Write one shard, atomically.

    Args:
        path: where to.
        tokens: token ids, each in [0, 65535].
    """
    ids = np.asarray(tokens)
    if ids.size and (ids.min() < 0 or ids.max() > np.iinfo(TOKEN).max):
        raise ValueError(f"a shard holds 16-bit tokens, found ids from {ids.min()} to {ids.max()}")
    header = np.zeros(HEADER_INTS, "<i4")
    header[:3] = MAGIC, VERSION, ids.size
    with atomic_file(path) as file:
        file.write(header.tobytes())
        file.write(np.ascontiguousarray(ids, TOKEN).data)


def open_shard(path: str | Path) -> np.ndarray:
    """Tokens of one shard, memory-mapped, uint16, shape `(n_tokens,)`; nothing is read but the header.

    Raises:
        ShardError: if the header is foreign or the size disagrees with it.
    """
    size = Path(path).stat().st_size
    header = np.fromfile(path, "<i4", count=min(HEADER_INTS, size // 4))
    if header.size < HEADER_INTS or header[0] != MAGIC or header[1] != VERSION:
        found = header[:2].tolist()
        raise ShardError(
            f"{path} is not a token shard: its header starts with {found} instead of [{MAGIC}, {VERSION}] "
            "(llm.c's format); tokenise the text with `python cli.py prepare`"
        )
    n_tokens = int(header[2])
    expected = HEADER_BYTES + TOKEN.itemsize * n_tokens
    if size != expected or n_tokens < 1:
        raise ShardError(
            f"{path} is truncated or damaged: its header announces {n_tokens:,} tokens, {expected:,} bytes, "
            f"but the file has {size:,}; copy or prepare it again"
        )
    return np.asarray(np.memmap(path, TOKEN, mode="r", offset=HEADER_BYTES, shape=(n_tokens,)))


class TokenShards:
    """Shards read as non-overlapping windows of `length` tokens and one more, the last target.

    Windows start `length` tokens apart and lie within a shard; a shard's tail is left. Window `i` counts through the
    shards in the order given.

    Args:
        paths: shards in llm.c's format.
        length: tokens in a window, without the last target.

    Raises:
        ShardError: if a shard is foreign, truncated, or the shards hold not one window.
    """

    def __init__(self, paths: Iterable[str | Path], length: int) -> None:
        self.paths = [Path(path) for path in paths]
        self.length = length
        self.shards = [open_shard(path) for path in self.paths]
        windows = [(shard.size - 1) // length for shard in self.shards]
        self.first_window = np.cumsum([0, *windows])
        if len(self) == 0:
            raise ShardError(f"{self.n_tokens:,} tokens in {len(self.paths)} shards hold no window of {length} + 1")

    def __len__(self) -> int:
        """Number of windows."""
        return int(self.first_window[-1])

    @property
    def n_tokens(self) -> int:
        """Number of tokens in all shards, tails included."""
        return sum(shard.size for shard in self.shards)

    def read(self, windows: Sequence[int] | np.ndarray) -> Tensor:
        """Tokens of the given windows, int64, shape `(len(windows), length + 1)`."""
        batch = np.empty((len(windows), self.length + 1), np.int64)
        shard_of = np.searchsorted(self.first_window, windows, side="right") - 1
        starts = (np.asarray(windows) - self.first_window[shard_of]) * self.length
        for row, (shard, start) in enumerate(zip(shard_of.tolist(), starts.tolist(), strict=True)):
            batch[row] = self.shards[shard][start : start + self.length + 1]
        return torch.from_numpy(batch)
