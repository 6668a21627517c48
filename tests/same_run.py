"""Two run folders hold the same run: bit for bit, whatever happened to either on the way."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from callbacks.run_folder import RunFolder
from lightning_modules.records import read_records
from lightning_modules.weights import read_checkpoint

__all__ = ["assert_same_curves", "assert_same_run", "curves"]

STATE = ("state_dict", "optimizer_states", "lr_schedulers", "callbacks", "global_step", "record")


def assert_same_run(one: Path, two: Path) -> None:
    """Compare the last checkpoint, the connectomes, the kept weights and the records."""
    first, second = RunFolder(one), RunFolder(two)
    mine, theirs = (read_checkpoint(next(iter(folder.checkpoints().values()))) for folder in (first, second))
    for key in STATE:
        assert_equal(mine[key], theirs[key], key)
    assert mine["loops"]["fit_loop"]["state_dict"] == theirs["loops"]["fit_loop"]["state_dict"]  # data position
    for pattern in ("connectomes/*", "generations/*", "final.safetensors"):
        names = sorted(path.relative_to(one) for path in one.glob(pattern))
        assert names == sorted(path.relative_to(two) for path in two.glob(pattern))
        for name in names:
            if name.suffix == ".safetensors":
                assert_equal(load_file(one / name), load_file(two / name), str(name))
            assert (one / name).read_bytes() == (two / name).read_bytes(), name
    assert list(one.glob("connectomes/*")) or list(one.glob("final*"))
    assert read_records(first.records) == read_records(second.records)


def assert_equal(mine: Any, theirs: Any, where: str) -> None:
    """Equality in depth, tensors by their bits."""
    if isinstance(mine, torch.Tensor):
        assert torch.equal(mine, theirs), where
    elif isinstance(mine, dict):
        assert mine.keys() == theirs.keys(), where
        for key in mine:
            assert_equal(mine[key], theirs[key], f"{where}.{key}")
    elif isinstance(mine, list):
        assert len(mine) == len(theirs), where
        for index, pair in enumerate(zip(mine, theirs, strict=True)):
            assert_equal(*pair, f"{where}[{index}]")
    else:
        assert mine == theirs, where


def curves(folder: Path) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """Points of every curve by TensorBoard run and tag, as they lie in the files; timings left out."""
    found = {}
    for run in sorted({path.parent for path in (folder / "tensorboard").rglob("events.out.tfevents.*")}):
        events = EventAccumulator(str(run), size_guidance={"scalars": 0})
        events.Reload()
        for tag in events.Tags()["scalars"]:
            if "throughput" not in tag:
                points = [(event.step, event.value) for event in events.Scalars(tag)]
                found[str(run.relative_to(folder)), tag] = points
    return found


def assert_same_curves(one: Path, two: Path) -> None:
    """Every point of every curve once, in both folders alike."""
    mine, theirs = curves(one), curves(two)
    assert mine
    for points in mine.values():
        steps = [step for step, _ in points]
        assert steps == sorted(set(steps))
    assert mine == theirs
