"""The benchmark command: tables, what survives of a call that is cut off, and every path at a toy size."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import __main__ as command
from benchmarks.cost import cost_page
from benchmarks.meter import Meter, spread, take_turns
from benchmarks.preset import EAGER, PRESETS, Run
from benchmarks.report import Report
from benchmarks.speed import Turns, speed
from benchmarks.table import Table
from lightning_modules.language_model import LanguageModel

ROOT = Path(command.__file__).parents[1]
TINY = PRESETS["tiny"]
CASE = TINY.speed[0][0]


def test_a_table_is_markdown_with_readable_numbers() -> None:
    table = Table("Speed", ["", "tokens/s"], note="One thread.")
    table.add("fast", 1234.5)
    table.add("slow", None)
    text = "### Speed\n\nOne thread.\n\n|  | tokens/s |\n| --- | --- |\n| fast | 1,234 |\n| slow |  |\n"
    assert table.markdown() == text


def test_a_row_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="2 columns, found 1 cells"):
        Table("Speed", ["", "tokens/s"]).add("fast")


def test_ratios_are_of_the_same_round() -> None:
    assert spread([2.0, 4.0, 9.0], [1.0, 4.0, 3.0]) == "2.000 [1.000, 3.000]"
    assert spread([], [1.0]) is None


def test_what_does_not_fit_takes_no_more_turns() -> None:
    calls = []

    def large() -> None:
        calls.append("large")
        raise torch.OutOfMemoryError

    entries = {"large": large, "small": lambda: calls.append("small")}
    taken, peaks = take_turns(entries, Meter("cpu"), rounds=2, what="test")
    assert calls == ["large", "small", "small", "small"]
    assert (taken["large"], peaks["large"]) == ([], None)
    assert len(taken["small"]) == 2


def test_memory_at_the_peak_is_that_of_the_tensors() -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("Linux tells it")
    _, peaks = take_turns({"ones": lambda: torch.ones(50_000_000)}, Meter("cpu"), rounds=1, what="test")
    assert peaks["ones"] == pytest.approx(200e6, rel=0.1)


def test_a_call_that_is_cut_off_leaves_its_tables(tmp_path: Path) -> None:
    report = Report(["speed", "--json", "x y"], device="cpu", file=tmp_path / "results.json")
    report.add(Table("first", ["n"], [[1]]))
    left = json.loads((tmp_path / "results.json").read_text())
    assert left["command"] == "python -m benchmarks speed --json 'x y'"
    assert left["tables"] == [{"title": "first", "columns": ["n"], "rows": [[1]], "note": ""}]
    assert left["torch"] == torch.__version__


def test_a_section_is_added_to_the_results(tmp_path: Path) -> None:
    results = tmp_path / "RESULTS.md"
    results.write_text("# Results\n\nOld.\n")
    report = Report(["loss"], device="cpu")
    report.add(Table("first", ["n"], [[1]]))
    report.append(results)
    text = results.read_text()
    assert text.startswith("# Results\n\nOld.\n\n## Measured on 20")
    assert "`python -m benchmarks loss`:\n\n### first\n\n| n |\n| --- |\n| 1 |\n" in text


def test_the_page_of_costs_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["cost"]) == 0
    assert capsys.readouterr().out == (ROOT / "docs/cost.md").read_text(), "python -m benchmarks cost > docs/cost.md"


def test_a_readers_own_speed_has_a_column() -> None:
    """A generation of 7,000 x 512 x 1,024 tokens at a million a second: 61.2 minutes."""
    rows = [line for line in cost_page(1e6).splitlines() if line.startswith(("|  |", "| a generation"))]
    assert rows[0].endswith("| yours |")
    assert rows[1].endswith("| 61 |")
    assert rows[3].endswith("| 195 |")  # 417M: 2,728.5 / 854.7 as many FLOPs a token


@pytest.mark.parametrize(
    ("words", "message"),
    [(["sped"], "unknown table: sped; known: speed, "), (["--preset", "gpu"], "needs a CUDA device")],
)
def test_a_wrong_word_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available() and words[0] == "--preset":
        pytest.skip("there is a GPU")
    assert command.main(words) == 1
    assert message in capsys.readouterr().err


def test_the_command_line_takes_turns_with_a_bare_loop() -> None:
    (table,) = speed(replace(TINY, speed=((CASE, (Run(compile=False, beside=(EAGER,)),)),)))
    assert [row[0] for row in table.rows] == ["bare loop, eager", "command line, eager"]
    for row in table.rows:
        assert row[2] == pytest.approx(1e3 * CASE.tokens / row[1])  # type: ignore[operator]
    assert table.columns[3:] == ["speed / bare loop, eager"]  # no MFU on a CPU


@pytest.mark.parametrize(
    ("error", "said"),
    [(torch.OutOfMemoryError("too much"), "does not fit"), (ValueError("a\nreason"), "ValueError: a reason")],
)
def test_a_run_that_fails_late_shows_no_medians(
    error: Exception, said: str, failing: Callable[[Exception], Run]
) -> None:
    (table,) = speed(replace(TINY, speed=((CASE, (failing(error),)),)))
    cells = {row[0]: row[1:] for row in table.rows}
    assert cells["bare loop, eager"] == ["cut short", None, None]
    assert cells["command line, eager, deterministic"] == [said, None, None]


def test_an_error_that_is_not_expected_leaves_nothing_behind(failing: Callable[[Exception], Run]) -> None:
    with pytest.raises(KeyError):
        list(speed(replace(TINY, speed=((CASE, (failing(KeyError("x")),)),))))
    assert not hasattr(Turns, "current")
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], Run]:
    """Makes a deterministic run that raises an error in its third turn, the second that is counted."""

    def make(error: Exception) -> Run:
        step = LanguageModel.training_step

        def until(model: LanguageModel, *words: Any) -> torch.Tensor:
            if model.trainer.global_step == 5:
                raise error
            return step(model, *words)

        monkeypatch.setattr(LanguageModel, "training_step", until)
        return Run(compile=False, deterministic=True, beside=(EAGER,))

    return make


@pytest.mark.parametrize("name", ["masks", "checkpoint"])
def test_a_table_by_its_name(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command.main([name, "--preset", "tiny", "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("### ")


def test_a_table_that_fails_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("a reason")

    monkeypatch.setattr(command, "loss", broken)
    assert command.main(["loss", "masks", "--preset", "tiny"]) == 1
    out = capsys.readouterr()
    assert "RuntimeError: a reason" in out.out
    assert "### Masks" in out.out
    assert "no table of loss" in out.err


class FakeGPU:
    """As much of torch.cuda as is asked: memory that grows by 10 bytes while something runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[str] = []
        answers = {"memory_allocated": 100, "max_memory_allocated": 110, "synchronize": None}
        for name, answer in (answers | {"reset_peak_memory_stats": None}).items():
            monkeypatch.setattr(torch.cuda, name, lambda name=name, answer=answer: self.log.append(name) or answer)


