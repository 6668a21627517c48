"""The DataModule: how the batch is divided, when a validation is full, and what data it refuses with which words."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from datamodules.fineweb import FineWeb, accumulation
from datamodules.manifest import Manifest, shard_entry
from datamodules.token_shards import ShardError, write_shard

Make = Callable[..., FineWeb]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Windows of 4 tokens: 50 to train on in two shards, 30 to validate on; the largest token is 59."""
    for name, tokens in {"large/a": 101, "large/b": 101, "validation/a": 121}.items():
        write_shard(tmp_path / f"{name}.bin", [k % 60 for k in range(tokens)])
    return tmp_path


@pytest.fixture
def make(folder: Path) -> Make:
    """Makes a DataModule of batches of 12, attached to as much of a trainer as it looks at.

    The model's device holds up to `room` sequences.
    """

    def make(*, ranks: int = 1, room: int = 0, **options: Any) -> FineWeb:
        toy: dict[str, Any] = {
            "folder": str(folder),
            "batch_size": 12,
            "micro_batch_size": 3,
            "validation_interval": 5,
            "validation_tokens": 40,
            "full_validation_tokens": 120,
            "block_size": 4,
            "steps_per_generation": 20,
        }
        datamodule = FineWeb(**(toy | options))
        datamodule.trainer = SimpleNamespace(  # type: ignore[assignment]
            world_size=ranks,
            global_rank=0,
            accumulate_grad_batches=1,
            val_check_interval=1.0,
            global_step=0,
            state=SimpleNamespace(fn="fit"),
            lightning_module=SimpleNamespace(
                largest_micro_batch=lambda candidates: max(each for each in candidates if each <= room),
                fits=lambda sequences: sequences <= room,
            ),
        )
        return datamodule

    return make


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


def test_a_second_setup_changes_nothing(make: Make) -> None:
    datamodule = make()
    datamodule.setup("fit")
    part = datamodule.part
    datamodule.setup("fit")
    assert datamodule.part is part


def test_a_validation_needs_no_training_data(make: Make) -> None:
    datamodule = make(train="missing", batch_size=10**9)
    datamodule.setup("validate")
    assert list(datamodule.shards) == ["validation"]
    assert datamodule.part is not None


@pytest.mark.parametrize(
    ("fn", "step", "full"),
    [
        ("fit", 5, False),
        ("fit", 19, False),
        ("fit", 20, True),
        ("fit", 40, True),
        ("fit", 41, False),
        ("validate", 5, True),
    ],
)
def test_a_validation_is_full_at_a_generation_s_end_and_outside_training(
    make: Make, fn: str, step: int, full: bool
) -> None:
    datamodule = make()
    datamodule.setup("fit")
    assert datamodule.trainer is not None
    datamodule.trainer.state.fn = fn  # type: ignore[assignment]
    datamodule.trainer.global_step = step  # type: ignore[misc]
    assert datamodule.in_full() is full
    assert sum(len(batch.tokens) for batch in datamodule.val_dataloader()) == (30 if full else 10)


def test_training_reads_windows_of_the_model_s_context(make: Make) -> None:
    datamodule = make()
    datamodule.setup("fit")
    batch = next(iter(datamodule.train_dataloader()))
    assert batch.tokens.shape == batch.targets.shape == (3, 4)


def test_the_seed_decides_the_order(make: Make) -> None:
    batches = []
    for seed in (0, 0, 1):
        datamodule = make(seed=seed)
        datamodule.setup("fit")
        batches.append(next(iter(datamodule.train_dataloader())).tokens.tolist())
    assert batches[0] == batches[1] != batches[2]


def test_a_rank_reads_its_own_share(make: Make) -> None:
    shares = []
    for rank in range(2):
        datamodule = make(ranks=2)
        datamodule.trainer.global_rank = rank  # type: ignore[union-attr, misc]
        datamodule.setup("fit")
        shares.append(next(iter(datamodule.train_dataloader())).tokens.tolist())
    whole = make(micro_batch_size=6)
    whole.setup("fit")
    assert shares[0] + shares[1] == next(iter(whole.train_dataloader())).tokens.tolist()


@pytest.mark.parametrize(("part", "at"), [("large/b", 57), ("validation/a", 57)])
def test_the_largest_token_of_both_parts_is_known(make: Make, folder: Path, part: str, at: int) -> None:
    """So that the model can refuse it before the first step, rather than fail in its embedding."""
    tokens = [k % 60 for k in range(121 if part == "validation/a" else 101)]
    tokens[at] = 64_000
    write_shard(folder / f"{part}.bin", tokens)
    datamodule = make()
    datamodule.setup("fit")
    assert datamodule.part is not None
    assert datamodule.part.largest_token == 64_000


def test_shards_without_a_manifest_have_the_tokenizer_that_is_named(make: Make) -> None:
    datamodule = make(tokenizer="bytes")
    datamodule.setup("fit")
    assert datamodule.part is not None
    assert datamodule.part.tokenizer == "bytes"


# what is refused


