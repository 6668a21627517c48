"""Texts that occur in two parts, found by the hash of the tokens between separators."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from datamodules.preparing.parts import PartName
from datamodules.token_shards import open_shard

__all__ = ["SEPARATORS", "count_recurring", "text_hashes"]

SEPARATORS = {"gpt2": 50256, "bytes": 256}
PIECE = 16 << 20  # tokens held at a time


def text_hashes(paths: Iterable[Path], separator: int) -> tuple[int, np.ndarray]:
    """Number of separators in shards, and a sorted uint64 hash of each text that follows one, if only it has a token.

    A text that runs on into the next shard counts whole; what stands before the first separator is left out.
    """
    documents, hashes, rest = 0, [np.empty(0, np.uint64)], np.empty(0, "<u2")
    for piece in _pieces(paths):
        documents += int(np.count_nonzero(piece == separator))
        tokens = np.concatenate([rest, piece])
        starts = np.flatnonzero(tokens == separator)
        if starts.size:
            hashes.append(_hashes(tokens, starts))
            rest = tokens[starts[-1] :]
    hashes.append(_hashes(rest, np.array([0, rest.size])))
    return documents, np.sort(np.concatenate(hashes))


def count_recurring(parts: Mapping[PartName, np.ndarray]) -> dict[str, int]:
    """How many different texts each two parts share, by `first and second`."""
    names = list(parts)
    return {
        f"{first} and {second}": int(np.intersect1d(parts[first], parts[second]).size)
        for number, first in enumerate(names)
        for second in names[number + 1 :]
    }


def _pieces(paths: Iterable[Path]) -> Iterator[np.ndarray]:
    for path in paths:
        tokens = open_shard(path)
        for start in range(0, tokens.size, PIECE):
            yield np.array(tokens[start : start + PIECE])


def _hashes(tokens: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Hash of the tokens between each two bounds, uint64; those of fewer than two tokens have no text."""
    texts = (tokens[a:b] for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True) if b - a > 1)
    digests = b"".join(hashlib.blake2b(text.data, digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, "<u8").astype(np.uint64)
