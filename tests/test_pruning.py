"""The magnitude rule: exactly which weights a generation does not pass on."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from connectome.pruning import (
    _select_by_bisection,
    _select_by_partition,
    prune_smallest,
    prune_smallest_globally,
    smallest,
)

FRACTIONS = [0.0, 0.1, 0.2, 0.29, 0.5, 0.99]


def some_matrix(seed: int, *, tied: bool = False) -> tuple[Tensor, Tensor]:
    """A random matrix and mask; `tied`: of few different magnitudes, zeros of both signs among them."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(23, 17, generator=generator)
    mask = torch.rand(23, 17, generator=generator) < 0.7
    return (weights.mul(2).round().mul(0.01), mask) if tied else (weights, mask)


def all_of(weights: Tensor) -> Tensor:
    return torch.ones_like(weights, dtype=torch.bool)


def by_sorting(weights: Tensor, mask: Tensor, fraction_in_percent: int) -> list[bool]:
    """The rule spelled out: order the remaining weights by magnitude, then position; drop the first floor(…)."""
    values, exists = weights.flatten().tolist(), mask.flatten().tolist()
    remaining = sorted((abs(value), position) for position, value in enumerate(values) if exists[position])
    kept = {position for _, position in remaining[len(remaining) * fraction_in_percent // 100 :]}
    return [position in kept for position in range(len(values))]


def test_two_of_ten_are_pruned_at_a_fifth() -> None:
    weights = torch.tensor([[5.0, -1.0, 8.0, 0.5, -7.0], [3.0, 9.0, -2.0, 6.0, 4.0]])
    kept = prune_smallest(weights, all_of(weights), 0.2)
    assert kept.tolist() == [[True, False, True, False, True], [True, True, True, True, True]]


@pytest.mark.parametrize(("remaining", "pruned"), [(4, 0), (5, 1), (9, 1), (10, 2), (14, 2), (15, 3)])
def test_the_number_of_pruned_weights_is_rounded_down(remaining: int, pruned: int) -> None:
    weights = torch.arange(1.0, 21.0)
    kept = prune_smallest(weights, torch.arange(20) < remaining, 0.2)
    assert int(kept.sum()) == remaining - pruned


@pytest.mark.parametrize(("fraction", "pruned"), [(0.29, 29), (0.57, 57), (0.58, 58), (0.07, 7), (0.1, 10)])
def test_the_fraction_is_the_decimal_number_that_is_written(fraction: float, pruned: int) -> None:
    """In binary 0.29 * 100 is 28.999…, whose floor is 28."""
    weights = torch.arange(100.0)
    assert int((~prune_smallest(weights, all_of(weights), fraction)).sum()) == pruned


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("fraction", FRACTIONS)
def test_every_pruned_magnitude_is_at_most_every_kept_one(fraction: float, tied: bool) -> None:
    weights, mask = some_matrix(1, tied=tied)
    kept = prune_smallest(weights, mask, fraction)
    gone = weights.abs()[mask & ~kept]
    assert not gone.numel() or gone.max() <= weights.abs()[kept].min()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("percent", [0, 1, 20, 33, 99])
@pytest.mark.parametrize("tied", [False, True])
def test_it_prunes_what_sorting_by_magnitude_and_position_prunes(seed: int, percent: int, tied: bool) -> None:
    weights, mask = some_matrix(seed, tied=tied)
    assert prune_smallest(weights, mask, percent / 100).flatten().tolist() == by_sorting(weights, mask, percent)


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_a_mask_only_ever_shrinks(fraction: float) -> None:
    weights, mask = some_matrix(2)
    assert not (prune_smallest(weights, mask, fraction) & ~mask).any()


def test_among_equal_magnitudes_the_earlier_in_row_major_order_goes_first() -> None:
    weights = torch.tensor([[0.5, -0.5], [0.5, 0.1], [-0.5, 0.5]])
    kept = prune_smallest(weights, all_of(weights), 0.5)
    assert kept.tolist() == [[False, False], [True, False], [True, True]]


def test_ties_go_by_position_in_a_transposed_matrix_too() -> None:
    """Row-major order of the matrix, not of its memory."""
    weights = torch.full((2, 3), 0.5).t()
    kept = prune_smallest(weights, all_of(weights), 0.5)
    assert kept.tolist() == [[False, False], [False, True], [True, True]]


def test_zeros_of_both_signs_are_equal() -> None:
    weights = torch.tensor([[-0.0, 0.0, -0.0, 0.0]])
    assert prune_smallest(weights, all_of(weights), 0.5).tolist() == [[False, False, True, True]]


def test_absent_weights_do_not_count_whatever_their_value() -> None:
    weights = torch.tensor([0.0, float("nan"), 4.0, 3.0, 2.0, 1.0, float("inf")])
    mask = torch.tensor([False, False, True, True, True, True, False])
    assert prune_smallest(weights, mask, 0.5).nonzero().flatten().tolist() == [2, 3]


def test_the_sign_does_not_matter() -> None:
    weights, mask = some_matrix(3)
    assert torch.equal(prune_smallest(-weights, mask, 0.2), prune_smallest(weights, mask, 0.2))


def test_five_generations_leave_what_five_floors_leave() -> None:
    weights = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    mask = all_of(weights)
    counts = [int((mask := prune_smallest(weights, mask, 0.2)).sum()) for _ in range(6)]
    assert counts == [800, 640, 512, 410, 328, 263]


@pytest.mark.parametrize("fraction", [0.0, 0.2])
def test_weights_and_mask_are_left_as_they_were(fraction: float) -> None:
    weights, mask = some_matrix(4)
    before = weights.clone(), mask.clone()
    kept = prune_smallest(weights, mask, fraction)
    kept.fill_(False)
    assert torch.equal(weights, before[0])
    assert torch.equal(mask, before[1])


def test_a_parameter_can_be_pruned() -> None:
    weights = torch.nn.Parameter(torch.tensor([2.0, 1.0]))
    assert prune_smallest(weights, all_of(weights), 0.5).tolist() == [True, False]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions_are_pruned_by_their_own_values(dtype: torch.dtype) -> None:
    weights, mask = some_matrix(5)
    weights = weights.to(dtype)
    assert prune_smallest(weights, mask, 0.2).flatten().tolist() == by_sorting(weights, mask, 20)


@pytest.mark.parametrize("remaining", [0, 1])
def test_next_to_nothing_can_be_pruned(remaining: int) -> None:
    mask = torch.arange(4) < remaining
    assert torch.equal(prune_smallest(torch.ones(4), mask, 0.9), mask)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 1.5, float("nan")])
