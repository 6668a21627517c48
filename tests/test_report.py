"""`python cli.py report` on small run folders written by hand."""

import json
import re
import shutil
import time
from pathlib import Path

import pytest
import torch
from torch.utils.tensorboard import SummaryWriter
from written_runs import write_evaluation, write_run

import cli
from connectome import Connectome, Provenance, save_connectome
from figures.experiment import read_experiment
from figures.panels import PANELS
from figures.report import Missing, Report, read_report, report_of
from figures.results import End, ends_of, read_measurements
from figures.runs import Run, find_runs
from figures.shown import Shown, read_rows

# log(2), log(4), log(8): perplexities in the head
LOG2, LOG4, LOG8 = 0.6931471805599453, 1.3862943611198906, 2.0794415416798357
LOSSES = {"Connectome": LOG4, "NoConnectome": LOG8, "RandomConnectome": 2.5}


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """Two generations and three arms, seed 0."""
    write_run(tmp_path / "runs", "outer", 0, [LOG4, LOG2], generations=2)
    for arm, loss in LOSSES.items():
        write_run(tmp_path / "runs", arm, 0, [loss])
    return tmp_path / "runs"


def run_report(capsys: pytest.CaptureFixture[str], *words: Path | str) -> tuple[int, str, str]:
    status = cli.main(["report", *map(str, words)])
    return status, *capsys.readouterr()


def row(text: str, start: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(start)).split("  ")


def evaluate(run: Path, step: int = 20) -> None:
    """All evaluations of an arm, of a model of three layers."""
    write_evaluation(run, "hellaswag", step, {"acc_sum": 0.27, "acc_token": 0.26}, baselines={"chance": 0.25})
    write_evaluation(run, "mmlu", step, {"acc_sum": 0.24})
    for at in (0, step):
        write_evaluation(run, "natural_stories", at, {"r": 0.35 - at / 1000}, baselines={"tokens": 0.348}, half=0.04)
    layers = {f"r_layer_{k}": k / 10 for k in range(3)}
    units = {"localised_1pct": 0.21, "localised_10pct": 0.25, "noise_ceiling": 0.56}
    write_evaluation(run, "tuckute2024", step, layers | units, half=None)


@pytest.fixture
def complete(experiment: Path) -> Path:
    """The same with connectomes and evaluations."""
    for arm in LOSSES:
        evaluate(experiment / f"inner/{arm}/seed_0")
    wiring = Connectome(
        {"a": torch.tensor([[1, 0], [-1, 0]], dtype=torch.int8)}, {"width": 2}, Provenance(generation=0)
    )
    save_connectome(wiring, experiment / "outer/seed_0/connectomes/generation_0.connectome")
    return experiment


def made_of(*folders: Path) -> Report:
    return report_of(read_experiment(list(map(str, folders))))


