"""`python cli.py report` on small run folders written by hand."""

import json
import re
from pathlib import Path

import pytest
import yaml
from torch.utils.tensorboard import SummaryWriter

import cli
from figures.loss_table import aligned, arms_table, generations_table
from figures.results import End, read_ends
from figures.runs import Run, find_runs

# log(2), log(4), log(8): perplexities in the head
LOG2, LOG4, LOG8 = 0.6931471805599453, 1.3862943611198906, 2.0794415416798357
LOSSES = {"Connectome": LOG4, "NoConnectome": LOG8, "RandomConnectome": 2.5}


def write_run(
    experiment: Path, arm: str, seed: int, losses: list[float], generations: int = 1, curve: bool = True
) -> Path:
    """A run folder with one end per loss, and a curve of two points in each generation."""
    outer = arm == "outer"
    folder = experiment / ("outer" if outer else f"inner/{arm}") / f"seed_{seed}"
    folder.mkdir(parents=True)
    wiring = {
        "class_path": "callbacks.GenerationalPruning" if outer else "callbacks.InheritConnectome",
        "init_args": {} if outer else {"arm": arm},
    }
    config = {"seed_everything": seed, "generations": generations, "steps_per_generation": 20, "wiring": wiring}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    records = []
    for generation, loss in enumerate(losses):
        model = {"seed": seed, "step": 20 * (generation + 1), "density": 0.5**generation}
        model |= {"generation": generation} if outer else {"arm": arm}
        for metric, value in (("loss", 9.0), ("loss_full", loss)):
            records.append(
                {"task": "validation", "protocol": "standard", "metric": metric, "value": value, "model": model}
            )
        events = folder / "tensorboard" / (f"generation_{generation}" if outer else "")
        if curve:
            with SummaryWriter(str(events)) as writer:
                writer.add_scalar("within_generation/validation/loss", loss + 1, 10)
                writer.add_scalar("within_generation/validation/loss", loss, 20)
    (folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


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


def test_a_whole_experiment_gives_its_table_and_five_pictures(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run_report(capsys, experiment, "--out", tmp_path / "report")
    assert status == 0
    cells = [cell.strip() for cell in row(out, "0  ") if cell]
    assert cells == ["0", "1.3863 (4.00)", "1.3863 (4.00)", "2.0794 (8.00)", "2.5000 (12.18)"]
    assert [cell.strip() for cell in row(out, "minus NoConnectome") if cell][1:] == [
        "-0.6931",
        "-0.6931",
        "+0.0000",
        "+0.4206",
    ]
    assert row(out, "density")[-1].strip() == "1.0000"
    assert row(out, "1  ")[-2:] == ["0.6931 (2.00)", "0.6931 (2.00)"]
    assert "missing" not in out
    pictures = sorted(path.name for path in (tmp_path / "report").iterdir())
    assert pictures == [
        "density_over_generations.png",
        "loss_over_generations.png",
        "loss_over_training.png",
        "loss_within_generations.png",
        "overview.png",
    ]
    assert all((tmp_path / "report" / name).read_bytes().startswith(b"\x89PNG") for name in pictures)


def test_one_arm_alone_is_drawn_and_everything_else_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(tmp_path, "Connectome", 0, [LOG4])
    status, out, _ = run_report(capsys, folder, "--out", tmp_path / "report")
    assert status == 0
    assert "missing: the outer loop, and with it the dense upper bound, of any seed" in out
    assert "missing: the arm NoConnectome of any seed" in out
    assert "missing: the arm RandomConnectome of any seed" in out
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["loss_over_training.png"]
    assert row(out, "minus NoConnectome")[-1].strip() == "-"


def test_unfinished_runs_and_single_missing_seeds_are_named(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(experiment, "outer", 1, [LOG4], generations=3)
    write_run(experiment, "NoConnectome", 1, [])
    _, out, _ = run_report(capsys, experiment, "--out", tmp_path / "report")
    assert f"missing: the end of generation 1, 2 in {experiment}/outer/seed_1" in out
    assert f"missing: the end of {experiment}/inner/NoConnectome/seed_1: it has not reached step 20" in out
    assert f"missing: validation curves in {experiment}/inner/NoConnectome/seed_1/tensorboard" in out
    assert "missing: the arm Connectome of seed 1" in out


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


def test_records_of_other_tasks_and_of_the_quick_validation_are_left_alone(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "outer", 0, [LOG4, LOG2], generations=2)
    with open(folder / "records.jsonl", "a") as file:
        file.write(json.dumps({"task": "hellaswag", "protocol": "standard", "metric": "accuracy", "value": 0.3}) + "\n")
    assert read_ends(Run(folder, "outer", 0, 2, 20)) == [
        End("outer", 0, 0, LOG4, 1.0),
        End("outer", 0, 1, LOG2, 0.5),
    ]
