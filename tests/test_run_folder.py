"""Where a run keeps what, and which checkpoint it goes on from."""

from pathlib import Path

import pytest
import torch

from callbacks.run_folder import RunFolder


def save(folder: RunFolder, step: int, size: int = 300) -> Path:
    path = folder.checkpoint(step)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"step": step, "weights": torch.arange(float(size))}, path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run with checkpoints of the steps 3, 6 and 12."""
    folder = RunFolder(tmp_path)
    for step in (6, 12, 3):
        save(folder, step)
    return folder


def test_files_have_the_published_names() -> None:
    folder = RunFolder("runs/a")
    assert [
        str(path)
        for path in (
            folder.records,
            folder.final,
            folder.checkpoint(7000),
            folder.connectome(5),
            folder.kept(0),
            folder.snapshot(250),
        )
    ] == [
        "runs/a/records.jsonl",
        "runs/a/final.safetensors",
        "runs/a/checkpoints/step_00007000.ckpt",
        "runs/a/connectomes/generation_5.connectome",
        "runs/a/generations/0.safetensors",
        "runs/a/snapshots/00000250.safetensors",
    ]


@pytest.mark.parametrize("step", [0, 7, 42_000, 123_456_789])
def test_a_checkpoint_s_name_tells_its_step(step: int) -> None:
    assert RunFolder.step_of(RunFolder("runs/a").checkpoint(step)) == step


def test_checkpoints_come_newest_first(folder: RunFolder) -> None:
    assert list(folder.checkpoints()) == [12, 6, 3]
    assert folder.checkpoints()[6] == folder.checkpoint(6)


def test_a_folder_that_is_not_there_holds_no_checkpoint(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "new")
    assert folder.checkpoints() == {}
    assert folder.newest_checkpoint() is None
    assert not folder.root.exists()


@pytest.mark.parametrize(
    "name", ["step_00000012 (copy).ckpt", "step_best.ckpt", "last.ckpt", ".step_00000099.ckpt.partial", "step_99.txt"]
)
def test_other_files_are_no_checkpoints(folder: RunFolder, name: str) -> None:
    (folder.root / "checkpoints" / name).write_bytes(b"x")
    assert list(folder.checkpoints()) == [12, 6, 3]


@pytest.mark.parametrize(("most", "step"), [(None, 12), (100, 12), (12, 12), (11, 6), (3, 3)])
def test_a_run_goes_on_from_the_newest_checkpoint_it_may_use(folder: RunFolder, most: int | None, step: int) -> None:
    assert folder.newest_checkpoint(most=most) == folder.checkpoint(step)


def test_there_may_be_none_that_is_old_enough(folder: RunFolder) -> None:
    assert folder.newest_checkpoint(most=2) is None


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_is_passed_over_with_a_warning(folder: RunFolder, share: float) -> None:
    newest = folder.checkpoint(12)
    content = newest.read_bytes()
    newest.write_bytes(content[: int(share * len(content))])
    with pytest.warns(UserWarning, match=r"step_00000012\.ckpt is damaged \(.+\); the checkpoint before it is used"):
        assert folder.newest_checkpoint() == folder.checkpoint(6)
    assert newest.exists()


def test_one_flipped_bit_of_a_weight_is_noticed(folder: RunFolder) -> None:
    newest = folder.checkpoint(12)
    content = bytearray(newest.read_bytes())
    content[content.index(torch.arange(300.0).numpy().tobytes()) + 500] ^= 1
    newest.write_bytes(content)
    with pytest.warns(UserWarning, match="is damaged"):
        assert folder.newest_checkpoint() == folder.checkpoint(6)


@pytest.mark.filterwarnings("ignore:.*is damaged:UserWarning")
def test_no_kind_of_damage_stops_the_search(folder: RunFolder) -> None:
    """Names, flags, versions and sizes in the archive are damaged too; its padding may be."""
    newest = save(folder, 12, size=1)
    content = newest.read_bytes()
    found = set()
    for position in range(0, len(content), 11):
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        newest.write_bytes(damaged)
        found.add(folder.newest_checkpoint())
    assert found == {folder.checkpoint(6), folder.checkpoint(12)}


def test_where_all_are_damaged_there_is_none(folder: RunFolder) -> None:
    for path in folder.checkpoints().values():
        path.write_bytes(b"")
    with pytest.warns(UserWarning, match="is damaged") as warned:
        assert folder.newest_checkpoint() is None
    assert len(warned) == 3


def test_a_file_that_lightning_would_load_unasked_is_refused(folder: RunFolder) -> None:
    folder.refuse_foreign_checkpoints()
    (folder.root / "hpc_ckpt_1.ckpt").write_bytes(b"")
    with pytest.raises(FileExistsError, match=r"hpc_ckpt_1\.ckpt would silently win .* move it elsewhere"):
        folder.refuse_foreign_checkpoints()
