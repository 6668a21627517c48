"""Whatever interrupts a run, the finished one equals the undisturbed one bit for bit (one process, eager)."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from callbacks import stop_signal
from callbacks.run_folder import RunFolder
from connectome import load_connectome, save_connectome
from lightning_modules.chunked_loss import chunked_next_token_loss
from lightning_modules.device_memory import DeviceMemory
from lightning_modules.records import read_records
from lightning_modules.weights import read_checkpoint
from tests.interruption import InterruptedError_
from tests.same_run import assert_same_curves, assert_same_run, curves

Run = Callable[..., int]


def interruption(**settings: object) -> list[str]:
    """Options that put an `Interruption` into a run."""
    options = ["--trainer.callbacks+=tests.interruption.Interruption"]
    return options + [f"--trainer.callbacks.{name}={value}" for name, value in settings.items()]


@pytest.mark.parametrize(
    "where",
    [
        {"step": 4, "micro_batch": 1},  # in the middle of an accumulation window
        {"step": 9, "at": "batch_end"},  # mid-generation, after the step and before its validation and checkpoint
        {"step": 6, "at": "batch_end"},  # at a boundary, before the connectome is written
        {"step": 6, "at": "validation_end"},  # at a boundary, before its checkpoint is
        {"step": 12, "micro_batch": 0},  # about to cross
        {"step": 12, "micro_batch": 2},  # having crossed
    ],
)
def test_a_crashed_run_ends_like_the_undisturbed_one(
    outer: Run, straight: Path, tmp_path: Path, where: dict[str, object]
) -> None:
    with pytest.raises(InterruptedError_):
        outer(tmp_path, *interruption(**where))
    assert outer(tmp_path) == 0
    assert_same_run(straight, tmp_path)
    assert_same_curves(straight, tmp_path)


@pytest.mark.parametrize(
    ("where", "saved"),
    [
        ({"step": 4, "micro_batch": 1}, 5),
        ({"step": 5, "micro_batch": 2}, 6),  # the step that ends a generation
        ({"step": 6, "micro_batch": 0}, 7),
        ({"step": 9, "at": "validation_end"}, 10),
    ],
)
def test_a_signal_is_answered_at_the_next_step_and_nothing_is_lost(
    outer: Run, straight: Path, tmp_path: Path, where: dict[str, object], saved: int
) -> None:
    with pytest.raises(SystemExit) as left:
        outer(tmp_path, *interruption(what="ask", **where))
    assert left.value.code == 0
    assert max(RunFolder(tmp_path).checkpoints()) == saved
    stop_signal._received.clear()
    assert outer(tmp_path) == 0
    assert_same_run(straight, tmp_path)
    assert_same_curves(straight, tmp_path)


def test_one_fit_per_generation_equals_one_fit_over_all(outer: Run, straight: Path, tmp_path: Path) -> None:
    for generation in range(3):
        assert outer(tmp_path, "--generation", str(generation)) == 0
    assert_same_run(straight, tmp_path)
    assert_same_curves(straight, tmp_path)


@pytest.mark.parametrize("generation", [1, 2])
def test_a_generation_depends_on_its_parent_only_through_the_connectome(
    outer: Run, straight: Path, tmp_path: Path, generation: int
) -> None:
    parent = RunFolder(straight).connectome(generation - 1)
    for later in range(generation, 3):
        assert outer(tmp_path, "--generation", str(later), "--parent", str(parent)) == 0
    for later in range(generation, 3):
        for file in (RunFolder.connectome, RunFolder.kept):
            assert file(RunFolder(tmp_path), later).read_bytes() == file(RunFolder(straight), later).read_bytes()


def test_a_generation_without_its_parent_is_an_error_and_no_fresh_start(
    outer: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outer(tmp_path, "--generation", "1") == 1
    assert "run --generation 0 first" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_finished_run_is_left_as_it_is(outer: Run, straight: Path, tmp_path: Path) -> None:
    assert outer(tmp_path) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.suffix != ".lock" and path.is_file()}
    assert outer(tmp_path) == 0
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.suffix != ".lock" and path.is_file()}
    assert after == before


def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(outer: Run, straight: Path, tmp_path: Path) -> None:
    with pytest.raises(InterruptedError_):
        outer(tmp_path, *interruption(step=10))
    newest = RunFolder(tmp_path).checkpoint(9)
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    with pytest.warns(UserWarning, match="step_00000009.ckpt is damaged"):
        assert outer(tmp_path) == 0
    assert_same_run(straight, tmp_path)


def test_a_run_resumed_with_another_micro_batch_reads_the_same_and_finishes(
    outer: Run, straight: Path, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit):
        outer(tmp_path, *interruption(step=4, what="ask"))  # leaves at step 5, after 15 micro-batches of 4
    stop_signal._received.clear()
    with pytest.warns(UserWarning, match="micro-batches of 4, this run has 1 with 6"):
        assert outer(tmp_path, "--data.micro_batch_size", "6") == 0
    folder = RunFolder(tmp_path)
    assert [folder.kept(generation).is_file() for generation in range(3)] == [True] * 3
    last = read_checkpoint(folder.checkpoint(18))
    assert last["loops"]["fit_loop"]["state_dict"]["combined_loader"] == [{"sequences": 18 * 12}]
    for mine, theirs in zip(read_records(folder.records), read_records(RunFolder(straight).records), strict=True):
        assert mine["value"] == pytest.approx(theirs["value"], rel=1e-5)
    assert {key: [step for step, _ in points] for key, points in curves(tmp_path).items()} == {
        key: [step for step, _ in points] for key, points in curves(straight).items()
    }


def test_a_run_that_chose_its_micro_batch_keeps_it_on_a_larger_device(
    outer: Run, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first device holds 4 or 5 sequences, as the undisturbed run has them; the second all 12."""

    def has_room_for(sequences: int) -> None:
        monkeypatch.setattr(DeviceMemory, "room", lambda memory: memory.of(sequences).total)

    has_room_for(5)
    with pytest.raises(SystemExit):
        outer(tmp_path, *interruption(step=4, what="ask"), "--data.micro_batch_size", "auto")
    stop_signal._received.clear()
    has_room_for(12)
    assert outer(tmp_path, "--data.micro_batch_size", "auto") == 0
    assert_same_run(straight, tmp_path)
    assert_same_curves(straight, tmp_path)


