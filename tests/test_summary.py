"""The table of everything, and the authors' values in it."""

import pytest

from figures.page import number, p_value
from figures.paper_values import paper_values
from figures.results import Measurement
from figures.summary import summary


def measured(arm: str, seed: int, value: float, task: str = "hellaswag", metric: str = "acc_sum") -> Measurement:
    about = ("124M", arm, seed, 0, 20, task, "standard" if task == "validation" else "paper", metric)
    return Measurement(*about, value, value - 0.1, value + 0.1, "Wilson", 50, '{"chance": 0.25}')


def test_several_seeds_have_students_interval_and_one_that_over_its_items() -> None:
    two, one = summary(
        [measured("Connectome", 0, 0.2), measured("Connectome", 1, 0.4), measured("NoConnectome", 0, 0.3)]
    )
    half = 12.7062 * 0.1  # Student's t, one degree of freedom
    assert (two.mean, two.low, two.high) == pytest.approx((0.3, 0.3 - half, 0.3 + half), abs=1e-5)
    assert (two.seeds, two.interval) == (2, "seeds: Student's t")
    assert (one.seeds, one.interval, one.baselines) == (1, "items: Wilson", "chance 0.2500")
    assert (one.low, one.high) == pytest.approx((0.2, 0.4))


def test_the_papers_values_stand_beside_ours() -> None:
    lines = summary(
        [
            measured("Connectome", 0, 3.5, "validation", "loss_full"),
            measured("Connectome", 0, 0.3, "tuckute2024", "r_layer_10"),
            measured("RandomConnectome", 0, 0.3, "natural_stories", "r"),
            measured("NoConnectome", 0, 0.3),
            measured("Connectome", 0, 0.3, "tuckute2024", "localised_10pct"),
        ]
    )
    assert {line.metric: line.paper for line in lines} == {
        "loss_full": 3.585,
        "acc_sum": 0.269095,
        "r": 0.376,
        "localised_10pct": None,
        "r_layer_10": 0.316,
    }


def test_the_papers_steps_are_scaled_to_ours() -> None:
    points = [(row.x, row.y) for row in paper_values("reading_times", steps=200) if row.series == "Connectome"]
    assert points == [(0, 0.36), (30, 0.38), (200, 0.34)]
    assert paper_values("compression") == []


def test_numbers_keep_four_digits_that_count() -> None:
    assert [number(value) for value in (None, 0.27636, 3.58512, 29312.4)] == ["", "0.2764", "3.585", "29,312"]
    assert [p_value(value) for value in (None, 0.0000123, 0.04321)] == ["-", "< 0.0001", "0.043"]
