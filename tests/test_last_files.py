"""A generation ends with four files: connectome, (full validation,) checkpoint, records and kept weights.

A task that dies after any of them is requeued: the same command runs again, as `slurm/until_finished.sh` does, until
the kept weights are there.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest

import callbacks.generational_pruning
import callbacks.keep_weights
from callbacks import stop_signal
from callbacks.rolling_checkpoint import RollingCheckpoint
from callbacks.run_folder import RunFolder
from lightning_modules.language_model import LanguageModel
from tests.interruption import InterruptedError_
from tests.same_run import assert_same_curves, assert_same_run

Run = Callable[..., int]

LAST = {  # what is done last, in order
    "connectome": (callbacks.generational_pruning, "save_connectome"),
    "validation": (LanguageModel, "on_validation_epoch_end"),
    "checkpoint": (RollingCheckpoint, "save"),
    "records": (callbacks.keep_weights, "add_records"),
    "kept weights": (callbacks.keep_weights, "write_weights"),
}


class Death:
    """Stands around a function and dies right after it, once, as soon as the folder's last step is reached."""

    def __init__(self, function: Callable[..., Any], due: Callable[[], bool]) -> None:
        self.function, self.due, self.died = function, due, False

    def __get__(self, instance: Any, owner: type) -> Callable[..., Any]:
        return lambda *args, **kwargs: self(instance, *args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self.function(*args, **kwargs)
        if not self.died and self.due():
            self.died = True
            raise InterruptedError_
        return result


class TerminatedAtStart(L.Callback):
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def dies_after(last: str, due: Callable[[], bool], monkeypatch: pytest.MonkeyPatch) -> Death:
    place, name = LAST[last]
    death = Death(getattr(place, name), due)
    monkeypatch.setattr(place, name, death)
    return death


def task(run: Run, folder: Path, finished: Path, *options: str) -> int:
    """Run until the file is there; how many turns it took."""
    for turn in range(1, 5):
        try:
            assert run(folder, *options) == 0
        except InterruptedError_:
            continue
        assert finished.is_file()
        return turn
    raise AssertionError("never finished")


@pytest.mark.parametrize("every", ["3", "6"], ids=["checkpoints inside", "checkpoints at boundaries only"])
@pytest.mark.parametrize("generation", [0, 2])
@pytest.mark.parametrize("last", LAST)
def test_a_task_that_dies_between_last_files_is_requeued_and_finishes_equal(
    outer: Run, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str, generation: int, every: str
) -> None:
    folder = RunFolder(tmp_path)
    death = dies_after(last, folder.connectome(generation).is_file, monkeypatch)
    turns = [
        task(outer, tmp_path, folder.kept(g), "--generation", str(g), "--checkpoint.every", every) for g in range(3)
    ]
    assert death.died
    assert turns == [2 if g == generation else 1 for g in range(3)]
    assert_same_run(straight, tmp_path)
    assert_same_curves(straight, tmp_path)


@pytest.mark.parametrize("last", [last for last in LAST if last != "connectome"])
def test_an_inner_run_that_dies_between_last_files_finishes_equal(
    inner: Run, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    connectome = ["--wiring.connectome", str(RunFolder(straight).connectome(2))]
    assert inner(tmp_path / "straight", *connectome) == 0
    folder = RunFolder(tmp_path / "killed")
    calls: list[str] = []

    def due() -> bool:
        calls.append(last)
        return len(calls) == (2 if last in ("validation", "checkpoint") else 1)  # those of step 3 come first

    death = dies_after(last, due, monkeypatch)
    assert task(inner, folder.root, folder.final, *connectome) == 2
    assert death.died
    assert_same_run(tmp_path / "straight", folder.root)
    assert_same_curves(tmp_path / "straight", folder.root)


def test_sigterm_before_the_first_step_is_answered_after_it(outer: Run, straight: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as left:
        outer(tmp_path, "--trainer.callbacks+=tests.test_last_files.TerminatedAtStart")
    assert left.value.code == 0
    assert list(RunFolder(tmp_path).checkpoints()) == [1]
    stop_signal._received.clear()
    assert outer(tmp_path) == 0
    assert_same_run(straight, tmp_path)


def test_a_half_written_checkpoint_is_removed_when_its_run_goes_on(outer: Run, tmp_path: Path) -> None:
    assert outer(tmp_path, "--generation", "0") == 0
    partial = tmp_path / "checkpoints" / ".step_00000005.ckpt.partial"
    partial.write_bytes(b"half")
    assert outer(tmp_path, "--generation", "1") == 0
    assert not partial.exists()


def test_a_rank_that_found_another_checkpoint_than_rank_zero_stops_the_run(tmp_path: Path) -> None:
    trainer = SimpleNamespace(
        strategy=SimpleNamespace(broadcast=lambda step: 6), global_rank=1, default_root_dir=tmp_path
    )
    checkpointing = RollingCheckpoint()
    checkpointing.on_load_checkpoint(trainer, None, {"global_step": 3})  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="rank 1 found the checkpoint of step 3, rank 0 that of 6"):
        checkpointing.on_fit_start(trainer, None)  # type: ignore[arg-type]
