"""What the panels of the evaluations draw is what their rows say."""

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.arms import ARMS
from figures.evaluation_panels import accuracy, brain_by_layer, compression, localised, reading_times
from figures.shown import Shown, over_seeds

ARM_ROWS = over_seeds(
    Shown(arm, "seed", 0, value + seed / 100, seed=seed, n=50)
    for arm, value in {"Connectome": 0.28, "RandomConnectome": 0.25}.items()
    for seed in (0, 2)
)


@pytest.fixture
def ax() -> Axes:
    return Figure().add_subplot()


def places(ax: Axes, size: float) -> list[tuple[float, float]]:
    """Single markers of a size."""
    lines = [line for line in ax.get_lines() if line.get_markersize() == size and len(line.get_xdata()) == 1]
    return [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in lines]


def lines(ax: Axes) -> dict[str, list[list[float]]]:
    found = {str(line.get_label()): line.get_xydata().tolist() for line in ax.get_lines()}
    return {label: points for label, points in found.items() if not label.startswith("_")}


@pytest.mark.parametrize("panel", [accuracy, localised])
def test_arms_stand_side_by_side_with_their_range_and_their_seeds(panel, ax: Axes) -> None:
    panel(ARM_ROWS, ax)
    assert places(ax, 9) == [(0, pytest.approx(0.29)), (2, pytest.approx(0.26))]  # NoConnectome's place stays empty
    assert [y for _, y in places(ax, 4)] == pytest.approx([0.28, 0.30, 0.25, 0.27])
    whiskers = [line.get_segments()[0][:, 1].tolist() for line in ax.collections]
    assert whiskers == [pytest.approx([0.28, 0.30]), pytest.approx([0.25, 0.27])]
    assert [label.get_text() for label in ax.get_xticklabels()] == [arm.short for arm in ARMS.values()]


def test_one_seed_shows_its_interval_over_items(ax: Axes) -> None:
    accuracy(over_seeds([Shown("Connectome", "seed", 0, 0.3, 0.2, 0.4, "95 %", seed=0)]), ax)
    assert ax.collections[0].get_segments()[0][:, 1].tolist() == [0.2, 0.4]
    assert places(ax, 4) == []


def test_the_papers_value_stands_beside_ours_and_baselines_are_named_lines(ax: Axes) -> None:
    rows = [*ARM_ROWS, Shown("Connectome", "paper", 0, 0.276, 0.275, 0.277, seeds=4)]
    accuracy([*rows, Shown("chance", "baseline", 0, 0.25), Shown("far", "baseline", 0, 0.9)], ax)
    assert [y for _, y in places(ax, 7)] == [0.276]
    assert [text.get_text() for text in ax.texts] == ["chance 25.0%", "↑ far 90.0%"]
    assert [list(line.get_ydata()) for line in ax.get_lines() if line.get_linestyle() == ":"] == [[0.25, 0.25]]


def test_baselines_that_nearly_coincide_share_a_name(ax: Axes) -> None:
    accuracy([*ARM_ROWS, Shown("a", "baseline", 0, 0.26), Shown("b", "baseline", 0, 0.2601)], ax)
    assert [text.get_text() for text in ax.texts] == ["b 26.0%\na 26.0%"]


def test_reading_times_are_drawn_over_steps_with_their_baseline(ax: Axes) -> None:
    rows = over_seeds(Shown("Connectome", "seed", x, y, seed=0) for x, y in ((0, 0.36), (10, 0.38), (20, 0.34)))
    paper = [Shown("Connectome", "paper", 20, 0.34, seeds=4)]
    reading_times([*rows, *paper, Shown("tokens", "baseline", 0, 0.348)], ax)
    assert lines(ax) == {"Connectome": [[0, 0.36], [10, 0.38], [20, 0.34]], "paper": [[20, 0.34]]}
    assert ax.texts[0].get_text() == "tokens 0.348"
    assert ax.get_ylabel() == "Correlation (Pearson's r)"


def test_layers_of_one_seed_have_whiskers_and_the_ceiling_is_a_line(ax: Axes) -> None:
    rows = over_seeds(Shown("Connectome", "seed", k, k / 10, 0, k / 5, "95 %", seed=0) for k in range(4))
    brain_by_layer([*rows, Shown("noise ceiling", "ceiling", 0, 0.56)], ax)
    assert lines(ax)["Connectome"] == [[k, k / 10] for k in range(4)]
    assert [segment[:, 1].tolist() for segment in ax.collections[0].get_segments()] == [[0, k / 5] for k in range(4)]
    assert ax.texts[0].get_text() == "noise ceiling 0.56"


def test_sizes_of_connectomes_are_drawn_beside_their_bound(ax: Axes) -> None:
    sizes = {"file": 17e3, "bound": 16e3, "dense": 1e6}
    compression(over_seeds(Shown(name, "seed", g, y, seed=0) for name, y in sizes.items() for g in (0, 1)), ax)
    assert lines(ax) == {
        "all weights, 16 bits each": [[0, 1e6], [1, 1e6]],
        "Shannon's bound": [[0, 16e3], [1, 16e3]],
        "connectome file": [[0, 17e3], [1, 17e3]],
    }
    assert ax.texts[0].get_text() == "17 kB"


@pytest.mark.parametrize("panel", [accuracy, localised, reading_times, brain_by_layer, compression])
def test_nothing_to_draw_leaves_a_panel_with_its_label(panel, ax: Axes) -> None:
    assert panel([], ax).get_ylabel()