def test_a_whole_experiment_gives_its_tables_and_a_page_with_every_panel(
    complete: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    status, printed, _ = run_report(capsys, complete, "--out", out)
    assert status == 0
    cells = [cell.strip() for cell in row(printed, "0  ") if cell]
    assert cells == ["0", "1.3863 (4.00)", "1.3863 (4.00)", "2.0794 (8.00)", "2.5000 (12.18)"]
    assert [cell.strip() for cell in row(printed, "minus NoConnectome") if cell][1:] == [
        "-0.6931",
        "-0.6931",
        "+0.0000",
        "+0.4206",
    ]
    assert row(printed, "density")[-1].strip() == "1.0000"
    assert row(printed, "1  ")[-2:] == ["0.6931 (2.00)", "0.6931 (2.00)"]
    assert "missing" not in printed
    assert {path.stem for path in (out / "figures").glob("*.png")} == {*PANELS, "overview"}
    assert {path.stem for path in (out / "figures").glob("*.pdf")} == {*PANELS}
    assert {path.stem for path in (out / "data").iterdir()} >= {*PANELS, "results", "summary", "compared", "costs"}
    page = (out / "index.html").read_text()
    assert page.count("data:image/png;base64,") == len(PANELS)
    assert "Nothing: all arms and seeds are complete" in page
    assert not re.findall(r"https?://|<script|<link", page)
    # Tables are all that is drawn: what is read back from them is what was drawn.
    assert read_report(out) == made_of(complete)


def test_a_report_is_drawn_again_without_the_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report"
    _, first, _ = run_report(capsys, write_run(tmp_path / "runs", "Connectome", 0, [LOG4]), "--out", out)
    (tmp_path / "runs").rename(tmp_path / "gone")
    status, second, _ = run_report(capsys, "--from", out, "--out", tmp_path / "again")
    assert status == 0
    assert second.splitlines()[:-1] == first.splitlines()[:-1]
    files = sorted(path.relative_to(out) for path in out.rglob("*.*"))
    assert len(files) == 10  # six tables, the panel's, two pictures, the page
    for file in files:
        assert (tmp_path / "again" / file).read_bytes() == (out / file).read_bytes(), file


def test_every_point_of_a_panel_is_that_of_the_records(complete: Path) -> None:
    panels = made_of(complete).panels

    def points(panel: str, role: str) -> list[tuple[str, float, float]]:
        return [(each.series, each.x, each.y) for each in panels[panel] if each.role == role]

    for role in ("mean", "seed"):
        assert points("hellaswag", role) == [(arm, 0, 0.27) for arm in LOSSES]
        assert points("mmlu", role) == [(arm, 0, 0.24) for arm in LOSSES]
        assert points("localised_1pct", role) == [(arm, 0, 0.21) for arm in LOSSES]
        assert points("localised_10pct", role) == [(arm, 0, 0.25) for arm in LOSSES]
        assert points("reading_times", role) == [(arm, x, 0.35 - x / 1000) for arm in LOSSES for x in (0, 20)]
        assert points("brain_by_layer", role) == [(arm, k, k / 10) for arm in LOSSES for k in range(3)]
        assert points("loss_over_generations", role) == [("outer", 0, LOG4), ("outer", 1, LOG2)]
        assert points("density_over_generations", role) == [("outer", 0, 1.0), ("outer", 1, 0.5)]
        assert points("compression", role)[1:] == [("bound", 0, 0.75), ("dense", 0, 8)]  # half of four weights exist
        found = points("loss_over_training", role)
        assert found == [(arm, x, pytest.approx(y)) for arm, y in LOSSES.items() for x, y in ((10, y + 1), (20, y))]
    assert points("loss_over_training", "end") == [(arm, 20, loss) for arm, loss in LOSSES.items()]
    assert points("loss_over_training", "bound") == [("upper_bound", 0, LOG4)]
    assert points("hellaswag", "baseline") == [("chance", 0, 0.25)]
    assert points("brain_by_layer", "ceiling") == [("noise ceiling", 0, 0.56)]
    assert points("brain_by_layer", "paper") == []  # twelve layers, not two
    assert ("Connectome", 20, 0.34) in points("reading_times", "paper")


def test_captions_state_the_numbers_intervals_and_scale(complete: Path) -> None:
    captions = dict(made_of(complete).captions)
    assert captions["report"] == (
        "Scale: 0.43M weights, 81.9k tokens of the large corpus and 41k of the small one; a token is a byte."
    )
    for part in ("n = 1,000 items.", "1 seed: 95 % interval (Wilson).", captions["report"], "standard error over 4"):
        assert part in captions["hellaswag"]
    assert "do not compare and are not drawn" in captions["loss_over_training"]


def test_one_arm_alone_is_drawn_and_everything_else_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(tmp_path, "Connectome", 0, [LOG4])
    status, out, _ = run_report(capsys, folder, "--out", tmp_path / "report")
    assert status == 0
    page = (tmp_path / "report/index.html").read_text()
    for what in (
        "the outer loop, and with it the dense upper bound, of any seed",
        "the arm NoConnectome of any seed",
        "the arm RandomConnectome of any seed",
    ):
        assert f"missing: {what}" in out
        assert what in page
    for panel in PANELS.values():
        assert (f"missing: {panel.title}: nothing to draw" in out) == (panel.title != "Three arms on the small corpus")
    assert [path.name for path in (tmp_path / "report/figures").glob("*.png")] == ["loss_over_training.png"]
    assert row(out, "minus NoConnectome")[-1].strip() == "-"


def test_a_seed_that_was_not_evaluated_is_named(complete: Path) -> None:
    write_run(complete, "Connectome", 1, [LOG4])
    assert Missing("hellaswag", "not evaluated: Connectome seed 1, 0.43M") in made_of(complete).missing


def test_models_of_two_sizes_stand_beside_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "small", "Connectome", 0, [LOG4])
    write_run(tmp_path / "large", "Connectome", 0, [LOG2], model={"size": "124M"})
    status, out, _ = run_report(capsys, tmp_path / "small", tmp_path / "large", "--out", tmp_path / "report")
    assert status == 0
    assert "Models of 0.43M weights" in out
    assert "the arm NoConnectome of any seed, 124M" in out
    rows = read_rows(tmp_path / "report/data/loss_over_training.csv", Shown)
    assert [(each.size, each.y) for each in rows if each.role == "end"] == [("0.43M", LOG4), ("124M", LOG2)]


def test_the_cost_of_a_run_is_tokens_over_throughput(experiment: Path) -> None:
    cost = next(cost for cost in made_of(experiment).costs if cost.arm == "outer")
    assert cost.tokens == 2 * 20 * 8 * 256  # generations, steps, sequences, their length
    assert cost.device_hours == pytest.approx(cost.tokens / 2048 / 3600)
    assert cost.mfu is None  # not recorded on a processor


