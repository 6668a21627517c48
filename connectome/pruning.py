"""Magnitude pruning: which weights a generation does not pass on (Kotar & Tuckute 2025, section 2.1.2)."""

from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

__all__ = ["prune_smallest", "prune_smallest_globally"]


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
    magnitudes = weights.detach().abs()[mask]
    if not torch.isfinite(magnitudes).all():
        raise ValueError("cannot prune weights that are not finite: their magnitudes have no order")
    count = int(Fraction(str(fraction)) * magnitudes.numel())  # floor, exact in decimals
    if count == 0:
        return mask.clone()
    threshold = magnitudes.kthvalue(count).values
    pruned = magnitudes < threshold
    ties = (magnitudes == threshold).nonzero().squeeze(1)
    pruned[ties[: count - int(pruned.sum())]] = True
    kept = mask.clone()
    kept[mask] = ~pruned
    return kept


def prune_smallest_globally(weights: Sequence[Tensor], masks: Sequence[Tensor], fraction: float) -> list[Tensor]:
    """`prune_smallest` over all matrices as one: one threshold for the whole network.

    Ties fall in the order of the list, then in row-major order. The paper found it worse (section 2.1.2).
    """
    flat_weights = torch.cat([matrix.flatten() for matrix in weights])
    flat_masks = torch.cat([mask.flatten() for mask in masks])
    kept = prune_smallest(flat_weights, flat_masks, fraction)
    return [part.view_as(mask) for part, mask in zip(kept.split([mask.numel() for mask in masks]), masks, strict=True)]
