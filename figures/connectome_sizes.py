"""How many bytes a connectome takes, beside other ways to write its weights (appendix A.1)."""

import json
from math import log2
from pathlib import Path
from typing import NamedTuple

__all__ = ["Coded", "read_coded"]

DENSE_BYTES = 2  # a weight in 16 bits
FIXED_BYTES, HEADER_AT = 16, 12  # connectome/file.py gives the layout


class Coded(NamedTuple):
    """Sizes of one connectome.

    Args:
        weights: places where there could be a weight.
        kept: how many there are.
        file_bytes: of the file.
        bound_bytes: Shannon's bound for independent weights of each matrix' density, signs even.
        dense_bytes: all weights in 16 bits each.
    """

    weights: int
    kept: int
    file_bytes: float
    bound_bytes: float
    dense_bytes: float


def read_coded(path: Path) -> Coded:
    """Sizes of a connectome file, from its header alone: its weights take seconds to decode.

    Raises:
        ValueError: if it is no connectome file.
    """
    try:
        with open(path, "rb") as file:
            fixed = file.read(FIXED_BYTES)
            header = json.loads(file.read(int.from_bytes(fixed[HEADER_AT:], "little")))
        shapes = [(entry["shape"][0] * entry["shape"][1], int(entry["kept"])) for entry in header["matrices"]]
    except (ValueError, KeyError, TypeError, IndexError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is no connectome file or damaged ({type(error).__name__}: {error}); move it elsewhere"
        ) from error
    weights = sum(size for size, _ in shapes)
    bits = sum(size * bits_per_weight(kept / size) for size, kept in shapes)
    return Coded(weights, sum(kept for _, kept in shapes), path.stat().st_size, bits / 8, DENSE_BYTES * weights)


def bits_per_weight(density: float) -> float:
    """Entropy H = -(1 - d) log2(1 - d) - d log2(d / 2) of a weight that exists with probability d, signs even."""
    return -sum(p * log2(p) for p in (1 - density, density / 2, density / 2) if p > 0)
