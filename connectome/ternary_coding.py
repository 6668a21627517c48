"""An entropy coder for ternary symbols: asymmetric numeral systems (Duda 2013), many at a time.

The state of one coder is an integer of 32 bits. A symbol of frequency f out of `TOTAL` multiplies it by about
TOTAL / f; where it would overflow, its lower 16 bits are first moved to the output. Here some thousand such coders,
called lanes, take turns: of n lanes, lane l codes the symbols l, l + n, l + 2 n, …, so that one numpy call advances all
of them by a symbol. Everything is integer arithmetic on frequencies that the file states: decoding is exact on every
machine.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from connectome.wiring import Connectome

__all__ = ["TOTAL", "decode", "encode", "independent_bits", "n_lanes", "quantised", "shannon_bits"]

PRECISION = 12  # bits of a frequency: with more, rounding of the small states costs more than exact frequencies save
TOTAL = 1 << PRECISION
START = 1 << 16  # states lie in [START, START ** 2) between two symbols
SYMBOLS_PER_LANE, FEWEST_LANES, MOST_LANES = 1 << 14, 32, 4096  # a lane costs about three bytes

Symbols = NDArray[np.uint8]  # 0, 1 and 2: inhibitory, absent, excitatory
Contexts = NDArray[np.unsignedinteger]  # row of the table of frequencies that holds for a symbol
Frequencies = NDArray[np.uint32]  # of shape (contexts, 3), each at least 1, every row summing to TOTAL


def shannon_bits(counts: Tensor) -> Tensor:
    """Bits per symbol that no code for independent symbols can beat: H = -sum_i p_i log2 p_i (Shannon, 1948).

    Args:
        counts: occurrences of each symbol, shape `(symbols,)`; at least one occurs.
    """
    p = counts[counts > 0].to(torch.float64) / counts.sum()
    return -(p * p.log2()).sum().clamp_max(0.0)


def independent_bits(connectome: Connectome) -> float:
    """Bits that no code can beat for independent weights of the same shares of -1, 0 and 1 in every matrix."""
    bits = 0.0
    for matrix in connectome.matrices.values():
        kept, excitatory = int(matrix.count_nonzero()), int((matrix > 0).sum())
        counts = torch.tensor([kept - excitatory, matrix.numel() - kept, excitatory])
        bits += matrix.numel() * float(shannon_bits(counts))
    return bits


def quantised(counts: NDArray[np.int64]) -> Frequencies:
    """Integers in proportion to counts of shape `(contexts, 3)`: at least 1 each, `TOTAL` in every context."""
    occurrences = np.maximum(counts.sum(1, keepdims=True), 1)
    frequencies = 1 + counts * (TOTAL - 3) // occurrences
    rest = TOTAL - frequencies.sum(1)
    frequencies[np.arange(len(counts)), counts.argmax(1)] += rest
    return frequencies.astype(np.uint32)


def encode(symbols: Symbols, contexts: Contexts, frequencies: Frequencies) -> tuple[NDArray[np.uint32], bytes]:
    """The final state of every lane, and the 16-bit words that decoding reads in order.

    Coding runs backwards, so that decoding runs forwards.
    """
    lanes = n_lanes(len(symbols))
    states = np.full(lanes, START, np.uint32)
    frequency = frequencies.ravel()
    below = (np.cumsum(frequencies, 1, dtype=np.uint32) - frequencies).ravel()
    complement = TOTAL - frequency
    overflow = frequency << np.uint32(32 - PRECISION)
    pieces = []
    for begin in reversed(range(0, len(symbols), lanes)):
        entry = contexts[begin : begin + lanes] * np.intp(3) + symbols[begin : begin + lanes]
        x = states[: len(entry)]
        full = x >= overflow.take(entry)
        pieces.append(x[full].astype("<u2"))
        x >>= full.view(np.uint8) << np.uint8(4)
        quotient = x // frequency.take(entry)
        x += quotient * complement.take(entry) + below.take(entry)  # = quotient * TOTAL + below + remainder
    return states, b"".join(piece.tobytes() for piece in reversed(pieces))


def decode(
    states: NDArray[np.uint32], words: NDArray[np.uint16], contexts: Contexts, frequencies: Frequencies
) -> Symbols:
    """The symbols that `encode` was given.

    Raises:
        ValueError: if states and words are no code of that many symbols.
    """
    x_all = states.astype(np.uint32)
    lanes = len(x_all)
    frequency = frequencies.ravel()
    cumulated = np.cumsum(frequencies, 1, dtype=np.uint32)
    below = (cumulated - frequencies).ravel()
    first, second = np.ascontiguousarray(cumulated[:, 0]), np.ascontiguousarray(cumulated[:, 1])
    symbols = np.empty(len(contexts), np.uint8)
    at = 0
    for begin in range(0, len(contexts), lanes):
        context = contexts[begin : begin + lanes].astype(np.intp)
        x = x_all[: len(context)]
        slot = x & np.uint32(TOTAL - 1)
        symbol = symbols[begin : begin + lanes]
        np.add(slot >= first.take(context), slot >= second.take(context), out=symbol, dtype=np.uint8)
        entry = context * 3 + symbol
        x >>= np.uint32(PRECISION)
        x *= frequency.take(entry)
        x += slot - below.take(entry)
        empty = (x < START).nonzero()[0]
        if at + len(empty) > len(words):
            break
        x[empty] = (x[empty] << np.uint32(16)) | words[at : at + len(empty)]
        at += len(empty)
    if at != len(words) or not (x_all == START).all():
        raise ValueError("the coded weights do not end where they should")
    return symbols


def n_lanes(symbols: int) -> int:
    """Number of lanes for that many symbols: part of the format."""
    return min(max(symbols // SYMBOLS_PER_LANE, FEWEST_LANES), MOST_LANES)
