"""`cli.py evaluate` on toy runs: everything kept is evaluated once, and lands in one tidy table."""

import csv
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import cli
from along_training import kept_weights, read_lines
from evaluation import EVALUATIONS
from figures.peaks import peaks, peaks_table
from figures.results import Measurement
from figures.runs import find_runs
from lightning_modules.next_word_loss import NextWordLoss

Run = Callable[..., int]
LOSS = "next_word_loss --data.folder {} --data.tokens 160"


@pytest.fixture(scope="module")
def runs(outer: Run, inner: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An outer loop of two generations and a dense inner run with snapshots, both trained."""
    folder = tmp_path_factory.mktemp("experiment")
    assert outer(folder / "outer", "--generations", "2", "--data.tokenizer", "bytes") == 0
    options = (
        "--wiring.arm",
        "NoConnectome",
        "--keep.snapshot_every",
        "3",
        "--keep.snapshot_at",
        "[0]",
        "--data.tokenizer",
        "bytes",
    )
    assert inner(folder / "inner", *options) == 0
    return folder


def lines(folder: Path, *text: str) -> Path:
    path = folder / "evaluations.yaml"
    path.write_text("".join(f"- {line}\n" for line in text))
    return path


def test_everything_that_is_kept_is_evaluated_by_step(runs: Path) -> None:
    dense, outer = find_runs([runs])
    assert {step: path.parent.name for step, path in kept_weights(dense).items()} == {
        0: "snapshots",
        3: "snapshots",
        6: dense.folder.name,
    }
    assert [path.name for path in kept_weights(outer).values()] == ["0.safetensors", "1.safetensors"]


def test_one_tidy_table_of_all_runs(
    runs: Path, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.csv"
    words = ["evaluate", str(runs), "--evaluations", str(lines(tmp_path, LOSS.format(shards))), "--table", str(table)]
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    with table.open() as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "loss"]
    found = [(row["arm"], int(row["step"]), int(row["generation"])) for row in rows]
    assert found == [
        ("NoConnectome", 0, 0),
        ("NoConnectome", 3, 0),
        ("NoConnectome", 6, 0),
        ("outer", 6, 0),
        ("outer", 12, 1),
    ]
    assert all(float(row["low"]) < float(row["value"]) < float(row["high"]) for row in rows)
    values = {int(row["step"]): row["value"] for row in rows if row["arm"] == "NoConnectome"}
    highest = max(values, key=lambda step: float(values[step]))
    line = next(line for line in printed.splitlines() if " loss " in line and "NoConnectome" in line and "160" in line)
    assert f"{float(values[highest]):.4f}" in line
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("evaluations/**/*.jsonl")}
    assert len(before) == 5
    assert cli.main(words) == 0
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("evaluations/**/*.jsonl")} == before
    assert cli.main([*words, "--again", "--weights", "last"]) == 0
    changed = [path for path, then in before.items() if path.stat().st_mtime_ns != then]
    assert sorted(path.stem for path in changed) == ["00000006", "00000012"]


def test_an_evaluation_that_fails_is_named_and_the_others_run(
    runs: Path, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = lines(tmp_path, f"next_word_loss --data.folder {tmp_path}/nowhere", LOSS.format(shards))
    table = tmp_path / "table.csv"
    assert cli.main(["evaluate", str(runs), "--evaluations", str(path), "--table", str(table)]) == 1
    assert "2 of 4 evaluations failed" in capsys.readouterr().err
    assert table.is_file()


def test_a_signal_ends_it_at_once_though_lightning_would_go_on(
    runs: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []

    def killed(self: NextWordLoss, batch: object, batch_idx: int) -> None:
        steps.append(batch_idx)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(NextWordLoss, "test_step", killed)
    before = signal.getsignal(signal.SIGTERM)
    words = ["evaluate", str(runs), "--evaluations", str(lines(tmp_path, LOSS.format(shards))), "--again"]
    with pytest.raises(SystemExit) as left:
        cli.main([*words, "--table", str(tmp_path / "table.csv")])
    signal.signal(signal.SIGTERM, before)
    assert left.value.code == 143
    assert steps == [0]
    assert not (tmp_path / "table.csv").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("next_word_loss: 1\n", "YAML list of lines"),
        ("- perplexity --x 1\n", "no evaluation 'perplexity'"),
        (None, "no list"),
    ],
)
def test_a_bad_list_ends_before_anything_runs(
    text: str | None, message: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "list.yaml"
    if text is not None:
        path.write_text(text)
    assert cli.main(["evaluate", str(runs), "--evaluations", str(path), "--table", str(tmp_path / "t.csv")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "t.csv").exists()


def test_the_shipped_list_is_one() -> None:
    names = {words[0] for words in read_lines("evaluations.yaml")}
    assert names == set(EVALUATIONS) - {"language_localizer"}  # which tuckute2024 runs itself


def test_the_peak_is_the_highest_point_and_the_last_one_is_told_beside_it() -> None:
    def row(step: int, value: float, arm: str = "Connectome") -> Measurement:
        return Measurement("124M", arm, 0, 0, step, "natural_stories", "paper", "r", value)

    single = row(5, 0.9, "NoConnectome")
    found = peaks([row(0, 0.36), row(300, 0.38), row(2000, 0.34), single])
    assert [(peak.highest.step, peak.last.value) for peak in found] == [(300, 0.34)]
    assert "0.3800      300  0.3400    2,000" in peaks_table(found)
