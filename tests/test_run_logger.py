"""Curves as TensorBoard reads them: one run per generation, three axes, and no step twice after a resume."""

from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from callbacks.run_logger import RunLogger

Curve = list[tuple[int, float]]


def logger_in(folder: Path, *, single: bool = False) -> RunLogger:
    """Generations of 10 steps of 100 tokens."""
    return RunLogger(str(folder), steps_per_generation=10, tokens_per_step=100, single=single)


def log(logger: RunLogger, steps: range, scale: float = 1.0) -> None:
    for step in steps:
        logger.log_metrics({"train/loss": scale * step}, step=step)
    logger.finalize("success")


def curves(folder: Path) -> dict[str, Curve]:
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    return {tag: [(point.step, point.value) for point in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def runs(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_generation_is_a_run_of_its_own(tmp_path: Path) -> None:
    """The point at a generation's last step belongs to it: step 10 to generation 0."""
    log(logger_in(tmp_path), range(5, 26, 5))
    assert runs(tmp_path) == ["generation_0", "generation_1", "generation_2"]
    assert curves(tmp_path / "generation_0")["train/loss"] == [(5, 5.0), (10, 10.0)]
    assert curves(tmp_path / "generation_1")["train/loss"] == [(15, 15.0), (20, 20.0)]
    assert curves(tmp_path / "generation_2")["train/loss"] == [(25, 25.0)]


def test_generations_overlay_at_their_own_steps(tmp_path: Path) -> None:
    log(logger_in(tmp_path), range(5, 26, 5))
    assert curves(tmp_path / "generation_1")["within_generation/train/loss"] == [(5, 15.0), (10, 20.0)]


def test_every_curve_is_there_against_tokens(tmp_path: Path) -> None:
    log(logger_in(tmp_path), range(5, 26, 5))
    assert curves(tmp_path / "generation_1")["versus_tokens/train/loss"] == [(1500, 15.0), (2000, 20.0)]


def test_an_inner_run_lies_in_the_folder_itself(tmp_path: Path) -> None:
    log(logger_in(tmp_path, single=True), range(5, 11, 5))
    assert curves(tmp_path)["train/loss"] == [(5, 5.0), (10, 10.0)]
    assert all(path.is_file() for path in tmp_path.iterdir())


def test_points_can_be_read_before_the_end(tmp_path: Path) -> None:
    logger = logger_in(tmp_path)
    logger.log_metrics({"train/loss": 1.0}, step=1)
    logger.save()
    assert curves(tmp_path / "generation_0")["train/loss"] == [(1, 1.0)]
    logger.finalize("success")


def test_nothing_is_written_before_the_first_point(tmp_path: Path) -> None:
    logger = logger_in(tmp_path / "tensorboard")
    logger.log_hyperparams({"n_layer": 2})
    logger.experiment.add_scalar("x", 1.0, 0)
    logger.save()
    logger.finalize("success")
    assert not (tmp_path / "tensorboard").exists()


def hyper_parameters(folder: Path) -> dict[str, Any]:
    reader = EventAccumulator(str(folder))
    reader.Reload()
    data = HParamsPluginData.FromString(reader.SummaryMetadata("_hparams_/session_start_info").plugin_data.content)
    return {name: getattr(v, v.WhichOneof("kind")) for name, v in data.session_start_info.hparams.items()}


def test_hyper_parameters_are_in_every_run(tmp_path: Path) -> None:
    logger = logger_in(tmp_path)
    logger.log_hyperparams({"n_layer": 2, "train": "large", "compile": False, "connectome": None})
    log(logger, range(10, 21, 10))
    for generation in (0, 1):
        found = hyper_parameters(tmp_path / f"generation_{generation}")
        assert found == {"n_layer": 2, "train": "large", "compile": False, "connectome": "None"}


def test_hyper_parameters_outlive_a_rewind(tmp_path: Path) -> None:
    logger = logger_in(tmp_path)
    logger.log_hyperparams({"n_layer": 2})
    log(logger, range(1, 4))
    logger_in(tmp_path).rewind(0)
    assert hyper_parameters(tmp_path / "generation_0") == {"n_layer": 2}


@pytest.mark.parametrize("step", [0, 3, 10, 11, 17, 20])
def test_a_resumed_run_has_the_curves_of_an_uninterrupted_one(tmp_path: Path, step: int) -> None:
    """The killed one got to step 20; on disk it had step 17 and went on from there, with what it saw the first time."""
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    log(logger_in(whole), range(1, 26))
    log(logger_in(resumed), range(1, 21))
    again = logger_in(resumed)
    again.rewind(step)
    log(again, range(step + 1, 26))
    for generation in runs(whole):
        assert curves(resumed / generation) == curves(whole / generation)


@pytest.mark.parametrize("step", [3, 10])
def test_a_resumed_inner_run_has_the_curves_of_an_uninterrupted_one(tmp_path: Path, step: int) -> None:
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    log(logger_in(whole, single=True), range(1, 11))
    log(logger_in(resumed, single=True), range(1, 11))
    again = logger_in(resumed, single=True)
    again.rewind(step)
    log(again, range(step + 1, 11))
    assert curves(resumed) == curves(whole)


def test_what_was_logged_after_the_step_is_replaced_by_what_is_logged_now(tmp_path: Path) -> None:
    log(logger_in(tmp_path), range(1, 6))
    again = logger_in(tmp_path)
    again.rewind(3)
    log(again, range(4, 6), scale=-1.0)
    assert curves(tmp_path / "generation_0")["train/loss"] == [(1, 1.0), (2, 2.0), (3, 3.0), (4, -4.0), (5, -5.0)]


@pytest.mark.parametrize("torn", [1, 5, 30])
def test_a_file_torn_by_a_kill_is_continued(tmp_path: Path, torn: int) -> None:
    log(logger_in(tmp_path), range(1, 6))
    (path,) = (tmp_path / "generation_0").iterdir()
    path.write_bytes(path.read_bytes()[:-torn])
    again = logger_in(tmp_path)
    again.rewind(4)
    log(again, range(5, 8))
    for tag, steps in {"train/loss": range(1, 8), "within_generation/train/loss": range(1, 8)}.items():
        assert [step for step, _ in curves(tmp_path / "generation_0")[tag]] == list(steps)


def test_rewinding_a_new_run_does_nothing(tmp_path: Path) -> None:
    logger_in(tmp_path / "new").rewind(0)
    assert not (tmp_path / "new").exists()