def test_on_a_gpu_time_is_taken_when_it_has_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeGPU(monkeypatch)
    _, peaks = take_turns({"run": lambda: gpu.log.append("run")}, Meter("cuda"), rounds=1, what="test")
    turn = ["reset_peak_memory_stats", "memory_allocated", "synchronize", "run", "synchronize", "max_memory_allocated"]
    assert gpu.log == 2 * turn
    assert peaks == {"run": 10}


@pytest.mark.parametrize("steps", [1, 2])
def test_a_bare_loop_that_does_not_fit_a_gpu_leaves_the_run_alone(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    FakeGPU(monkeypatch)

    class Loop:
        def __init__(self, fits: bool) -> None:
            self.fits = fits
            self.optimizer = torch.optim.SGD([torch.zeros(1)])

        def steps(self, count: int) -> None:
            if not self.fits:
                raise torch.OutOfMemoryError

    loops: Any = {"small": Loop(True), "large": Loop(False)}
    turns = Turns(loops, "run", steps=steps, meter=Meter("cuda"))
    for step in range(3 * steps + 1):
        trainer: Any = type("Trainer", (), {"global_step": step, "max_steps": 3 * steps + 1})
        turns.on_train_batch_start(trainer, None, None, step)  # type: ignore[arg-type]
    assert {name: len(seconds) for name, seconds in turns.seconds.items()} == {"small": 3, "large": 0, "run": 3}
    assert turns.peaks == {"small": 10, "large": None, "run": 10}


@pytest.mark.slow
def test_every_path_of_the_gpu_preset_runs_on_a_cpu(tmp_path: Path) -> None:
    """`tiny` is `gpu` with other sizes, so what it runs can be trusted to start there.

    In a process of its own: the compiler gives warnings, which are errors here.
    """
    gpu, tiny = PRESETS["gpu"], PRESETS["tiny"]
    assert [runs for _, runs in tiny.speed] == [gpu.speed[0][1]]
    line = [sys.executable, "-m", "benchmarks", "--preset", "tiny", "--json", str(tmp_path / "all.json")]
    done = subprocess.run([*line, "--folder", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    tables = json.loads((tmp_path / "all.json").read_text())["tables"]
    assert [table["title"].split(":")[0].split(",")[0] for table in tables] == [
        *["Speed"] * 3,
        "Profile of a step",
        "Loss",
        "Masks",
        "Loader",
        "Boundary of two generations",
        "Checkpoints",
    ]
    boundary = {name: count for name, _, count in tables[-2]["rows"]}
    assert boundary["graphs compiled before the boundary"] > 0
    assert boundary["graphs compiled after it"] == 0
