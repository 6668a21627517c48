"""The anatomy in TensorBoard: at every boundary once, also in a run that was resumed."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from callbacks.anatomy_log import log_histograms_and_pictures
from callbacks.run_logger import RunLogger
from connectome import Connectome
from connectome.picture import picture

LITTLE = Connectome({"a": torch.tensor([[1, -1, 0], [0, 0, 1]], dtype=torch.int8)})


def logger_in(folder: Path) -> RunLogger:
    return RunLogger(str(folder), steps_per_generation=10, tokens_per_step=32)


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "histograms": 0}).Reload()


def log(folder: Path, step: int) -> None:
    logger = logger_in(folder)
    logger.log_metrics({"connectome/density": 0.5}, step=step)
    log_histograms_and_pictures([logger], LITTLE, step)
    logger.finalize("success")


def test_degrees_and_pictures_are_in_the_run_of_their_generation(tmp_path: Path) -> None:
    log(tmp_path, 20)
    found = events(tmp_path / "generation_1")
    assert [image.step for image in found.Images("connectome/a")] == [20]
    (histogram,) = found.Histograms("connectome/in_degree/a")
    assert (histogram.step, histogram.histogram_value.sum, histogram.histogram_value.num) == (20, 3, 2)
    assert found.Histograms("connectome/out_degree/a")[0].histogram_value.num == 3


def test_a_resumed_run_has_them_once(tmp_path: Path) -> None:
    log(tmp_path, 10)
    logger_in(tmp_path).rewind(9)
    log(tmp_path, 10)
    found = events(tmp_path / "generation_0")
    assert [image.step for image in found.Images("connectome/a")] == [10]
    assert [histogram.step for histogram in found.Histograms("connectome/in_degree/a")] == [10]


def test_other_loggers_get_none(tmp_path: Path) -> None:
    log_histograms_and_pictures([CSVLogger(str(tmp_path))], LITTLE, 10)
    assert not list(tmp_path.rglob("*"))


def test_the_outer_loop_logs_the_anatomy_at_each_boundary(straight: Path) -> None:
    for generation in range(3):
        found = events(straight / "tensorboard" / f"generation_{generation}")
        for tag in ("connectome/hubs", "connectome/dead_heads", "connectome/dead_mlp_units"):
            assert [point.step for point in found.Scalars(tag)] == [6 * (generation + 1)]
        assert [image.step for image in found.Images("connectome/transformer.wte.weight")] == [6 * (generation + 1)]
        assert len(found.Tags()["histograms"]) == 2 * 9


def test_a_picture_is_white_blue_and_vermilion() -> None:
    found = picture(LITTLE.matrices["a"])
    assert found.shape == (3, 2, 3)
    assert found[:, 0, 2].tolist() == [1, 1, 1]
    assert found[:, 0, 0].tolist() == pytest.approx([0, 0.447, 0.698])
    assert found[:, 0, 1].tolist() == pytest.approx([0.835, 0.369, 0])


def test_a_large_matrix_is_drawn_in_blocks_and_in_order_of_degree() -> None:
    matrix = torch.zeros(600, 1000, dtype=torch.int8)
    matrix[599, :500] = 1
    assert picture(matrix).shape == (3, 256, 256)
    ordered = picture(matrix, ordered=True)
    assert ordered[0, 0, 0] < 1
    assert (ordered[:, 3:] == 1).all()
