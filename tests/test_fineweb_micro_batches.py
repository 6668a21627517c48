"""How FineWeb divides a global batch: what the trainer is told, and which micro-batch is chosen."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from datamodules.fineweb import FineWeb, accumulation
from tests.toy_fineweb import toy_fineweb, write_toy_shards

Make = Callable[..., FineWeb]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return partial(toy_fineweb, write_toy_shards(tmp_path))


def test_the_paper_s_batch_on_eight_devices_of_32_takes_two_micro_batches() -> None:
    assert accumulation(512, 32, 8) == 2


@pytest.mark.parametrize(
    ("batch", "micro", "ranks", "steps"), [(12, 12, 1, 1), (12, 3, 1, 4), (12, 3, 2, 2), (8, 1, 8, 1)]
)
def test_a_rank_accumulates_until_the_batch_is_whole(batch: int, micro: int, ranks: int, steps: int) -> None:
    assert accumulation(batch, micro, ranks) == steps
    assert accumulation(batch, micro, ranks) * micro * ranks == batch


@pytest.mark.parametrize(
    ("batch", "micro", "ranks", "message"),
    [
        (12, 5, 1, r"1 ranks x 5 = 5, and 12 / 5 = 2\.4; --data\.micro_batch_size may be 1, 2, 3, 4, 6, 12$"),
        (12, 4, 2, r"2 ranks x 4 = 8, and 12 / 8 = 1\.5; --data\.micro_batch_size may be 1, 2, 3, 6$"),
        (12, 24, 1, r"12 / 24 = 0\.5; --data\.micro_batch_size may be 1, 2, 3, 4, 6, 12$"),
        (12, 1, 5, r"5 ranks x 1 = 5, and 12 / 5 = 2\.4; change the batch or ranks$"),
        (12, 0, 1, r"--data\.micro_batch_size may be 1, 2, 3, 4, 6, 12$"),
        (12, -3, 1, r"--data\.micro_batch_size may be 1, 2, 3, 4, 6, 12$"),
        (0, 1, 1, r"change the batch or ranks$"),
    ],
)
def test_a_batch_that_does_not_divide_is_refused_with_the_arithmetic(
    batch: int, micro: int, ranks: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        accumulation(batch, micro, ranks)


@pytest.mark.parametrize(("ranks", "steps"), [(1, 4), (2, 2), (4, 1)])
def test_the_trainer_is_told_in_micro_batches(make: Make, ranks: int, steps: int) -> None:
    datamodule = make(ranks=ranks)
    datamodule.setup("fit")
    assert datamodule.trainer is not None
    assert datamodule.trainer.accumulate_grad_batches == steps
    assert datamodule.trainer.val_check_interval == 5 * steps


@pytest.mark.parametrize("option", ["accumulate_grad_batches", "val_check_interval"])
def test_a_trainer_that_was_told_otherwise_is_refused(make: Make, option: str) -> None:
    datamodule = make()
    setattr(datamodule.trainer, option, 2)
    with pytest.raises(ValueError, match=r"follow from the batch: leave them out, and set --data\.micro_batch_size"):
        datamodule.setup("fit")


@pytest.mark.parametrize(
    ("ranks", "room", "micro", "steps"), [(1, 5, 4, 3), (1, 100, 12, 1), (2, 5, 3, 2), (3, 3, 2, 2)]
)
def test_auto_is_the_largest_micro_batch_that_divides_and_fits(
    make: Make, ranks: int, room: int, micro: int, steps: int
) -> None:
    datamodule = make(ranks=ranks, room=room, micro_batch_size="auto")
    datamodule.setup("fit")
    assert datamodule.micro_batch_size == micro
    assert datamodule.trainer.accumulate_grad_batches == steps
    assert datamodule.trainer.val_check_interval == 5 * steps
    assert len(next(iter(datamodule.train_dataloader())).tokens) == micro
    assert datamodule.hparams["micro_batch_size"] == "auto"  # what was asked for


def test_a_validation_alone_needs_no_batch_that_divides_and_no_room_to_train(make: Make) -> None:
    datamodule = make(ranks=5, room=0, micro_batch_size="auto")
    datamodule.setup("validate")
    assert datamodule.micro_batch_size == 16
    datamodule.trainer.state.fn = "validate"  # type: ignore[assignment, union-attr]
    assert sum(len(batch.tokens) for batch in datamodule.val_dataloader()) == 6  # of 30 windows over 5 ranks


def test_auto_cannot_divide_what_no_number_divides(make: Make) -> None:
    with pytest.raises(ValueError, match=r"12 / 5 = 2\.4; change the batch or ranks"):
        make(ranks=5, room=3, micro_batch_size="auto").setup("fit")


def test_auto_goes_on_with_the_micro_batch_of_before(make: Make) -> None:
    before, now = make(micro_batch_size=3), make(room=100, micro_batch_size="auto")
    for each in (before, now):
        each.setup("fit")
    now.load_state_dict(before.state_dict())  # without a warning, which would be an error
    assert now.micro_batch_size == 3
    assert now.trainer.accumulate_grad_batches == 4
    assert now.trainer.val_check_interval == 20


@pytest.mark.parametrize(("ranks", "room", "micro"), [(1, 2, 2), (2, 100, 6)])
def test_auto_chooses_anew_where_that_does_not_fit_or_divide(make: Make, ranks: int, room: int, micro: int) -> None:
    before, now = make(micro_batch_size=12), make(ranks=ranks, room=room, micro_batch_size="auto")
    for each in (before, now):
        each.setup("fit")
    with pytest.warns(UserWarning, match=f"micro-batches of 12, this run has {ranks} with {micro}"):
        now.load_state_dict(before.state_dict())


@pytest.mark.parametrize(("micro", "smaller"), [(1, []), (4, [1, 2, 3]), (12, [1, 2, 3, 4, 6])])
def test_smaller_micro_batches_are_those_that_divide(make: Make, micro: int, smaller: list[int]) -> None:
    datamodule = make(micro_batch_size=micro)
    datamodule.setup("fit")
    assert datamodule.smaller_micro_batches() == smaller
