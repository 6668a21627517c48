"""TensorBoard's event files as points."""

from pathlib import Path

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from figures.curves import EventFileError, curve, read_points
from figures.runs import Run

LOSS = "validation/loss"


def write_events(folder: Path, values: dict[int, float], tag: str = f"within_generation/{LOSS}") -> Path:
    with SummaryWriter(str(folder)) as writer:
        for step, value in values.items():
            writer.add_scalar(tag, value, step)
    return max(folder.iterdir())


def test_every_point_of_the_event_files_is_read_by_generation(tmp_path: Path) -> None:
    run = Run(tmp_path, "outer", seed=3, generations=2, steps=20_000)
    long = {step: float(step) for step in range(1, 12_001)}  # TensorBoard itself would show 1,000 of them
    write_events(tmp_path / "tensorboard" / "generation_0", long)
    write_events(tmp_path / "tensorboard" / "generation_1", {5: 0.25}, tag="within_generation/train/loss")
    write_events(tmp_path / "tensorboard" / "generation_1", {5: 0.5})
    found = read_points(run, [LOSS])
    assert curve(found, LOSS, generation=0) == list(long.items())
    assert found[-1][:4] == (1, LOSS, 5, 0.5)


def test_throughput_is_read_at_the_steps_of_the_run(tmp_path: Path) -> None:
    write_events(tmp_path / "tensorboard" / "generation_1", {25: 64.0}, tag="throughput/mfu")
    assert read_points(Run(tmp_path, "outer", 0, 2, 20), ["throughput/mfu"])[0][:4] == (1, "throughput/mfu", 25, 64.0)


def test_the_later_of_two_files_counts_and_a_torn_end_is_left_out(tmp_path: Path) -> None:
    run = Run(tmp_path, "Connectome", seed=0, generations=1, steps=3)
    write_events(tmp_path / "tensorboard", {1: 4.0, 2: 3.0}).rename(tmp_path / "tensorboard/events.out.tfevents.1.a")
    later = write_events(tmp_path / "tensorboard", {2: 2.5, 3: 2.0}).rename(
        tmp_path / "tensorboard/events.out.tfevents.2.b"
    )
    later.write_bytes(later.read_bytes()[:-3])
    assert [(p.step, p.value) for p in read_points(run, [LOSS])] == [(1, 4.0), (2, 2.5)]


def test_a_flipped_bit_in_a_value_is_found(tmp_path: Path) -> None:
    path = write_events(tmp_path / "tensorboard", {1: 4.0})
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # the last byte but one of the record; four of checksum follow
    path.write_bytes(content)
    with pytest.raises(EventFileError, match="a checksum does not match"):
        read_points(Run(tmp_path, "Connectome", 0, 1, 3), [LOSS])


@pytest.mark.parametrize("content", [b"not events at all", b"?", np.arange(100).tobytes()])
def test_a_file_that_holds_no_events_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard/events.out.tfevents.1.a").write_bytes(content)
    with pytest.raises(EventFileError, match=r"events\.out\.tfevents\.1\.a"):
        read_points(Run(tmp_path, "Connectome", 0, 1, 3), [LOSS])


def test_a_run_without_event_files_has_no_points(tmp_path: Path) -> None:
    assert read_points(Run(tmp_path, "outer", 0, 1, 3), [LOSS]) == []
