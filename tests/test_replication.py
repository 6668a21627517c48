"""RESULTS.md says what the records say, and its pictures can be drawn again."""

import json
import re
from collections.abc import Mapping
from fnmatch import fnmatch
from math import inf
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import ROOT

import cli
from lightning_modules.records import read_records
from replication import unseen_text
from replication.ablations import RATES, SIZES, Setting
from replication.claims import verdict
from replication.measured import EXPERIMENT, GLOBAL, losses, mean, read
from replication.picture import draw_ablations, draw_anatomy
from replication.tables import tables
from replication.texts import TEXTS, in_words, needed_by_dense
from replication.unseen_text import unseen

RUNS = ROOT / "replication" / "runs"
RESULTS = (ROOT / "RESULTS.md").read_text()
NAMES = re.findall(r"^<!-- (\w+) -->$", RESULTS, re.MULTILINE)


@pytest.fixture(scope="module")
def found() -> Mapping[str, str]:
    return tables(RUNS)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "end"])
def test_a_table_of_the_results_is_the_one_that_the_records_give(name: str, found: Mapping[str, str]) -> None:
    assert f"<!-- {name} -->\n{found[name]}\n<!-- end -->" in RESULTS


def test_every_table_has_its_place(found: Mapping[str, str]) -> None:
    assert sorted(name for name in NAMES if name != "end") == sorted(found)


def test_a_loss_or_a_correlation_that_the_text_names_stands_in_a_table(found: Mapping[str, str]) -> None:
    text = re.sub(r"<!-- (\w+) -->.*?<!-- end -->", "", RESULTS, flags=re.DOTALL)
    numbers = set(re.findall(r"\d\.\d{3}(?!\d)", text))
    assert len(numbers) >= 8
    assert numbers <= set(re.findall(r"\d\.\d{3}(?!\d)", "\n".join(found.values())))


def test_the_front_page_says_what_the_records_say() -> None:
    by_arm = {arm: mean(values) for arm, values in losses(read(RUNS / EXPERIMENT)).items()}
    front = " ".join((ROOT / "README.md").read_text().split("## Try it")[0].split())
    said = "connectome {Connectome:.3f}, dense {NoConnectome:.3f}, random wiring {RandomConnectome:.3f}".format(
        **by_arm
    )
    assert said in front
    assert f"the bound, dense on the large corpus, {by_arm['outer']:.3f}" in front
    lead = re.search(r"over the dense model, (0\.\d{3}) \[(0\.\d{3}), (0\.\d{3})\]", front)
    assert lead
    assert f"Connectome minus NoConnectome | -0.310 | -{lead[1]} [-{lead[3]}, -{lead[2]}]" in RESULTS


