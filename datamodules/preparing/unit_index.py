"""The documents of all complete units together, in canonical order."""

from collections import Counter
from pathlib import Path

import numpy as np

from datamodules.preparing.encoded_unit import EncodedUnit, read_unit

__all__ = ["UnitIndex"]


class UnitIndex:
    """Hashes and lengths of the documents of units 0 to `count` − 1; some 24 bytes a document in memory.

    Args:
        folder: where the units lie.
        count: how many of them.

    Raises:
        FileNotFoundError: if one of them is not complete.
    """

    def __init__(self, folder: Path, count: int) -> None:
        units = [_complete(folder, number) for number in range(count)]
        self.first_document = np.cumsum([0, *(unit.lengths.size for unit in units)])
        self.keys = _joined([unit.keys for unit in units], np.uint64)
        self.texts = _joined([unit.texts for unit in units], np.uint64)
        self.lengths = _joined([unit.lengths for unit in units], np.int64)
        self.skipped: Counter[str] = Counter()
        for unit in units:
            self.skipped.update(unit.skipped)

    def documents_of(self, unit: int) -> slice:
        """Where the documents of one unit stand among all."""
        return slice(int(self.first_document[unit]), int(self.first_document[unit + 1]))

    def __len__(self) -> int:
        """Number of units."""
        return len(self.first_document) - 1


def _complete(folder: Path, number: int) -> EncodedUnit:
    unit = read_unit(folder, number)
    if unit is None:
        raise FileNotFoundError(f"unit {number} is missing in {folder}; run the same `prepare` again to make it")
    return unit


def _joined(arrays: list[np.ndarray], dtype: type[np.generic]) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype), *arrays])
