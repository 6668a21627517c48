"""Paired tests between arms."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from written_runs import write_evaluation, write_run

from figures.comparisons import Comparison, comparisons, paired
from figures.experiment import read_experiment

LOSS = 1.5


def compared(folder: Path, task: str) -> list[Comparison]:
    return [c for c in comparisons(read_experiment([str(folder)])) if c.task == task]


def write_items(record: Path, right: list[int], **statistic: str) -> None:
    about = {"statistics": {"acc_sum": {"kind": "mean", "column": "right", **statistic}}}
    table = pa.table({"item": range(len(right)), "right": right})
    metadata = {b"evaluation": json.dumps(about).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), record.with_suffix(".parquet"))


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
        write_items(write_evaluation(run, "hellaswag", 20, {"acc_sum": sum(right) / 4}), right)
    (found,) = compared(tmp_path, "hellaswag")
    assert (found.difference, found.pairs, found.over) == (0.5, 4, "items")
    assert found.p == pytest.approx(0.1817, abs=1e-4)


@pytest.mark.parametrize("spoil", ["clustered", "no table"])
def test_items_that_are_not_independent_or_not_there_have_no_test(tmp_path: Path, spoil: str) -> None:
    for arm, value in (("Connectome", 0.75), ("NoConnectome", 0.25)):
        record = write_evaluation(write_run(tmp_path, arm, 0, [LOSS]), "hellaswag", 20, {"acc_sum": value})
        if spoil == "clustered":
            write_items(record, [1, 0], cluster="story")
    (found,) = compared(tmp_path, "hellaswag")
    assert (found.difference, found.pairs, found.p) == (0.5, 1, None)


def test_models_at_different_steps_are_not_compared(tmp_path: Path) -> None:
    for arm, step in (("Connectome", 10), ("NoConnectome", 20)):
        write_evaluation(write_run(tmp_path, arm, 0, [LOSS]), "hellaswag", step, {"acc_sum": 0.5})
    assert compared(tmp_path, "hellaswag") == []
