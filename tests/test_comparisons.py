"""Paired tests between arms."""

from pathlib import Path

import numpy as np
import pytest
from written_runs import write_evaluation, write_run

from figures.comparisons import Comparison, comparisons, paired
from figures.experiment import read_experiment
from lightning_modules.item_table import ItemTable, write_items

LOSS = 1.5


def compared(folder: Path, task: str) -> list[Comparison]:
    return [c for c in comparisons(read_experiment([str(folder)])) if c.task == task]


def write_answers(record: Path, right: list[int], data: str = "0", **statistic: str) -> None:
    about = {
        "task": "hellaswag",
        "protocol": "paper",
        "options": {},
        "data": {"sha256": {"file": data}},
        "statistics": {"acc_sum": {"kind": "mean", "column": "right", **statistic}},
    }
    columns = {"item": np.arange(len(right)), "right": np.array(right), "story": np.arange(len(right)) % 2}
    write_items(ItemTable(record.with_suffix(".parquet"), about, columns))


def test_differences_of_1_2_and_3_have_a_mean_of_2_and_a_standard_error_of_the_root_of_a_third() -> None:
    difference, low, high, p = paired(np.array([2.0, 4.0, 6.0]), np.array([1.0, 2.0, 3.0]))
    half = 4.302653 / 3**0.5  # Student's t, two degrees of freedom
    assert (difference, low, high) == pytest.approx((2, 2 - half, 2 + half))
    assert p == pytest.approx(0.0742, abs=1e-4)


def test_a_single_pair_has_no_test_and_equal_differences_have_no_p() -> None:
    assert paired(np.array([2.0]), np.array([1.5])) == (0.5, None, None, None)
    assert paired(np.array([2.0, 3.0]), np.array([1.0, 2.0])) == (1, 1, 1, None)


def test_arms_are_paired_over_the_seeds_that_both_have(tmp_path: Path) -> None:
    for seed, ours, dense in ((0, 1.0, 2.0), (1, 1.0, 4.0), (2, 0.0, None)):
        write_run(tmp_path, "Connectome", seed, [ours])
        write_run(tmp_path, "NoConnectome", seed, [dense] if dense else [])
    (found,) = compared(tmp_path, "validation")
    assert (found.one, found.other, found.difference, found.pairs, found.over) == (
        "Connectome",
        "NoConnectome",
        -2.0,
        2,
        "seeds",
    )


def test_one_seed_is_compared_item_by_item(tmp_path: Path) -> None:
    for arm, right in (("Connectome", [1, 1, 1, 0]), ("RandomConnectome", [1, 0, 0, 0])):
        run = write_run(tmp_path, arm, 0, [LOSS])
        write_answers(write_evaluation(run, "hellaswag", 20, {"acc_sum": sum(right) / 4}), right)
    (found,) = compared(tmp_path, "hellaswag")
    assert (found.difference, found.pairs, found.over) == (0.5, 4, "items")
    assert (found.low, found.high) == (0, 1)  # of four items with two wins, and none lost
    assert found.p == 0.5  # two heads in two throws, or two tails


def test_items_that_are_not_independent_are_drawn_in_their_clusters(tmp_path: Path) -> None:
    for arm, right in (("Connectome", [1, 0, 1, 0]), ("NoConnectome", [0, 0, 0, 0])):
        run = write_run(tmp_path, arm, 0, [LOSS])
        record = write_evaluation(run, "hellaswag", 20, {"acc_sum": sum(right) / 4})
        write_answers(record, right, cluster="story")
    (found,) = compared(tmp_path, "hellaswag")
    assert (found.difference, found.over) == (0.5, "items in stories")
    assert (found.low, found.high) == (0, 1)  # a story is won as a whole, or not at all


@pytest.mark.parametrize(("there", "over"), [(False, "seeds"), (True, "different items")])
def test_items_that_are_not_there_or_of_other_data_have_no_test(tmp_path: Path, there: bool, over: str) -> None:
    for arm, value in (("Connectome", 0.75), ("NoConnectome", 0.25)):
        record = write_evaluation(write_run(tmp_path, arm, 0, [LOSS]), "hellaswag", 20, {"acc_sum": value})
        if there:
            write_answers(record, [1, 0], data=arm)
    (found,) = compared(tmp_path, "hellaswag")
    assert (found.difference, found.pairs, found.low, found.p, found.over) == (0.5, 1, None, None, over)


def test_models_at_different_steps_are_not_compared(tmp_path: Path) -> None:
    for arm, step in (("Connectome", 10), ("NoConnectome", 20)):
        write_evaluation(write_run(tmp_path, arm, 0, [LOSS]), "hellaswag", step, {"acc_sum": 0.5})
    assert compared(tmp_path, "hellaswag") == []
