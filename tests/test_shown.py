"""Rows of panels: means over seeds, and CSV files that give back what was written."""

from pathlib import Path

import pytest

from figures.shown import SEEDS, Shown, over_seeds, read_rows, write_rows


def seed(number: int, values: dict[int, float], **more: float) -> list[Shown]:
    return [Shown("Connectome", "seed", x, y, seed=number, **more) for x, y in values.items()]  # type: ignore[arg-type]


def test_seeds_are_averaged_at_the_x_that_all_of_them_have() -> None:
    rows = over_seeds([*seed(0, {1: 2.0, 2: 3.0}), *seed(1, {2: 5.0, 3: 9.0})])
    assert [row for row in rows if row.role == "mean"] == [Shown("Connectome", "mean", 2, 4, 3, 5, SEEDS, seeds=2)]
    assert [(row.seed, row.x, row.y) for row in rows if row.role == "seed"] == [
        (0, 1, 2),
        (0, 2, 3),
        (1, 2, 5),
        (1, 3, 9),
    ]


def test_one_seed_keeps_its_interval_over_items() -> None:
    mean = over_seeds(seed(0, {1: 2.0}, low=1.5, high=2.5))[0]
    assert (mean.role, mean.y, mean.low, mean.high, mean.seeds) == ("mean", 2, 1.5, 2.5, 1)


def test_nothing_gives_nothing() -> None:
    assert over_seeds([]) == []


def test_rows_come_back_as_they_were_to_the_last_digit(tmp_path: Path) -> None:
    rows = [
        Shown("a, b", "mean", 1 / 3, 0.1 + 0.2, None, 1e-300, 'he said "x"', 2, seed=None),
        Shown("c", "seed", 0, 1),
    ]
    write_rows(rows, tmp_path / "rows.csv", Shown)
    assert read_rows(tmp_path / "rows.csv", Shown) == rows
    first = (tmp_path / "rows.csv").read_bytes()
    write_rows(read_rows(tmp_path / "rows.csv", Shown), tmp_path / "rows.csv", Shown)
    assert (tmp_path / "rows.csv").read_bytes() == first


@pytest.mark.parametrize("line", ["a,mean,x,1,,,,,,,,", "a,mean,1"])
def test_a_damaged_row_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "rows.csv").write_text(",".join(Shown._fields) + f"\n{line}\n")
    with pytest.raises(ValueError, match=r"rows\.csv is damaged"):
        read_rows(tmp_path / "rows.csv", Shown)