def test_an_end_before_all_that_is_kept_is_refused(
    outer: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outer(tmp_path, "--generation", "0") == 0
    before = curves(tmp_path)
    assert outer(tmp_path, "--trainer.max_steps", "2") == 1
    assert "has come past step 2" in capsys.readouterr().err
    assert curves(tmp_path) == before


@pytest.mark.parametrize("options", [["--parent", "x"], ["--parent", "x", "--generation", "0"], ["--generation", "-1"]])
def test_options_that_would_be_ignored_are_refused(outer: Run, tmp_path: Path, options: list[str]) -> None:
    assert outer(tmp_path, *options) == 1
    assert not list(tmp_path.iterdir())


def test_a_parent_on_other_tokens_is_refused(
    outer: Run, straight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = load_connectome(RunFolder(straight).connectome(0))
    other = replace(parent, provenance=replace(parent.provenance, tokenizer="bytes"))
    save_connectome(other, tmp_path / "other.connectome")
    assert outer(tmp_path / "run", "--generation", "1", "--parent", str(tmp_path / "other.connectome")) == 1
    assert "on tokens of 'bytes'" in capsys.readouterr().err


def test_a_snapshot_that_a_kill_prevented_is_made_up_for(outer: Run, tmp_path: Path) -> None:
    snapshots = ["--keep.snapshot_at", "[5]"]
    with pytest.raises(SystemExit):
        outer(tmp_path, *interruption(step=4, what="ask"), *snapshots)
    stop_signal._received.clear()
    snapshot = RunFolder(tmp_path).snapshot(5)
    taken = snapshot.read_bytes()
    snapshot.unlink()  # as if killed between the checkpoint of step 5 and its snapshot
    assert outer(tmp_path, *snapshots) == 0
    assert snapshot.read_bytes() == taken


@pytest.mark.gpu
@pytest.mark.parametrize("options", [["--trainer.precision", "bf16-mixed"], ["--model.compile", "true"]])
def test_a_run_on_a_gpu_resumes_exactly(outer: Run, tmp_path: Path, options: list[str]) -> None:
    options = [*options, "--trainer.accelerator", "cuda"]
    assert outer(tmp_path / "straight", *options) == 0
    with pytest.raises(InterruptedError_):
        outer(tmp_path / "crashed", *options, *interruption(step=10))
    assert outer(tmp_path / "crashed", *options) == 0
    assert_same_run(tmp_path / "straight", tmp_path / "crashed")


def test_a_run_whose_loss_goes_in_chunks_resumes_exactly_and_ends_near_the_plain_one(
    outer: Run, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = functools.partial(chunked_next_token_loss, rows=24)  # of the 64 tokens of a micro-batch
    monkeypatch.setattr("lightning_modules.language_model.chunked_next_token_loss", chunks)
    budget = ["--model.logits_budget", "0"]
    assert outer(tmp_path / "whole", *budget) == 0
    with pytest.raises(InterruptedError_):
        outer(tmp_path / "interrupted", *budget, *interruption(step=10))
    assert outer(tmp_path / "interrupted", *budget) == 0
    assert_same_run(tmp_path / "whole", tmp_path / "interrupted")
    records = [read_records(RunFolder(folder).records) for folder in (tmp_path / "whole", straight)]
    for mine, theirs in zip(*records, strict=True):
        assert mine["value"] == pytest.approx(theirs["value"], rel=1e-5)
