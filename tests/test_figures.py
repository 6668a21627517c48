"""The points that are drawn are those of known tables."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter

from figures.arms import ARMS, generation_colour
from figures.curves import EventFileError, Point, curve, mean_and_range, read_points
from figures.results import End
from figures.runs import Run
from figures.training_panels import (
    density_over_generations,
    loss_over_generations,
    loss_over_training,
    loss_within_generations,
)

LOSS = "validation/loss"
# Losses that fall by 1 every 10 steps; seed 1 lies 0.5 above seed 0.
CURVES = {0: {10: 5.0, 20: 4.0, 30: 3.0}, 1: {10: 5.5, 20: 4.5, 30: 3.5}}


def points(arm: str, seed: int, generation: int = 0, above: float = 0.0) -> list[Point]:
    return [Point(arm, seed, generation, LOSS, step, value + above) for step, value in CURVES[seed].items()]


def drawn(ax: Axes) -> dict[str, list[tuple[float, float]]]:
    """Points of every line with a label."""
    lines = {str(line.get_label()): line for line in ax.get_lines()}
    return {
        label: list(zip(map(float, line.get_xdata()), map(float, line.get_ydata()), strict=True))
        for label, line in lines.items()
        if not label.startswith("_")
    }


@pytest.fixture
def ax() -> Axes:
    return Figure().add_subplot()


def test_arms_are_drawn_as_the_mean_over_seeds_with_their_range(ax: Axes) -> None:
    assert loss_over_training([*points("Connectome", 0), *points("Connectome", 1)], [], {}, ax) is ax
    assert drawn(ax) == {"Connectome": [(10, 5.25), (20, 4.25), (30, 3.25)]}
    corners = {tuple(corner) for corner in ax.collections[0].get_paths()[0].vertices.tolist()}
    assert {(10, 5.0), (10, 5.5), (30, 3.0), (30, 3.5)} <= corners
    assert ax.get_legend().get_title().get_text() == "2 seeds: mean and range"
    assert ax.get_xlabel() == "Optimizer steps on the small corpus"
    assert ax.get_ylabel() == "Validation loss (nats per token)"


def test_one_seed_has_no_band_and_three_arms_have_the_colours_of_the_dictionary(ax: Axes) -> None:
    loss_over_training([point for arm in ARMS for point in points(arm, 0)], [], {}, ax)
    assert len(ax.collections) == 0
    assert [to_hex(line.get_color()).upper() for line in ax.get_lines()] == [arm.colour for arm in ARMS.values()]
    assert list(drawn(ax)) == [arm.label for arm in ARMS.values()]


def test_the_upper_bound_is_the_mean_of_generation_0_as_a_dotted_line(ax: Axes) -> None:
    loss_over_training(points("NoConnectome", 0), [], {0: 2.0, 1: 3.0}, ax)
    bound = ax.get_lines()[-1]
    assert bound.get_linestyle() == ":"
    assert list(bound.get_ydata()) == [2.5, 2.5]
    assert bound.get_label() == "Dense on the large corpus (2 seeds)"


def test_the_last_marker_is_the_loss_on_the_whole_validation_part(ax: Axes) -> None:
    loss_over_training(points("Connectome", 0), [End("Connectome", 0, 0, 3.25, 0.5)], {}, ax)
    marker = ax.get_lines()[-1]
    assert (float(marker.get_xdata()[0]), float(marker.get_ydata()[0])) == (30, 3.25)


def test_nothing_to_draw_leaves_an_empty_panel_with_its_labels(ax: Axes) -> None:
    for panel in (loss_over_generations, density_over_generations):
        assert panel([], ax).get_xlabel() == "Generation"
    assert loss_within_generations([], ax).get_legend() is None
    assert drawn(loss_over_training([], [], {}, ax)) == {}


def test_densities_are_drawn_in_percent_once_for_seeds_that_agree(ax: Axes) -> None:
    ends = [End("outer", seed, generation, 3.0, 0.5**generation) for seed in (0, 1) for generation in (0, 1, 2)]
    density_over_generations(ends, ax)
    assert [line.get_xydata().tolist() for line in ax.get_lines()] == [[[0, 100], [1, 50], [2, 25]]]
    assert [text.get_text() for text in ax.texts] == ["100 %", "50 %", "25 %"]


def test_losses_at_the_ends_of_generations_show_what_all_seeds_have(ax: Axes) -> None:
    table = {0: [4.0, 3.0, 2.0], 1: [5.0, 4.0]}
    ends = [End("outer", seed, g, loss, 1.0) for seed, losses in table.items() for g, loss in enumerate(losses)]
    loss_over_generations([*ends, End("Connectome", 0, 0, 9.0, 1.0)], ax)
    assert drawn(ax)["Outer loop (2 seeds: mean and range)"] == [(0, 4.5), (1, 3.5)]
    assert drawn(ax)["Generation 0 (dense)"] == [(0, 4.5), (1, 4.5)]


def test_generations_overlay_from_pale_to_dark(ax: Axes) -> None:
    loss_within_generations([*points("outer", 0, 0), *points("outer", 0, 1, above=1.0), *points("Connectome", 0)], ax)
    assert drawn(ax) == {
        "0": [(10, 5), (20, 4), (30, 3)],
        "1": [(10, 6), (20, 5), (30, 4)],
    }
    assert ax.get_legend().get_title().get_text() == "Generation (1 seed)"
    assert sum(generation_colour(0, 2)) > sum(generation_colour(1, 2))


def test_generations_of_unequal_numbers_of_seeds_say_how_many(ax: Axes) -> None:
    loss_within_generations([*points("outer", 0, 0), *points("outer", 1, 0), *points("outer", 1, 1)], ax)
    assert list(drawn(ax)) == ["0 (2 seeds)", "1 (1 seed)"]


def test_the_first_tenth_of_training_does_not_set_the_scale(ax: Axes) -> None:
    curves = [Point("Connectome", 0, 0, LOSS, step, 100.0 if step == 1 else 3.0 - step / 100) for step in range(1, 101)]
    loss_over_training(curves, [], {}, ax)
    assert ax.get_ylim()[1] < 4


def test_seeds_are_averaged_at_the_steps_that_all_of_them_have() -> None:
    assert mean_and_range([[(1, 2.0), (2, 3.0)], [(2, 5.0), (3, 9.0)]]) == [(2, 4.0, 3.0, 5.0)]
    assert mean_and_range([]) == []


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
    assert curve(found, LOSS, arm="outer", seed=3, generation=0) == list(long.items())
    assert found[-1] == Point("outer", 3, 1, LOSS, 5, 0.5)


def test_the_later_of_two_files_counts_and_a_torn_end_is_left_out(tmp_path: Path) -> None:
    run = Run(tmp_path, "Connectome", seed=0, generations=1, steps=3)
    write_events(tmp_path / "tensorboard", {1: 4.0, 2: 3.0}).rename(tmp_path / "tensorboard/events.out.tfevents.1.a")
    later = write_events(tmp_path / "tensorboard", {2: 2.5, 3: 2.0}).rename(
        tmp_path / "tensorboard/events.out.tfevents.2.b"
    )
    later.write_bytes(later.read_bytes()[:-3])
    assert [(p.step, p.value) for p in read_points(run, [LOSS])] == [(1, 4.0), (2, 2.5)]


@pytest.mark.parametrize("content", [b"not events at all", np.arange(100).tobytes()])
def test_a_file_that_holds_no_events_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard/events.out.tfevents.1.a").write_bytes(content)
    with pytest.raises(EventFileError, match=r"events\.out\.tfevents\.1\.a"):
        read_points(Run(tmp_path, "Connectome", 0, 1, 3), [LOSS])


def test_a_run_without_event_files_has_no_points(tmp_path: Path) -> None:
    assert read_points(Run(tmp_path, "outer", 0, 1, 3), [LOSS]) == []
