"""The DataModule: when a validation is full, and what data it refuses with which words."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from datamodules.fineweb import FineWeb
from datamodules.manifest import Manifest, shard_entry
from datamodules.token_shards import ShardError, write_shard
from tests.toy_fineweb import toy_fineweb, write_toy_shards

Make = Callable[..., FineWeb]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_toy_shards(tmp_path)


@pytest.fixture
def make(folder: Path) -> Make:
    return partial(toy_fineweb, folder)


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