def test_unfinished_runs_and_single_missing_seeds_are_named(experiment: Path) -> None:
    write_run(experiment, "outer", 1, [LOG4], generations=3)
    write_run(experiment, "NoConnectome", 1, [])
    lines = [line.what for line in made_of(experiment).missing]
    assert f"the end of generation 1, 2 in {experiment}/outer/seed_1" in lines
    assert f"the end of {experiment}/inner/NoConnectome/seed_1: it has not reached step 20" in lines
    assert f"curves in {experiment}/inner/NoConnectome/seed_1/tensorboard" in lines
    assert "the arm Connectome of seed 1" in lines


def test_a_run_named_twice_counts_once(experiment: Path) -> None:
    runs = find_runs([experiment, experiment / "outer/seed_0"])
    assert [(run.arm, run.seed) for run in runs] == [*((arm, 0) for arm in sorted(LOSSES)), ("outer", 0)]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("nowhere", "there is no folder"),
        ("empty", "is no run and holds none"),
        ("config", "is not the configuration of an outer or inner loop"),
        ("records", r"records\.jsonl is damaged"),
        ("events", "is no event file of TensorBoard"),
        ("twice", "report one experiment at a time"),
    ],
)
def test_bad_input_ends_in_one_message(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: str, message: str
) -> None:
    folders = [experiment]
    run = experiment / "inner/Connectome/seed_0"
    if spoil == "nowhere":
        folders = [tmp_path / "nowhere"]
    elif spoil == "empty":
        folders = [tmp_path / "empty"]
        folders[0].mkdir()
    elif spoil == "config":
        (run / "config.yaml").write_text("model: 1\n")
    elif spoil == "records":
        (run / "records.jsonl").write_text('{"task": "vali')
    elif spoil == "events":
        next((run / "tensorboard").iterdir()).write_bytes(b"something else")
    else:
        folders.append(write_run(tmp_path / "other", "Connectome", 0, [LOG2]))
    status, _, err = run_report(capsys, *folders, "--out", tmp_path / "report")
    assert status == 1
    assert len(err.splitlines()) == 1
    assert re.search(message, err)
    assert not (tmp_path / "report").exists()


@pytest.mark.slow
def test_thirty_runs_of_fifty_snapshots_take_less_than_a_minute(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outer = write_run(tmp_path / "runs", "outer", 0, [LOG4] * 6, generations=6)
    inner = write_run(tmp_path / "runs", "Connectome", 0, [LOG4])
    for folder, points in ((outer / "tensorboard/generation_0", 700), (inner / "tensorboard", 200)):
        with SummaryWriter(str(folder)) as writer:  # as training logs: nine curves against three axes
            for step in range(points):
                for number in range(27):
                    writer.add_scalar(f"train/{number}", 0.5, step)
    for generation in range(1, 6):
        events = outer / f"tensorboard/generation_{generation}"
        shutil.copytree(outer / "tensorboard/generation_0", events, dirs_exist_ok=True)
    for step in range(50):
        evaluate(inner, step)
    for seed in range(8):
        for arm, folder in [("outer", outer), *((arm, inner) for arm in LOSSES)]:
            copy = tmp_path / "runs" / ("outer" if arm == "outer" else f"inner/{arm}") / f"seed_{seed}"
            if not copy.exists():
                shutil.copytree(folder, copy)
                config = (copy / "config.yaml").read_text().replace("seed_everything: 0", f"seed_everything: {seed}")
                (copy / "config.yaml").write_text(config.replace("arm: Connectome", f"arm: {arm}"))
    begun = time.process_time()
    status, _, err = run_report(capsys, tmp_path / "runs", "--out", tmp_path / "report")
    assert status == 0, err
    assert time.process_time() - begun < 60


@pytest.mark.parametrize("words", [[], ["RUNS", "--from", "REPORT"]])
def test_runs_or_a_report_but_not_both(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run_report(capsys, *words)
    assert status == 1
    assert "not both, not neither" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no .*captions.csv"),
        ("panel,text\n", "has the columns panel, text; expected panel, caption"),
        ("panel,caption\nx\n", "captions.csv is damaged"),
    ],
)
def test_a_folder_that_is_no_report_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, message: str
) -> None:
    if content:
        (tmp_path / "data").mkdir()
        (tmp_path / "data/captions.csv").write_text(content)
    status, _, err = run_report(capsys, "--from", tmp_path, "--out", tmp_path / "out")
    assert status == 1
    assert re.search(message, err)


def test_records_of_the_quick_validation_are_left_alone(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "outer", 0, [LOG4, LOG2], generations=2)
    with open(folder / "records.jsonl", "a") as file:
        file.write(json.dumps({"task": "hellaswag", "protocol": "standard", "metric": "accuracy", "value": 0.3}) + "\n")
    assert ends_of(read_measurements(Run(folder, "outer", 0, 2, 20))) == [
        End("outer", 0, 0, LOG4, 1.0),
        End("outer", 0, 1, LOG2, 0.5),
    ]
