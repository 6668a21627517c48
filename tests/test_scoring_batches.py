"""Requests as batches: each once over all ranks, the longest first, cut at the left of the context."""

import pytest
import torch

from datamodules.scoring_batches import Request, ScoringBatches


def requests(count: int = 23) -> list[Request]:
    return [Request([1] * (1 + n % 7), list(range(2, 4 + n % 5))) for n in range(count)]


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("budget", [1, 20, 10_000])
def test_all_ranks_together_score_every_token_of_every_request(world_size: int, budget: int) -> None:
    asked = requests()
    scored: dict[int, list[int]] = {}
    for rank in range(world_size):
        for batch in ScoringBatches(asked, block_size=64, token_budget=budget, rank=rank, world_size=world_size):
            assert batch.tokens.numel() <= max(budget, batch.tokens.shape[1])
            for request in batch.requests.unique().tolist():
                scored[request] = batch.targets[batch.requests == request].tolist()
    assert scored == {number: list(request.continuation) for number, request in enumerate(asked)}


def test_the_longest_rows_come_first() -> None:
    widths = [batch.tokens.shape[1] for batch in ScoringBatches(requests(), block_size=64, token_budget=20)]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > widths[-1]


def test_every_token_is_predicted_from_the_one_before_it() -> None:
    (batch,) = ScoringBatches([Request([1, 2], [3, 4]), Request([5], [6])], block_size=64)
    assert batch.tokens.tolist() == [[1, 2, 3], [5, 0, 0]]
    assert batch.positions[batch.at].tolist() == [1, 2, 3]
    assert batch.targets.tolist() == [3, 4, 6]
    assert batch.requests.tolist() == [0, 0, 1]


def test_continuations_of_one_token_share_the_row_of_their_context() -> None:
    (batch,) = ScoringBatches([Request([1, 2, 3], [n]) for n in (4, 5, 6, 4)], block_size=64)
    assert batch.tokens.tolist() == [[1, 2, 3]]
    assert batch.positions.tolist() == [2]
    assert batch.at.tolist() == [0, 0, 0, 0]
    assert batch.targets.tolist() == [4, 5, 6, 4]


def test_a_context_that_is_too_long_loses_its_beginning() -> None:
    batches = ScoringBatches([Request([1, 2, 3, 4], [5, 6]), Request([3, 4, 7], [5, 6])], block_size=4)
    assert [row for batch in batches for row in batch.tokens.tolist()] == [[2, 3, 4, 5], [3, 4, 7, 5]]
    assert (batches.cut, batches.long) == (1, 0)


def test_a_continuation_that_is_too_long_alone_runs_at_its_length() -> None:
    batches = ScoringBatches([Request([9, 1], [2, 3, 4, 5])], block_size=3)
    assert next(iter(batches)).tokens.tolist() == [[1, 2, 3, 4]]
    assert (batches.cut, batches.long) == (1, 1)


def test_no_rank_is_without_a_batch() -> None:
    lengths = [len(ScoringBatches([Request([1], [2])], block_size=4, rank=rank, world_size=3)) for rank in range(3)]
    assert lengths == [1, 1, 1]


@pytest.mark.parametrize("asked", [[], [Request([], [1])], [Request([1], [])]])
def test_what_cannot_be_scored_is_refused(asked: list[Request]) -> None:
    with pytest.raises(ValueError, match=r"nothing to score|needs a token"):
        ScoringBatches(asked, block_size=4)


def test_a_token_budget_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="token budget"):
        ScoringBatches([Request([1], [2])], block_size=4, token_budget=0)


def test_padding_is_a_token_that_models_know() -> None:
    batch = next(iter(ScoringBatches([Request([1, 2], [3]), Request([1], [3])], block_size=4)))
    assert batch.tokens.dtype == torch.int64
    assert (batch.tokens >= 0).all()
