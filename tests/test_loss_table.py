"""Losses as tables for a terminal."""

from figures.loss_table import aligned, arms_table, generations_table
from figures.results import End

LOG2, LOG4 = 0.6931471805599453, 1.3862943611198906


def row(text: str, start: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(start)).split("  ")


def test_differences_pair_the_seeds_that_both_arms_have() -> None:
    ends = [End("NoConnectome", seed, 0, 3.0 + seed, 1.0) for seed in (0, 1)]
    ends += [End("Connectome", seed, 0, 2.5 + seed, 0.5) for seed in (1, 2)]
    table = arms_table(ends)
    assert [cell.strip() for cell in row(table, "minus NoConnectome") if cell][1:] == ["-", "-0.5000", "+0.0000", "-"]
    assert row(table, "seeds")[-1].strip() == "0"
    assert "2.5000" not in table  # no seed 0


def test_seeds_that_end_early_leave_a_dash() -> None:
    ends = [End("outer", 0, g, LOG2, 1.0) for g in (0, 1)] + [End("outer", 1, 0, LOG4, 1.0)]
    last = generations_table(ends).splitlines()[-1]
    assert last.split() == ["1", "1.0000", "0.6931", "(2.00)", "-", "-"]


def test_columns_are_aligned() -> None:
    assert aligned([["a", "b"], ["long", "1.5"]]) == "a       b\nlong  1.5"
