"""Rows and columns of a ternary matrix in groups that are alike: what training leaves and chance does not.

After training some rows and columns are denser than others, or more excitatory, and that towards some partners only.
Rows and columns are put into groups such that -1, 0 and 1 are spread over the blocks of groups as unevenly as can be
found (co-clustering: Dhillon, Mallela & Modha 2003). The frequencies of a block then say more than those of the matrix.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Grouping", "best_grouping", "ungrouped"]

GROUPS = (4, 8)  # of rows and of columns; powers of two
ROUNDS = 3
SLAB = 1 << 20  # weights that are looked at together
FINENESS = 1 << 20  # logarithms as integers: sums are exact, and so the groups do not depend on their order


class Grouping(NamedTuple):
    """Which rows and columns belong together.

    Args:
        rows: group of each row, shape `(rows,)`.
        columns: group of each column, shape `(columns,)`.
        counts: how many -1, 0 and 1 are in each block, shape `(row groups, column groups, 3)`.
    """

    rows: NDArray[np.uint8]
    columns: NDArray[np.uint8]
    counts: NDArray[np.int64]

    @property
    def bits(self) -> float:
        """What the matrix costs: its weights in their blocks, the frequencies, and the groups of rows and columns."""
        groups = self.counts.shape[0]
        of_groups = (len(self.rows) + len(self.columns)) * (groups.bit_length() - 1) + 32 * groups**2
        shares = self.counts / np.maximum(self.counts.sum(2, keepdims=True), 1)
        return of_groups - float((self.counts * np.log2(np.where(shares > 0, shares, 1))).sum())


def ungrouped(matrix: NDArray[np.int8]) -> Grouping:
    """All rows and all columns in one group: every weight as likely as every other."""
    excitatory = int(np.count_nonzero(matrix > 0))
    inhibitory = int(np.count_nonzero(matrix)) - excitatory
    counts = np.array([[[inhibitory, matrix.size - inhibitory - excitatory, excitatory]]], np.int64)
    return Grouping(np.zeros(matrix.shape[0], np.uint8), np.zeros(matrix.shape[1], np.uint8), counts)


def best_grouping(matrix: NDArray[np.int8]) -> Grouping:
    """The grouping in which the matrix costs the fewest bits; for a random matrix that is none."""
    found = [_grouped(matrix, groups) for groups in GROUPS if groups <= min(matrix.shape)]
    return min(ungrouped(matrix), *found, key=lambda grouping: grouping.bits) if found else ungrouped(matrix)


def _grouped(matrix: NDArray[np.int8], groups: int) -> Grouping:
    """Rows and columns in turn move to the group whose frequencies fit them best; they start in order of density."""
    rows = _quantiles(np.count_nonzero(matrix, axis=1), groups)
    columns = _quantiles(np.count_nonzero(matrix, axis=0), groups)
    by_column = _pass(matrix, rows, columns, groups)
    for _ in range(ROUNDS):
        costs = _costs(_blocks(by_column, columns, groups))
        columns = np.einsum("kcs,kls->cl", by_column, costs).argmin(1).astype(np.uint8)
        by_column = _pass(matrix, rows, columns, groups, _costs(_blocks(by_column, columns, groups)))
    return Grouping(rows, columns, _blocks(by_column, columns, groups).astype(np.int64))


def _pass(
    matrix: NDArray[np.int8],
    rows: NDArray[np.uint8],
    columns: NDArray[np.uint8],
    groups: int,
    costs: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Move the rows to their cheapest groups, in place; how many -1, 0 and 1 each column then has in each.

    Args:
        matrix: of shape `(rows, columns)`.
        rows: group of each row.
        columns: group of each column.
        groups: how many of either.
        costs: bits of each symbol in each block, shape `(groups, groups, 3)`; None leaves the rows where they are.

    Returns:
        Of shape `(groups, columns, 3)`.
    """
    in_column_group = _one_hot(columns, groups)
    kept = np.zeros((groups, matrix.shape[1]))
    excess = np.zeros_like(kept)  # of the excitatory over the inhibitory
    slab = max(1, SLAB // matrix.shape[1])
    for begin in range(0, len(matrix), slab):
        signs = matrix[begin : begin + slab].astype(np.float32)
        exists = np.abs(signs)
        if costs is not None:
            counts = _three(exists @ in_column_group, signs @ in_column_group, in_column_group.sum(0))
            rows[begin : begin + slab] = np.einsum("rls,kls->rk", counts, costs).argmin(1)
        in_row_group = _one_hot(rows[begin : begin + slab], groups).T
        kept += in_row_group @ exists  # whole numbers below 2^24: exact in float32
        excess += in_row_group @ signs
    return _three(kept, excess, np.bincount(rows, minlength=groups)[:, None])


def _three(kept: NDArray[Any], excess: NDArray[Any], size: NDArray[Any]) -> NDArray[np.float64]:
    """Counts of -1, 0 and 1 along a last axis."""
    excitatory = (kept.astype(np.float64) + excess) / 2
    return np.stack([kept - excitatory, size - kept, excitatory], -1)


def _blocks(by_column: NDArray[np.float64], columns: NDArray[np.uint8], groups: int) -> NDArray[np.float64]:
    return np.einsum("kcs,cl->kls", by_column, _one_hot(columns, groups))


def _costs(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bits of each symbol in each block, in units of 1 / `FINENESS`."""
    smoothed = counts + 0.5
    return np.rint(-np.log2(smoothed / smoothed.sum(-1, keepdims=True)) * FINENESS)


def _one_hot(groups: NDArray[np.uint8], count: int) -> NDArray[np.float32]:
    return np.eye(count, dtype=np.float32)[groups]


def _quantiles(values: NDArray[np.intp], groups: int) -> NDArray[np.uint8]:
    """Groups of equal size in order of value."""
    found = np.empty(len(values), np.uint8)
    found[values.argsort(kind="stable")] = np.arange(len(values)) * groups // len(values)
    return found
