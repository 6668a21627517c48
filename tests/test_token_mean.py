"""The mean that validation reports: over tokens, whatever the batches."""

import math

import pytest
import torch

from lightning_modules.token_mean import TokenMean


def mean_of(*batches: tuple[float, int]) -> float:
    metric = TokenMean()
    for mean, tokens in batches:
        metric.update(torch.tensor(mean), tokens)
    return metric.compute().item()


def test_a_batch_of_three_times_the_tokens_counts_three_times() -> None:
    assert mean_of((1.0, 100), (5.0, 300)) == 4.0


@pytest.mark.parametrize("batches", [[(2.0, 4)], [(1.0, 2), (3.0, 2)], [(5.0, 1), (1.0, 3)]])
def test_the_mean_does_not_depend_on_how_tokens_are_batched(batches: list[tuple[float, int]]) -> None:
    assert mean_of(*batches) == 2.0


def test_ten_million_tokens_are_summed_without_rounding_them_away() -> None:
    """In float32 1e7 + 0.1 is 1e7."""
    assert mean_of((1.0, 10_000_000), (0.1, 1)) == pytest.approx(
        (1e7 + float(torch.tensor(0.1))) / 10_000_001, rel=1e-14
    )


def test_a_loss_that_is_not_a_number_shows() -> None:
    assert math.isnan(mean_of((1.0, 4), (float("nan"), 4)))


def test_after_a_reset_it_counts_from_zero() -> None:
    metric = TokenMean()
    metric.update(torch.tensor(9.0), 5)
    metric.reset()
    metric.update(torch.tensor(2.0), 1)
    assert metric.compute().item() == 2.0


def test_it_keeps_no_graph() -> None:
    metric = TokenMean()
    metric.update(torch.tensor(1.0, requires_grad=True), 1)
    assert not metric.total.requires_grad


def test_it_adds_nothing_to_a_model_s_state() -> None:
    """Checkpoints hold weights, not figures of half a validation."""
    assert TokenMean().state_dict() == {}