def test_a_fraction_outside_zero_to_one_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\), found"):
        prune_smallest(torch.ones(4), all_of(torch.ones(4)), fraction)


@pytest.mark.parametrize("mask", [torch.ones(4), torch.ones(5, dtype=torch.bool), torch.ones(1, 4, dtype=torch.bool)])
def test_a_mask_of_another_kind_or_shape_is_refused(mask: Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected a bool mask of shape \(4,\), found"):
        prune_smallest(torch.ones(4), mask, 0.2)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    weights = torch.tensor([1.0, value, 2.0])
    with pytest.raises(ValueError, match="not finite"):
        prune_smallest(weights, all_of(weights), 0.2)


def test_the_global_rule_has_one_threshold_for_all_matrices() -> None:
    large, little = torch.tensor([[10.0, 11.0]]), torch.tensor([[1.0], [2.0], [3.0]])
    kept = prune_smallest_globally([large, little], [all_of(large), all_of(little)], 0.4)
    assert [mask.tolist() for mask in kept] == [[[True, True]], [[False], [False], [True]]]


def test_the_global_rule_is_the_local_one_on_all_weights_in_a_row() -> None:
    (a, mask_a), (b, mask_b) = some_matrix(6, tied=True), some_matrix(7, tied=True)
    kept = prune_smallest_globally([a, b], [mask_a, mask_b], 0.2)
    assert [mask.shape for mask in kept] == [a.shape, b.shape]
    expected = by_sorting(torch.stack([a, b]), torch.stack([mask_a, mask_b]), 20)
    assert torch.stack(kept).flatten().tolist() == expected


def test_global_ties_go_in_the_order_of_the_list() -> None:
    same = torch.full((1, 2), 0.02)
    kept = prune_smallest_globally([same, same], [all_of(same)] * 2, 0.75)
    assert [mask.tolist() for mask in kept] == [[[False, False]], [[False, True]]]


def test_the_global_rule_refuses_lists_of_different_length() -> None:
    same = torch.ones(2, 2)
    with pytest.raises((ValueError, RuntimeError)):
        prune_smallest_globally([same, same], [all_of(same)], 0.2)


@pytest.mark.parametrize("select", [_select_by_partition, _select_by_bisection])
@pytest.mark.parametrize(("count", "value"), [(1, 2), (2, 5), (3, 5), (4, 2**31 - 1)])
def test_both_ways_of_selecting_find_the_same_value(
    select: Callable[[Tensor, int], int], count: int, value: int
) -> None:
    assert select(torch.tensor([5, 2**31 - 1, 2, 5], dtype=torch.int32), count) == value


@pytest.mark.parametrize("count", [1, 77, 200, 391])
@pytest.mark.parametrize("tied", [False, True])
def test_devices_that_bisect_decide_as_those_that_partition(count: int, tied: bool) -> None:
    order = some_matrix(8, tied=tied)[0].abs().flatten().view(torch.int32)
    assert _select_by_bisection(order, count) == _select_by_partition(order, count)


@pytest.mark.parametrize(("count", "marked"), [(0, []), (1, [2]), (2, [0, 2]), (3, [0, 1, 2]), (4, [0, 1, 2, 3])])
def test_smallest_marks_as_many_as_asked_for_the_earlier_first(count: int, marked: list[int]) -> None:
    values = torch.tensor([7, 7, 0, 7], dtype=torch.int32)
    assert smallest(values, count).nonzero().flatten().tolist() == marked


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("fraction", FRACTIONS)
def test_a_gpu_prunes_the_same_weights(fraction: float, tied: bool) -> None:
    weights, mask = some_matrix(9, tied=tied)
    on_gpu = prune_smallest(weights.cuda(), mask.cuda(), fraction)
    assert on_gpu.is_cuda
    assert torch.equal(on_gpu.cpu(), prune_smallest(weights, mask, fraction))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_prunes_in_deterministic_mode() -> None:
    """torch.kthvalue would raise there, after hours of training."""
    weights = torch.arange(10.0, device="cuda")
    torch.use_deterministic_algorithms(True)
    try:
        assert prune_smallest(weights, weights >= 0, 0.2).tolist() == [False] * 2 + [True] * 8
    finally:
        torch.use_deterministic_algorithms(False)