def config_of(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(next((RUNS / folder).rglob("config.yaml")).read_text())
    return found


@pytest.mark.parametrize("setting", RATES)
def test_a_learning_rate_is_that_of_the_runs(setting: Setting) -> None:
    runs = f"{setting.folder}/inner" if setting.folder == EXPERIMENT else setting.folder
    assert config_of(runs)["model"]["learning_rate"] == setting.value
    assert setting.label.startswith(f"{setting.value:g}")


@pytest.mark.parametrize("setting", [setting for setting in TEXTS if setting.folder != EXPERIMENT])
def test_a_text_is_that_of_the_runs(setting: Setting) -> None:
    config = config_of(setting.folder)
    shards = [n for n in range(100) if fnmatch(f"small/small_{n:06d}.bin", config["data"]["train"])]
    block = config["model"]["block_size"]
    read_in_all = config["steps_per_generation"] * config["data"]["batch_size"] * block
    assert setting.value == min(19_532 * len(shards), read_in_all)
    passes = re.search(r"([\d.]+) passes", setting.label)
    windows = len(shards) * ((19_532 - 1) // block)
    if passes:
        assert float(passes[1]) == pytest.approx(read_in_all / block / windows, abs=0.05)
    else:
        assert read_in_all / block < windows


@pytest.mark.parametrize("setting", SIZES)
def test_a_size_is_that_of_the_runs(setting: Setting) -> None:
    model = config_of(setting.folder)["model"]
    weights = model["vocab_size"] * model["n_embd"] + 12 * model["n_layer"] * model["n_embd"] ** 2
    assert setting.value == weights
    assert f"{weights / 1e6:.2f}M weights" in setting.label


def test_tables_of_runs_that_are_not_there_have_no_rows(tmp_path: Path) -> None:
    (tmp_path / EXPERIMENT).symlink_to(RUNS / EXPERIMENT)
    (tmp_path / "width_64" / "slurm").mkdir(parents=True)  # submitted, not begun
    few = tables(tmp_path)
    lines = {name: len(table.splitlines()) - 2 for name, table in few.items()}
    assert (lines["losses"], lines["ablations"], lines["densities"], lines["texts"], lines["scopes"]) == (4, 0, 1, 1, 1)
    assert (
        "one threshold for all. Loss at the end of the inner loop | worse, no figure |  | 0 | not tested"
        in (few["claims"])
    )


def test_tables_without_the_experiment_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no finished outer, Connectome, .*generation_5\.connectome"):
        tables(tmp_path)


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


def test_text_that_a_dense_model_needs_is_interpolated_over_its_logarithm() -> None:
    dense = {100.0: {0: 3.0, 1: 3.0}, 400.0: {0: 2.0, 1: 2.0}, 1600.0: {0: 1.0}}
    assert needed_by_dense({0: 2.5, 2: 1.0}, dense) == pytest.approx([200.0])  # half way, and the seed that all have
    assert needed_by_dense({0: 0.5}, dense) == [inf]
    assert needed_by_dense({0: 9.0}, dense) == [0]
    assert needed_by_dense({0: 2.5}, dense | {200.0: {0: 3.5}}) == []  # no curve to read it off


def test_text_that_is_not_known_is_not_averaged() -> None:
    assert in_words([2000, 8000], 9000) == "4 (2 to 8)"
    assert in_words([2000, inf], 9000) == "2 to more than 9"
    assert in_words([inf, inf], 9000) == "more than 9"


def test_unseen_text_shares_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {
        "seen": [("a", "book#part-1"), ("b", "page")],
        "more": [("c", "book#part-2"), ("d", "page"), ("e", "new#part-1"), ("f", "new#part-2"), ("A ", None)],
    }
    for name, pairs in rows.items():
        texts, urls = zip(*pairs, strict=True)
        pq.write_table(pa.table({"text": texts, "url": urls}), tmp_path / f"{name}.parquet")
    out = tmp_path / "unseen.jsonl"
    line = [str(tmp_path / "more.parquet"), "--apart_from", str(tmp_path / "seen.parquet"), "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["unseen_text", *line])
    unseen_text.main()
    assert [json.loads(line)["text"] for line in out.read_text().splitlines()] == ["e", "f", "A "]
    assert [row.text for row in unseen(str(tmp_path / "seen.parquet"), str(out))] == ["a", "b"]
    monkeypatch.setattr("sys.argv", ["unseen_text", str(tmp_path / "nothing"), *line[1:]])
    with pytest.raises(SystemExit, match="no parquet or jsonl files in"):
        unseen_text.main()


@pytest.mark.slow
def test_the_pictures_are_drawn_again_from_the_checkout(tmp_path: Path) -> None:
    kept = ROOT / "replication" / "report"
    assert cli.main(["report", "--from", str(kept), "--out", str(tmp_path / "again")]) == 0
    drawn = {path.stem for path in (tmp_path / "again" / "figures").glob("*.png")}
    assert {"loss_over_training", "loss_over_generations", "reading_times", "brain_by_layer"} <= drawn
    for path in (kept / "data").glob("*.csv"):
        assert (tmp_path / "again" / "data" / path.name).read_bytes() == path.read_bytes()
    for draw in (draw_ablations, draw_anatomy):
        assert draw(RUNS, tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_two_machines_came_to_the_same_bits() -> None:
    """Generation 0 of `global` and of the experiment is one computation; seed 0 was also interrupted in one of them."""
    for seed in range(3):
        one, two = (read_records(RUNS / name / f"outer/seed_{seed}/records.jsonl") for name in (EXPERIMENT, GLOBAL))
        first, second = ([r for r in records if r["model"]["generation"] == 0] for records in (one, two))
        assert first == second
        assert one != two