@pytest.mark.parametrize("interval", [0, -5, 3, 40])
def test_an_interval_that_does_not_divide_a_generation_is_refused(make: Make, interval: int) -> None:
    with pytest.raises(ValueError, match=r"generation of 20 steps is not a whole number of validation intervals of"):
        make(validation_interval=interval).setup("fit")


@pytest.mark.parametrize(("quick", "full"), [(0, 120), (-4, 120), (124, 120)])
def test_a_quick_validation_longer_than_the_full_one_is_refused(make: Make, quick: int, full: int) -> None:
    with pytest.raises(ValueError, match=f"found {quick} and {full}"):
        make(validation_tokens=quick, full_validation_tokens=full)


def test_a_negative_seed_is_refused(make: Make) -> None:
    with pytest.raises(ValueError, match="must not be negative, found -1"):
        make(seed=-1)


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_missing_part_is_refused(make: Make, part: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"no token shards at .*nowhere: .*cli\.py prepare"):
        make(**{part: "nowhere"}).setup("fit")


def test_fewer_windows_than_a_batch_are_refused(make: Make) -> None:
    with pytest.raises(ShardError, match=r"holds 50 windows of 4 tokens, fewer than the 51 of one global batch"):
        make(batch_size=51, micro_batch_size=1).setup("fit")


def test_as_many_windows_as_a_batch_are_enough(make: Make) -> None:
    datamodule = make(batch_size=50, micro_batch_size=1)
    datamodule.setup("fit")
    assert len(datamodule.shards["train"]) == 50


def test_a_validation_part_that_is_too_short_is_refused(make: Make) -> None:
    with pytest.raises(ShardError, match=r"holds 120 tokens in whole windows, 124 are asked for: lower --data\.full"):
        make(full_validation_tokens=124).setup("fit")


@pytest.mark.parametrize(("tokens", "ranks"), [(3, 1), (7, 2)])
def test_a_validation_without_a_window_for_every_rank_is_refused(make: Make, tokens: int, ranks: int) -> None:
    with pytest.raises(ValueError, match=f"less than one window of 4 for each of {ranks} ranks"):
        make(validation_tokens=tokens, ranks=ranks).setup("fit")


@pytest.mark.parametrize(
    ("train", "validation"), [("large", "large"), ("*/a.bin", "validation"), ("large", "large/b.bin")]
)
def test_a_shard_in_training_and_validation_is_refused(make: Make, train: str, validation: str) -> None:
    options = {"validation_tokens": 40, "full_validation_tokens": 40}
    with pytest.raises(ShardError, match=r"these shards are in training and in validation: \['.*\.bin'"):
        make(train=train, validation=validation, **options).setup("fit")


@pytest.mark.parametrize(("train", "validation"), [("large", "linked"), ("linked", "large")])
def test_a_link_to_a_shard_is_no_other_shard(make: Make, folder: Path, train: str, validation: str) -> None:
    (folder / "linked").mkdir()
    (folder / "linked" / "c.bin").symlink_to(folder / "large" / "a.bin")
    with pytest.raises(ShardError, match="in training and in validation"):
        make(train=train, validation=validation, full_validation_tokens=40).setup("fit")


def test_parts_of_different_tokenizers_are_refused(make: Make, folder: Path) -> None:
    for part, tokenizer in {"large": "gpt2", "validation": "bytes"}.items():
        shards = tuple(shard_entry(path) for path in sorted((folder / part).glob("*.bin")))
        Manifest(tokenizer, 1, shards).write(folder / part)
    with pytest.raises(ShardError, match="written by tokenizer 'gpt2', validation shards by 'bytes'"):
        make().setup("fit")


# the state of a run


def test_a_run_goes_on_with_the_same_data(make: Make) -> None:
    datamodule, again = make(), make()
    for each in (datamodule, again):
        each.setup("fit")
    again.load_state_dict(datamodule.state_dict())
    assert again.state_dict() == datamodule.state_dict()


def test_a_run_does_not_go_on_with_other_data(make: Make, folder: Path) -> None:
    datamodule = make()
    datamodule.setup("fit")
    write_shard(folder / "large" / "b.bin", [1] * 101)
    other = make()
    other.setup("fit")
    with pytest.raises(ShardError, match="give it the same data, or another --run folder"):
        other.load_state_dict(datamodule.state_dict())


def test_one_changed_token_is_other_data(make: Make, folder: Path) -> None:
    """The same count, the same names: the tokens themselves are looked at."""
    fingerprints = set()
    for last in (0, 1):
        write_shard(folder / "large" / "b.bin", [0] * 100 + [last])
        datamodule = make()
        datamodule.setup("fit")
        fingerprints.add(datamodule.state_dict()["fingerprint"])
    assert len(fingerprints) == 2


@pytest.mark.parametrize("change", [{"ranks": 2}, {"micro_batch_size": 6}])
def test_a_batch_divided_otherwise_is_said_to_round_otherwise(make: Make, change: dict[str, int]) -> None:
    datamodule, other = make(), make(**change)
    for each in (datamodule, other):
        each.setup("fit")
    with pytest.warns(UserWarning, match=r"1 ranks with micro-batches of 3, .* not equal bit for bit"):
        other.load_state_dict(datamodule.state_dict())


# a micro-batch that is chosen


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
