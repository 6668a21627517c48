"""The matrices in a connectome file of version 2.

Little endian, matrices in the order of the header:

    per matrix     the group of each row in log2 G bits, padded with zeros to a whole byte; the same of each column;
                   for each of the G * G blocks two u16: the frequencies of -1 and of 1, the rest of 4,096 being 0's
    per chunk      of 2^26 weights, all matrices one after another in row-major order: u32 number of words; a u32 per
                   lane, its state; the words as u16 (`ternary_coding.py`)
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from connectome.grouping import Grouping
from connectome.ternary_coding import TOTAL, Contexts, Frequencies, decode, encode, n_lanes, quantised

__all__ = ["Plan", "read_matrices", "write_matrices"]

CHUNK = 1 << 26  # weights that are coded together
MOST_WEIGHTS_PER_BYTE = 4 * TOTAL  # no symbol is more frequent than TOTAL - 2 of TOTAL: 0.0007 bits


class Plan(NamedTuple):
    """What the header says of a matrix: its shape, and in how many groups its rows and its columns are."""

    rows: int
    columns: int
    groups: int


class Blocks(NamedTuple):
    """Which row of the table of frequencies holds for a weight: `rows` of its row plus `columns` of its column."""

    rows: NDArray[np.uint32]
    columns: NDArray[np.uint32]

    def contexts(self, begin: int, end: int) -> NDArray[np.uint32]:
        """Those of a range of weights in row-major order."""
        width = len(self.columns)
        first = begin // width
        there = self.rows[first : -(-end // width), None] + self.columns
        return there.ravel()[begin - first * width : end - first * width]


def write_matrices(matrices: Sequence[NDArray[np.int8]], groupings: Sequence[Grouping]) -> Iterator[bytes]:
    """The payload, piece by piece."""
    tables: list[Frequencies] = []
    blocks = []
    for grouping in groupings:
        groups = len(grouping.counts)
        table = quantised(grouping.counts.reshape(-1, 3))
        yield _packed(grouping.rows, groups) + _packed(grouping.columns, groups)
        yield table[:, ::2].astype("<u2").tobytes()
        blocks.append(_blocks(grouping.rows, grouping.columns, groups, sum(map(len, tables))))
        tables.append(table)
    frequencies = np.concatenate(tables)
    for pieces in _chunks([matrix.shape for matrix in matrices]):
        symbols = np.concatenate([matrices[i].ravel()[begin:end] for i, begin, end in pieces]).view(np.uint8)
        symbols += 1  # -1 is 255 here
        states, words = encode(symbols, _contexts(blocks, pieces, len(frequencies)), frequencies)
        yield (len(words) // 2).to_bytes(4, "little") + states.astype("<u4").tobytes() + words


def read_matrices(plans: Sequence[Plan], payload: memoryview) -> list[NDArray[np.int8]]:
    """The matrices again.

    Raises:
        ValueError: if the payload is not that of such matrices. Nothing is allocated that it is too short for.
    """
    weights = sum(plan.rows * plan.columns for plan in plans)
    if any(min(plan) < 1 or plan.groups & (plan.groups - 1) or plan.groups > 256 for plan in plans):
        raise ValueError("a matrix of that shape, or groups of that number, there cannot be")
    if weights > MOST_WEIGHTS_PER_BYTE * len(payload):
        raise ValueError(f"{len(payload):,} bytes cannot hold {weights:,} weights")
    source = _Source(payload)
    tables: list[Frequencies] = []
    blocks = []
    for plan in plans:
        rows, columns = (_unpacked(source, size, plan.groups) for size in (plan.rows, plan.columns))
        of_signs = source.take("<u2", 2 * plan.groups**2).reshape(-1, 2).astype(np.uint32)
        of_zero = TOTAL - of_signs.sum(1, dtype=np.int64)
        if of_signs.min() < 1 or of_zero.min() < 1:
            raise ValueError(f"frequencies are not between 1 and {TOTAL}")
        blocks.append(_blocks(rows, columns, plan.groups, sum(map(len, tables))))
        tables.append(np.stack([of_signs[:, 0], of_zero.astype(np.uint32), of_signs[:, 1]], 1))
    frequencies = np.concatenate(tables)
    matrices = [np.empty((plan.rows, plan.columns), np.int8) for plan in plans]
    for pieces in _chunks([matrix.shape for matrix in matrices]):
        n_words = int(source.take("<u4", 1)[0])
        states = source.take("<u4", n_lanes(sum(end - begin for _, begin, end in pieces)))
        words = source.take("<u2", n_words)
        symbols = decode(states, words, _contexts(blocks, pieces, len(frequencies)), frequencies).view(np.int8) - 1
        for (i, begin, end), piece in zip(pieces, _split(symbols, pieces), strict=True):
            matrices[i].ravel()[begin:end] = piece
    source.check_end()
    return matrices


class _Source:
    """Bytes that are taken from the front."""

    def __init__(self, payload: memoryview) -> None:
        self.payload = payload
        self.at = 0

    def take(self, kind: str, count: int) -> np.ndarray:
        end = self.at + count * np.dtype(kind).itemsize
        if end > len(self.payload):
            raise ValueError(f"it announces {end - self.at:,} bytes at {self.at:,}, but holds {len(self.payload):,}")
        piece = np.frombuffer(self.payload[self.at : end], kind)
        self.at = end
        return piece

    def check_end(self) -> None:
        if self.at != len(self.payload):
            raise ValueError(f"{len(self.payload) - self.at:,} bytes are left over")


def _blocks(rows: NDArray[np.uint8], columns: NDArray[np.uint8], groups: int, first: int) -> Blocks:
    return Blocks(first + groups * rows.astype(np.uint32), columns.astype(np.uint32))


def _chunks(shapes: Sequence[tuple[int, ...]]) -> Iterator[list[tuple[int, int, int]]]:
    """The pieces (matrix, begin, end) of each chunk."""
    pieces: list[tuple[int, int, int]] = []
    room = CHUNK
    for i, (rows, columns) in enumerate(shapes):
        begin = 0
        while begin < rows * columns:
            end = min(rows * columns, begin + room)
            pieces.append((i, begin, end))
            room -= end - begin
            begin = end
            if room == 0:
                yield pieces
                pieces, room = [], CHUNK
    if pieces:
        yield pieces


def _contexts(blocks: Sequence[Blocks], pieces: Sequence[tuple[int, int, int]], count: int) -> Contexts:
    kind = np.dtype(np.uint16 if count <= 1 << 16 else np.uint32)
    found: Contexts = np.empty(sum(end - begin for _, begin, end in pieces), kind)
    for (i, begin, end), piece in zip(pieces, _split(found, pieces), strict=True):
        piece[:] = blocks[i].contexts(begin, end)
    return found


def _split(array: np.ndarray, pieces: Sequence[tuple[int, int, int]]) -> list[np.ndarray]:
    return np.split(array, np.cumsum([end - begin for _, begin, end in pieces])[:-1])


def _packed(groups: NDArray[np.uint8], count: int) -> bytes:
    return np.packbits(np.unpackbits(groups[:, None], axis=1)[:, 9 - count.bit_length() :]).tobytes()


def _unpacked(source: _Source, size: int, count: int) -> NDArray[np.uint8]:
    width = count.bit_length() - 1
    bits = np.unpackbits(source.take("u1", (size * width + 7) // 8), count=size * width).reshape(size, width)
    return np.packbits(np.pad(bits, ((0, 0), (8 - width, 0))), axis=1)[:, 0]
