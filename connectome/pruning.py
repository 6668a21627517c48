"""Magnitude pruning: which weights a generation does not pass on (Kotar & Tuckute 2025, section 2.1.2)."""

from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

__all__ = ["prune_smallest", "prune_smallest_globally", "smallest"]

INTEGER_OF_BYTES = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def prune_smallest(weights: Tensor, mask: Tensor, fraction: float) -> Tensor:
    """Mask without the `fraction` of the remaining weights that is smallest in magnitude.

    Exactly floor(fraction * remaining) weights go, `fraction` read as the decimal number it is written as. Among equal
    magnitudes the one earlier in row-major order goes first, so every rank and device decides alike. The threshold is
    selected, not sorted for.

    Args:
        weights: trained weights of one matrix, any shape.
        mask: bool, same shape; True where a weight still exists.
        fraction: share of the remaining weights to remove, 0 <= fraction < 1.

    Returns:
        A new bool mask, a subset of `mask`.

    Raises:
        ValueError: for a fraction outside [0, 1), a mask that is not bool or of another shape, or a weight that is not
            finite.
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"the pruned fraction must lie in [0, 1), found {fraction}")
    if mask.dtype != torch.bool or mask.shape != weights.shape:
        raise ValueError(
            f"expected a bool mask of shape {tuple(weights.shape)}, found {mask.dtype} of shape {tuple(mask.shape)}"
        )
    magnitudes = weights.detach().abs().masked_fill_(~mask, torch.inf)  # absent weights are never among the smallest
    remaining = int(mask.count_nonzero())
    if int((magnitudes < torch.inf).count_nonzero()) != remaining:
        raise ValueError("cannot prune weights that are not finite: their magnitudes have no order")
    count = int(Fraction(str(fraction)) * remaining)  # floor, exact in decimals
    # Floats that are not negative are in the same order as the integers of the same bits.
    order = magnitudes.flatten().view(INTEGER_OF_BYTES[magnitudes.element_size()])
    return mask & ~smallest(order, count).view_as(mask)


def prune_smallest_globally(weights: Sequence[Tensor], masks: Sequence[Tensor], fraction: float) -> list[Tensor]:
    """`prune_smallest` over all matrices as one: one threshold for the whole network.

    Ties fall in the order of the list, then in row-major order. The paper found it worse (section 2.1.2).
    """
    flat_weights = torch.cat([matrix.flatten() for matrix in weights])
    flat_masks = torch.cat([mask.flatten() for mask in masks])
    kept = prune_smallest(flat_weights, flat_masks, fraction)
    return [part.view_as(mask) for part, mask in zip(kept.split([mask.numel() for mask in masks]), masks, strict=True)]


def smallest(values: Tensor, count: int) -> Tensor:
    """Bool, True at the `count` smallest of `values`; among equal ones the earlier comes first.

    Args:
        values: integers that are not negative, shape `(n,)`.
        count: 0 <= count <= n.
    """
    if count == 0:
        return torch.zeros_like(values, dtype=torch.bool)
    # On the CPU numpy selects ten times faster than torch.kthvalue, which CUDA refuses in deterministic mode.
    select = _select_by_partition if values.device.type == "cpu" else _select_by_bisection
    threshold = select(values, count)
    chosen = values < threshold
    ties = (values == threshold).nonzero().squeeze(1)
    chosen[ties[: count - int(chosen.count_nonzero())]] = True
    return chosen


def _select_by_partition(values: Tensor, count: int) -> int:
    """The `count`-th smallest value."""
    scratch = values.numpy().copy()
    scratch.partition(count - 1)
    return int(scratch[count - 1])


def _select_by_bisection(values: Tensor, count: int) -> int:
    """The same, by at most 63 counts over all values."""
    low, high = 0, int(values.max())
    while low < high:
        middle = (low + high) // 2
        if int((values <= middle).count_nonzero()) >= count:
            high = middle
        else:
            low = middle + 1
    return low
