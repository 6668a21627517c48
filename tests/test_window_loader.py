"""Which windows are read at which step: a pure function of (seed, step), however the batch is divided."""

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import pytest
import torch

from datamodules.batch import Batch
from datamodules.token_shards import TokenShards, write_shard
from datamodules.window_loader import TrainingWindows, ValidationWindows, batch_of, permutation

LENGTH = 4
GLOBAL_BATCH = 12


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> TokenShards:
    """30 windows in two shards; window w begins with the token 4 w (a second shard goes on from 4 * 17)."""
    folder = tmp_path_factory.mktemp("shards")
    write_shard(folder / "a.bin", range(17 * LENGTH + 1))
    write_shard(folder / "b.bin", range(17 * LENGTH, 30 * LENGTH + 1))
    return TokenShards([folder / "a.bin", folder / "b.bin"], LENGTH)


def loader(shards: TokenShards, *, ranks: int = 1, micro: int = 1, rank: int = 0, seed: int = 0) -> TrainingWindows:
    return TrainingWindows(shards, micro_batch_size=micro, rank=rank, world_size=ranks, seed=seed)


def windows_of(batch: Batch) -> list[int]:
    return (batch.tokens[:, 0] // LENGTH).tolist()


def steps(shards: TokenShards, n: int, *, ranks: int, micro: int, first: int = 0, seed: int = 0) -> list[list[int]]:
    """Sorted windows of each of n optimizer steps, over all ranks and micro-batches, from a step on."""
    readers = [loader(shards, ranks=ranks, micro=micro, rank=rank, seed=seed) for rank in range(ranks)]
    for reader in readers:
        reader.load_state_dict({"sequences": first * GLOBAL_BATCH})
    streams: list[Iterator[Batch]] = [iter(reader) for reader in readers]
    accumulated = GLOBAL_BATCH // (ranks * micro)
    return [sorted(w for s in streams for b in islice(s, accumulated) for w in windows_of(b)) for _ in range(n)]


def by_definition(n: int, step: int, seed: int = 0) -> list[int]:
    """Sequence k = 12 step + j is window permutation(seed, k // n)[k mod n]."""
    sequences = range(step * GLOBAL_BATCH, (step + 1) * GLOBAL_BATCH)
    return sorted(int(permutation(seed, k // n, n)[k % n]) for k in sequences)


@pytest.mark.parametrize("n", [1, 2, 100])
def test_a_permutation_holds_every_window_once(n: int) -> None:
    assert sorted(permutation(3, 1, n).tolist()) == list(range(n))


def test_every_seed_and_pass_has_its_own_permutation() -> None:
    """(0, 1) and (1, 0) among them."""
    orders = {tuple(permutation(seed, index, 20).tolist()) for seed in range(3) for index in range(3)}
    assert len(orders) == 9


def test_a_permutation_is_pinned_for_every_machine() -> None:
    """A change of these numbers makes interrupted runs go on with other data."""
    assert permutation(0, 0, 8).tolist() == [2, 4, 3, 6, 5, 0, 1, 7]


def test_a_pass_reads_every_window_once(shards: TokenShards) -> None:
    read = [w for batch in islice(loader(shards, micro=5), 6) for w in windows_of(batch)]
    assert sorted(read) == list(range(30))


def test_the_next_pass_is_reshuffled(shards: TokenShards) -> None:
    stream = iter(loader(shards, micro=30))
    first, second = windows_of(next(stream)), windows_of(next(stream))
    assert sorted(first) == sorted(second)
    assert first != second


@pytest.mark.parametrize(("ranks", "micro"), [(1, 12), (1, 4), (1, 1), (2, 6), (2, 3), (3, 2), (4, 1), (12, 1)])
def test_a_step_reads_the_same_windows_however_it_is_divided(shards: TokenShards, ranks: int, micro: int) -> None:
    """Step 2 straddles the first two passes: 30 windows are two and a half batches."""
    assert steps(shards, 6, ranks=ranks, micro=micro) == [by_definition(30, step) for step in range(6)]


def test_the_order_within_a_step_is_that_of_the_sequences(shards: TokenShards) -> None:
    """Micro-batch after micro-batch, within it rank after rank: two ranks of two equal one rank of four."""
    one = next(iter(loader(shards, micro=4)))
    two = [next(iter(loader(shards, ranks=2, micro=2, rank=rank))) for rank in range(2)]
    assert windows_of(one) == [w for batch in two for w in windows_of(batch)]
    assert windows_of(one) == permutation(0, 0, 30)[:4].tolist()


@pytest.mark.parametrize("first", [1, 2, 3, 100])
def test_a_resumed_run_reads_what_an_uninterrupted_one_reads(shards: TokenShards, first: int) -> None:
    resumed = steps(shards, 3, ranks=2, micro=3, first=first)
    assert resumed == [by_definition(30, step) for step in range(first, first + 3)]


def test_a_run_resumed_on_other_ranks_reads_the_same(shards: TokenShards) -> None:
    assert steps(shards, 2, ranks=4, micro=3, first=5) == steps(shards, 2, ranks=1, micro=2, first=5)


@pytest.mark.parametrize("batches", [0, 1, 7])
def test_the_state_says_what_was_handed_out(shards: TokenShards, batches: int) -> None:
    reader = loader(shards, ranks=2, micro=3, rank=1)
    list(islice(reader, batches))
    assert reader.state_dict() == {"sequences": batches * 6}
    again = loader(shards, ranks=2, micro=3, rank=1)
    again.load_state_dict(reader.state_dict())
    assert torch.equal(next(iter(again)).tokens, next(iter(reader)).tokens)


def test_the_state_is_equal_on_all_ranks(shards: TokenShards) -> None:
    readers = [loader(shards, ranks=3, micro=2, rank=rank) for rank in range(3)]
    for reader in readers:
        next(iter(reader))
    assert [reader.state_dict() for reader in readers] == [{"sequences": 6}] * 3


def test_a_second_iterator_goes_on_where_the_first_was_left(shards: TokenShards) -> None:
    """Lightning may ask for an iterator more than once."""
    reader = loader(shards, micro=4)
    read = [*windows_of(next(iter(reader))), *windows_of(next(iter(reader)))]
    assert read == permutation(0, 0, 30)[:8].tolist()


@pytest.mark.parametrize("count", [1, 31, 95])
def test_a_micro_batch_may_straddle_several_passes(shards: TokenShards, count: int) -> None:
    expected = [int(permutation(0, k // 30, 30)[k % 30]) for k in range(29, 29 + count)]
    assert loader(shards).windows(29, count).tolist() == expected


def test_a_seed_reads_in_another_order(shards: TokenShards) -> None:
    assert steps(shards, 1, ranks=1, micro=4, seed=1) != steps(shards, 1, ranks=1, micro=4, seed=0)


def test_the_loader_has_a_length(shards: TokenShards) -> None:
    """Without one Lightning prefetches a batch, which a resume would skip."""
    assert len(loader(shards)) >= 42_000 * 512


def test_targets_are_the_tokens_that_follow(shards: TokenShards) -> None:
    batch = batch_of(shards.read([0, 2]))
    assert batch.tokens.tolist() == [[0, 1, 2, 3], [8, 9, 10, 11]]
    assert batch.targets.tolist() == [[1, 2, 3, 4], [9, 10, 11, 12]]
    assert batch.tokens.is_contiguous()
    assert batch.targets.is_contiguous()


# validation


@pytest.fixture
def validation(shards: TokenShards) -> Callable[..., ValidationWindows]:
    """Seven windows in a quick pass, 20 in a full one."""

    def make(
        *, in_full: bool, rank: int = 0, ranks: int = 1, micro: int = 3, quick: int = 7, full: int = 20
    ) -> ValidationWindows:
        return ValidationWindows(
            shards,
            quick=quick,
            full=full,
            in_full=lambda: in_full,
            micro_batch_size=micro,
            rank=rank,
            world_size=ranks,
        )

    return make


def test_a_quick_pass_reads_the_first_windows_in_order(validation: Callable[..., ValidationWindows]) -> None:
    batches = list(validation(in_full=False))
    assert [windows_of(batch) for batch in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    assert all(batch.quick and not batch.full for batch in batches)


def test_a_full_pass_reads_the_quick_windows_first_and_in_batches_of_their_own(
    validation: Callable[..., ValidationWindows],
) -> None:
    batches = list(validation(in_full=True))
    assert [windows_of(batch) for batch in batches[:4]] == [[0, 1, 2], [3, 4, 5], [6], [7, 8, 9]]
    assert [batch.quick for batch in batches] == [True] * 3 + [False] * 5
    assert all(batch.full for batch in batches)


@pytest.mark.parametrize("in_full", [False, True])
@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
@pytest.mark.parametrize("micro", [1, 3, 100])
def test_all_ranks_together_read_each_window_once(
    validation: Callable[..., ValidationWindows], in_full: bool, ranks: int, micro: int
) -> None:
    loaders = [validation(in_full=in_full, rank=rank, ranks=ranks, micro=micro) for rank in range(ranks)]
    read = [w for loader in loaders for batch in loader for w in windows_of(batch)]
    assert sorted(read) == list(range(20 if in_full else 7))


def test_the_loader_is_as_long_as_a_full_pass(validation: Callable[..., ValidationWindows]) -> None:
    assert len(validation(in_full=False)) == len(validation(in_full=True)) == len(list(validation(in_full=True))) == 8


def test_it_is_asked_at_every_pass_whether_it_is_full(shards: TokenShards) -> None:
    answers = iter([False, True, False])
    loader = ValidationWindows(
        shards, quick=2, full=5, in_full=lambda: next(answers), micro_batch_size=10, rank=0, world_size=1
    )
    assert [sum(len(batch.tokens) for batch in loader) for _ in range(3)] == [2, 5, 2]


@pytest.mark.parametrize("in_full", [False, True])
def test_both_passes_may_be_the_same(validation: Callable[..., ValidationWindows], in_full: bool) -> None:
    batches = list(validation(in_full=in_full, quick=6, full=6))
    assert [windows_of(batch) for batch in batches] == [[0, 1, 2], [3, 4, 5]]


def test_no_micro_batch_is_empty(validation: Callable[..., ValidationWindows]) -> None:
    """A mean over nothing is not a number."""
    loaders = [validation(in_full=True, rank=rank, ranks=4, micro=2, quick=4, full=6) for rank in range(4)]
    assert [[len(batch.tokens) for batch in loader] for loader in loaders] == [[1, 1], [1, 1], [1], [1]]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_for_a_gpu_lie_in_page_locked_memory(shards: TokenShards) -> None:
    batch = batch_of(shards.read(np.arange(2)))
    assert batch.tokens.is_pinned()
    assert batch.targets.is_pinned()
