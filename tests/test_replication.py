"""RESULTS.md says what the records say, and its pictures can be drawn again."""

from pathlib import Path

import pytest
from conftest import ROOT

import cli
from replication.claims import verdict
from replication.tables import tables


@pytest.mark.parametrize("name", ["claims", "losses", "generations", "evaluations", "ablations"])
def test_a_table_of_the_results_is_the_one_that_the_records_give(name: str) -> None:
    assert f"<!-- {name} -->\n{tables()[name]}\n<!-- end -->" in (ROOT / "RESULTS.md").read_text()


@pytest.mark.parametrize(
    ("low", "high", "sign", "said"),
    [
        (-0.3, -0.1, -1, "holds"),
        (0.1, 0.3, 1, "holds"),
        (0.1, 0.3, -1, "does not hold"),
        (-0.3, -0.1, 1, "does not hold"),
        (-0.1, 0.3, 1, "cannot tell"),
        (None, None, 1, "cannot tell"),
    ],
)
def test_a_verdict_follows_from_the_interval(low: float | None, high: float | None, sign: int, said: str) -> None:
    assert verdict(low, high, sign) == said


@pytest.mark.slow
def test_the_pictures_are_drawn_again_from_the_checkout(tmp_path: Path) -> None:
    kept = ROOT / "replication" / "report"
    assert cli.main(["report", "--from", str(kept), "--out", str(tmp_path / "again")]) == 0
    drawn = {path.stem for path in (tmp_path / "again" / "figures").glob("*.png")}
    assert {"loss_over_training", "loss_over_generations", "reading_times", "brain_by_layer"} <= drawn
    for path in (kept / "data").glob("*.csv"):
        assert (tmp_path / "again" / "data" / path.name).read_bytes() == path.read_bytes()
