"""What the panels of training draw is what their rows say."""

from itertools import pairwise

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from figures.arms import ARMS, generation_colour
from figures.shown import Shown, over_seeds
from figures.training_panels import (
    density_over_generations,
    loss_over_generations,
    loss_over_training,
    loss_within_generations,
)

# Losses that fall by 1 every 10 steps; seed 1 lies 0.5 above seed 0.
CURVES = {0: {10: 5.0, 20: 4.0, 30: 3.0}, 1: {10: 5.5, 20: 4.5, 30: 3.5}}


def points(arm: str, *seeds: int, generation: int | None = None, above: float = 0.0, size: str = "") -> list[Shown]:
    return over_seeds(
        Shown(arm, "seed", step, value + above, seed=seed, generation=generation, size=size)
        for seed in seeds
        for step, value in CURVES[seed].items()
    )


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
    assert loss_over_training(points("Connectome", 0, 1), ax) is ax
    assert drawn(ax) == {"Connectome": [(10, 5.25), (20, 4.25), (30, 3.25)]}
    corners = {tuple(corner) for corner in ax.collections[0].get_paths()[0].vertices.tolist()}
    assert {(10, 5.0), (10, 5.5), (30, 3.0), (30, 3.5)} <= corners
    assert ax.get_legend().get_title().get_text() == "2 seeds: mean and range"
    assert ax.get_xlabel() == "Optimizer steps on the small corpus"
    assert ax.get_ylabel() == "Validation loss (nats per token)"


def test_one_seed_has_no_band_and_three_arms_have_the_colours_of_the_dictionary(ax: Axes) -> None:
    loss_over_training([row for arm in ARMS for row in points(arm, 0)], ax)
    assert len(ax.collections) == 0
    assert [to_hex(line.get_color()).upper() for line in ax.get_lines()] == [arm.colour for arm in ARMS.values()]
    assert list(drawn(ax)) == [arm.label for arm in ARMS.values()]


def test_sizes_are_told_apart_by_their_lines_and_names(ax: Axes) -> None:
    loss_over_training([*points("Connectome", 0, size="124M"), *points("Connectome", 0, above=-1, size="417M")], ax)
    assert drawn(ax)["Connectome, 417M"] == [(10, 4), (20, 3), (30, 2)]
    assert [line.get_linestyle() for line in ax.get_lines()] == ["-", "--"]


def test_the_upper_bound_is_a_dotted_line_and_the_ends_are_large_markers(ax: Axes) -> None:
    rows = [*points("NoConnectome", 0), Shown("upper_bound", "bound", 0, 2.5, seeds=2)]
    loss_over_training([*rows, Shown("NoConnectome", "end", 30, 3.25, seeds=1)], ax)
    assert drawn(ax)["Dense on the large corpus (2 seeds)"] == [(0, 2.5), (1, 2.5)]
    end = next(line for line in ax.get_lines() if line.get_markersize() == 9)
    assert (list(end.get_xdata()), list(end.get_ydata())) == ([30], [3.25])


def test_the_papers_points_are_open_markers(ax: Axes) -> None:
    loss_over_training([*points("Connectome", 0), Shown("Connectome", "paper", 20, 3.9, seeds=4)], ax)
    assert drawn(ax)["paper"] == [(20, 3.9)]
    assert ax.get_lines()[-1].get_markerfacecolor() == "none"


def test_nothing_to_draw_leaves_an_empty_panel_with_its_labels(ax: Axes) -> None:
    for panel in (loss_over_generations, density_over_generations):
        assert panel([], ax).get_xlabel() == "Generation"
    for panel in (loss_within_generations, loss_over_training):
        assert panel([], ax).get_legend() is None
    assert drawn(ax) == {}


def test_densities_are_drawn_in_percent(ax: Axes) -> None:
    rows = over_seeds(Shown("outer", "seed", g, 0.5**g, seed=seed) for seed in (0, 1) for g in (0, 1, 2))
    density_over_generations(rows, ax)
    assert [line.get_xydata().tolist() for line in ax.get_lines()] == [[[0, 100], [1, 50], [2, 25]]]
    assert [text.get_text() for text in ax.texts] == ["100 %", "50 %", "25 %"]


def test_losses_at_the_ends_of_generations_show_what_all_seeds_have(ax: Axes) -> None:
    table = {0: [4.0, 3.0, 2.0], 1: [5.0, 4.0]}
    rows = over_seeds(Shown("outer", "seed", g, y, seed=s) for s, losses in table.items() for g, y in enumerate(losses))
    loss_over_generations(rows, ax)
    assert drawn(ax)["Outer loop (2 seeds: mean and range)"] == [(0, 4.5), (1, 3.5)]
    assert drawn(ax)["Generation 0 (dense)"] == [(0, 4.5), (1, 4.5)]


def test_generations_overlay_from_pale_to_dark(ax: Axes) -> None:
    loss_within_generations([*points("outer", 0, generation=0), *points("outer", 0, generation=1, above=1.0)], ax)
    assert drawn(ax) == {"0": [(10, 5), (20, 4), (30, 3)], "1": [(10, 6), (20, 5), (30, 4)]}
    assert ax.get_legend().get_title().get_text() == "Generation (1 seed)"
    shades = [sum(generation_colour(generation, 4)) for generation in range(4)]
    assert all(earlier > later for earlier, later in pairwise(shades))


def test_generations_of_unequal_numbers_of_seeds_say_how_many(ax: Axes) -> None:
    loss_within_generations([*points("outer", 0, 1, generation=0), *points("outer", 1, generation=1)], ax)
    assert list(drawn(ax)) == ["0 (2 seeds)", "1 (1 seed)"]


def test_the_first_tenth_of_training_does_not_set_the_scale(ax: Axes) -> None:
    curve = [
        Shown("Connectome", "mean", step, 100.0 if step == 1 else 3 - step / 100, seeds=1) for step in range(1, 101)
    ]
    loss_over_training(curve, ax)
    assert ax.get_ylim()[1] < 4
