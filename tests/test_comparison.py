"""Paired differences of two models: known answers, clusters, tables that do not belong together, and the command."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import pearsonr
from small_model import small_model

import cli
from comparison import compare
from figures.item_differences import compare_tables
from lightning_modules.fold_correlation import fold_correlation
from lightning_modules.item_table import ItemTable, read_items, write_items

Columns = dict[str, Any]
MEAN = {"acc": {"kind": "mean", "column": "right"}}


def table(path: Path, columns: Columns, statistics: dict[str, Any] = MEAN, **about: Any) -> Path:
    n = len(next(iter(columns.values())))
    said = {"task": "t", "protocol": "paper", "options": {}, "data": {"sha256": {"f": "0"}}, "statistics": statistics}
    write_items(ItemTable(path, said | about, {"item": np.arange(n), **columns}))
    return path


def test_accuracies_are_compared_on_the_items_that_only_one_has_right(tmp_path: Path) -> None:
    a = np.array([True] * 8 + [False] * 2 + [True] * 5 + [False] * 5)
    b = np.array([False] * 8 + [True] * 2 + [True] * 5 + [False] * 5)
    (found,) = compare(
        str(table(tmp_path / "a.parquet", {"right": a})), str(table(tmp_path / "b.parquet", {"right": b}))
    )
    assert (found.a, found.b, found.n) == (0.65, 0.35, 20)
    assert found.difference == pytest.approx(0.3)
    assert (found.only_a, found.only_b) == (8, 2)
    assert found.p_mcnemar == pytest.approx(2 * (1 + 10 + 45) / 2**10)  # 8 or more of 10, both ways
    assert found.ci95 is not None
    spread = np.std(a.astype(float) - b) / 20**0.5
    assert found.ci95 == pytest.approx((0.3 - 1.96 * spread, 0.3 + 1.96 * spread), abs=0.051)


def test_a_model_equals_itself(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", {"right": [True, False, True]})
    (found,) = compare(str(path), str(path))
    assert (found.difference, found.ci95, found.p_mcnemar) == (0, (0, 0), 1)


def related(n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    y, common = rng.normal(size=(2, n))
    return y, y + common, y + 2 * common + rng.normal(size=n), common


def test_correlations_are_those_of_scipy_and_clusters_are_drawn_as_a_whole(tmp_path: Path) -> None:
    y, x_a, x_b, _ = related()
    x_a[3] = np.nan  # a row that only one of the models has takes no part
    story = np.repeat(np.arange(10), 40)
    how = {
        "r": {"kind": "pearson", "x": "x", "y": "y", "cluster": "story"},
        "r_rows": {"kind": "pearson", "x": "x", "y": "y"},
    }
    paths = [table(tmp_path / f"{n}.parquet", {"x": x, "y": y, "story": story}, how) for n, x in ((1, x_a), (2, x_b))]
    by_story, by_row = compare_tables(*map(read_items, paths))
    kept = np.arange(len(y)) != 3
    assert by_story.a == pytest.approx(pearsonr(x_a[kept], y[kept])[0])
    assert by_story.b == pytest.approx(pearsonr(x_b[kept], y[kept])[0])
    assert (by_story.n, by_story.units, by_row.units) == (399, "story", "item")
    for found in (by_story, by_row):
        assert found.ci95 is not None
        assert found.ci95[0] < found.difference < found.ci95[1]
    assert by_story.p_mcnemar is None


def test_a_partial_correlation_is_that_of_residuals(tmp_path: Path) -> None:
    y, x_a, x_b, common = related()
    how = {"p": {"kind": "partial_pearson", "x": "x", "y": "y", "given": ["c"]}}
    paths = [table(tmp_path / f"{n}.parquet", {"x": x, "y": y, "c": common}, how) for n, x in ((1, x_a), (2, x_b))]
    (found,) = compare_tables(*map(read_items, paths))

    def residual(values: np.ndarray) -> np.ndarray:
        return values - np.polyval(np.polyfit(common, values, 1), common)

    assert found.b == pytest.approx(pearsonr(residual(x_b), residual(y))[0])


def test_means_over_groups_and_correlations_by_fold(tmp_path: Path) -> None:
    y, x_a, x_b, _ = related(40)
    fold = np.arange(40) % 4
    how = {
        "f": {"kind": "pearson_by_fold", "x": "x", "y": "y", "fold": "fold"},
        "g": {"kind": "mean_by_group", "column": "x", "group": "u"},
    }
    unequal = np.array(["a"] * 30 + ["b"] * 10)
    paths = [
        table(tmp_path / f"{n}.parquet", {"x": x, "y": y, "fold": fold, "u": unequal}, how)
        for n, x in ((1, x_a), (2, x_b))
    ]
    by_fold, by_group = compare_tables(*map(read_items, paths))
    assert by_fold.a == pytest.approx(np.mean([pearsonr(x_a[fold == f], y[fold == f])[0] for f in range(4)]))
    assert by_group.b == pytest.approx((x_b[:30].mean() + x_b[30:].mean()) / 2)


def test_a_fold_of_constant_predictions_counts_as_0(tmp_path: Path) -> None:
    y, x, x_b, _ = related(40)
    fold = np.arange(40) % 4
    x[fold == 2] = 0.5
    how = {"f": {"kind": "pearson_by_fold", "x": "x", "y": "y", "fold": "fold"}}
    paths = [table(tmp_path / f"{n}.parquet", {"x": v, "y": y, "fold": fold}, how) for n, v in ((1, x), (2, x_b))]
    (found,) = compare_tables(*map(read_items, paths))
    assert found.a == pytest.approx(sum(pearsonr(x[fold == f], y[fold == f])[0] for f in (0, 1, 3)) / 4)
    assert found.ci95 is not None
    assert found.ci95[0] < found.difference < found.ci95[1]


def test_a_figure_of_some_rows_only(tmp_path: Path) -> None:
    how = {"stem": {"kind": "mean", "column": "right", "where": ["category", "stem"]}}
    columns = {"right": [True, False, True, True], "category": ["stem", "stem", "other", "other"]}
    path = table(tmp_path / "a.parquet", columns, how)
    (found,) = compare(str(path), str(path))
    assert (found.a, found.n) == (0.5, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "other"}, "of task 't'"),
        ({"protocol": "harness"}, "of protocol 'paper'"),
        ({"options": {"limit": 3}}, "of options"),
        ({"data": {"sha256": {"f": "1"}}}, "different data"),
    ],
)
def test_tables_that_do_not_belong_together_are_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    a = table(tmp_path / "a.parquet", {"right": [True, False]})
    b = table(tmp_path / "b.parquet", {"right": [True, False]}, **change)
    with pytest.raises(ValueError, match=message):
        compare(str(a), str(b))


def test_other_items_and_damaged_files_are_refused(tmp_path: Path) -> None:
    a = table(tmp_path / "a.parquet", {"right": [True, False]})
    b = table(tmp_path / "b.parquet", {"right": [True, False, True]})
    with pytest.raises(ValueError, match="different items"):
        compare(str(a), str(b))
    b.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="not a table of items"):
        compare(str(a), str(b))
    with pytest.raises(FileNotFoundError, match="name the folder"):
        compare(str(a), str(tmp_path / "c"))


def test_runs_are_compared_at_the_last_step_that_both_have(tmp_path: Path) -> None:
    for run, steps in (("a", (1, 2)), ("b", (2, 3)), ("c", (4,))):
        for step in steps:
            table(tmp_path / run / "evaluations" / "t" / "paper" / f"{step:08d}.parquet", {"right": [True, False]})
    a, b, c = (str(tmp_path / run) for run in "abc")
    assert compare(a, b)[0].steps == (2, 2)
    assert compare(a, c)[0].steps == (2, 4)
    assert compare(a, b, step=2)[0].steps == (2, 2)
    with pytest.raises(FileNotFoundError, match="both at step 1"):
        compare(a, b, step=1)


def test_the_command_compares_two_models(tmp_path: Path, shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, name in enumerate("ab"):
        small_model(tmp_path / f"{name}.safetensors", seed=seed, block_size=16)
        words = ["--data.folder", str(shards), "--data.tokens", "320", "--files.out", str(tmp_path / name)]
        command = ["test", "next_word_loss", "--model.checkpoint", f"{tmp_path}/{name}.safetensors", *words]
        assert cli.main([*command, "--trainer.accelerator", "cpu", "--model.tokenizer", "bytes"]) == 0
    assert cli.main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "out.json")]) == 0
    (written,) = json.loads((tmp_path / "out.json").read_text())["differences"]
    assert written["metric"] == "loss"
    assert written["n"] == 20
    assert f"{written['difference']:+.4f}" in capsys.readouterr().out
    run: Callable[[list[str]], int] = cli.main
    assert run(["compare", str(tmp_path / "a"), str(tmp_path / "nowhere")]) == 1
    assert "no " in capsys.readouterr().err


def test_a_fold_that_hardly_varies_counts_as_the_evaluation_counts_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    fold, response = np.arange(100) % 5, rng.normal(size=100)
    prediction = response + rng.normal(size=100)
    prediction[fold == 2] = 0.3 + 1e-9 * response[fold == 2]  # perfectly right, and too small to count
    expected = fold_correlation(prediction[:, None], response[:, None], fold)[0]
    columns = {"p": prediction, "response": response, "fold": fold}
    statistic = {"r": {"kind": "pearson_by_fold", "x": "p", "y": "response", "fold": "fold"}}
    paths = [table(tmp_path / f"{name}.parquet", columns, statistic) for name in "ab"]
    (found,) = compare(*map(str, paths))
    assert found.a == pytest.approx(expected)
    assert found.difference == 0
