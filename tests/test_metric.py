"""Wilson's interval and the standard error of an accuracy, against textbook values."""

import pytest

from lightning_modules.metric import accuracy, wilson_interval


@pytest.mark.parametrize(
    ("right", "n", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)]
)
def test_wilson(right: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(right / n, n) == pytest.approx((low, high), abs=5e-5)


def test_accuracy_and_its_standard_error() -> None:
    found = accuracy("acc_sum", [True, False, False, True, False], {"chance": 0.25}, "correct_sum")
    assert (found.value, found.n) == (0.4, 5)
    assert found.stderr == pytest.approx((0.4 * 0.6 / 4) ** 0.5)
    assert found.statistic == {"kind": "mean", "column": "correct_sum"}


def test_one_item_has_no_standard_error() -> None:
    assert accuracy("acc_sum", [True], {}, "correct_sum").stderr is None
