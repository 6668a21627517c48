"""What `submit` plans, for experiments that have come as far as you like, and what it refuses. No SLURM is needed."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

import cli
from slurm.array_job import array_text
from slurm.plan import Experiment, Resources, plan

ROOT = Path(cli.__file__).parent
ARMS = ("Connectome", "RandomConnectome", "NoConnectome")


def experiment(folder: Path, seeds: Sequence[int] = (0, 1), generations: int = 3) -> Experiment:
    return Experiment(
        folder=folder,
        name="e",
        seeds=seeds,
        generations=generations,
        arms=ARMS,
        outer=["--config", "outer.yaml"],
        inner=["--config", "inner.yaml"],
        settings={"outer": ["--data.folder=x"], "inner": ["--data.folder=y"]},
    )


def left(folder: Path, **settings: object) -> list[tuple[str, str, str | None]]:
    """Name, seeds and parent of every array that is left."""
    jobs = plan(experiment(folder, **settings), Resources([], []))  # type: ignore[arg-type]
    return [(job.name, array_text(job.seeds), job.after.name if job.after else None) for job in jobs]


def finish(folder: Path, *files: str) -> None:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()


def test_a_new_experiment_is_one_chain_and_the_dense_arm_waits_for_nobody(tmp_path: Path) -> None:
    assert left(tmp_path) == [
        ("e.outer.0", "0-1", None),
        ("e.outer.1", "0-1", "e.outer.0"),
        ("e.outer.2", "0-1", "e.outer.1"),
        ("e.outer.validation", "0-1", "e.outer.2"),
        ("e.Connectome", "0-1", "e.outer.2"),
        ("e.Connectome.validation", "0-1", "e.Connectome"),
        ("e.RandomConnectome", "0-1", "e.outer.2"),
        ("e.RandomConnectome.validation", "0-1", "e.RandomConnectome"),
        ("e.NoConnectome", "0-1", None),
        ("e.NoConnectome.validation", "0-1", "e.NoConnectome"),
    ]


def test_only_what_is_left_is_planned_and_seeds_wait_for_their_own_generation(tmp_path: Path) -> None:
    finish(tmp_path, *(f"outer/seed_1/generations/{g}.safetensors" for g in range(3)))
    finish(tmp_path, "outer/seed_1/evaluations/validation.txt", "outer/seed_0/generations/0.safetensors")
    finish(tmp_path, "inner/Connectome/seed_1/final.safetensors")
    finish(
        tmp_path, "inner/NoConnectome/seed_0/final.safetensors", "inner/NoConnectome/seed_0/evaluations/validation.txt"
    )
    assert left(tmp_path) == [
        ("e.outer.1", "0", None),
        ("e.outer.2", "0", "e.outer.1"),
        ("e.outer.validation", "0", "e.outer.2"),
        ("e.Connectome", "0", "e.outer.2"),
        ("e.Connectome.validation", "0", "e.Connectome"),
        ("e.RandomConnectome", "0", "e.outer.2"),
        ("e.RandomConnectome.validation", "0", "e.RandomConnectome"),
        ("e.Connectome.validation", "1", None),
        ("e.RandomConnectome", "1", None),
        ("e.RandomConnectome.validation", "1", "e.RandomConnectome"),
        ("e.NoConnectome", "1", None),
        ("e.NoConnectome.validation", "1", "e.NoConnectome"),
    ]


def test_a_finished_experiment_leaves_nothing(tmp_path: Path) -> None:
    for run, last in [("outer", "generations/2.safetensors"), *((f"inner/{arm}", "final.safetensors") for arm in ARMS)]:
        for seed in (0, 1):
            finish(tmp_path, f"{run}/seed_{seed}/{last}", f"{run}/seed_{seed}/evaluations/validation.txt")
    assert left(tmp_path) == []


def test_another_evaluation_is_another_line_for_every_run(tmp_path: Path) -> None:
    lines = {"validation": "validate --model.checkpoint {weights} {settings}", "blimp": "evaluate blimp {weights}"}
    jobs = plan(experiment(tmp_path), Resources([], []), lines)
    found = {job.name: job for job in jobs if job.name.endswith("blimp")}
    assert list(found) == [f"e.{loop}.blimp" for loop in ("outer", *ARMS)]
    weights = f"{tmp_path}/inner/NoConnectome/seed_{{seed}}/final.safetensors"
    assert list(found["e.NoConnectome.blimp"].words) == ["evaluate", "blimp", weights]
    validation = next(job for job in jobs if job.name == "e.outer.validation")
    assert validation.words[-2:] == [f"{tmp_path}/outer/seed_{{seed}}/generations/2.safetensors", "--data.folder=x"]


@pytest.mark.parametrize(
    ("seeds", "text"), [([0], "0"), ([0, 1, 2], "0-2"), ([0, 2, 3, 7], "0,2-3,7"), ([5, 4], "4-5")]
)
def test_seeds_are_written_as_slurm_writes_them(seeds: list[int], text: str) -> None:
    assert array_text(seeds) == text


# the verb

FAKE = """#!/bin/sh
# Stands for SLURM: numbers jobs from 101 on; the queue holds what $QUEUE says; refuses the partition `closed`.
case $(basename "$0") in
squeue) printf '%b' "$QUEUE" ;;
sbatch)
    case "$*" in *closed*) echo 'sbatch: error: invalid partition specified: closed' >&2; exit 1 ;; esac
    echo "GENERATION=$GENERATION ARM=$ARM SETUP=$SETUP $*" >>"$CALLS"
    echo $((100 + $(wc -l <"$CALLS"))) ;;
esac
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake SLURM on the PATH; the file that holds what sbatch was called with."""
    for name in ("sbatch", "squeue"):
        (tmp_path / "bin" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(FAKE)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("QUEUE", "7_0 other.outer.0\\n")
    monkeypatch.chdir(ROOT)
    return tmp_path / "calls"


def submit(folder: Path, toy: Sequence[str], *options: str) -> int:
    line = ["submit", "--experiment", "e", "--runs", str(folder), "--seeds", "2", "--gpus", "4", *options]
    return cli.main([*line, "--", *toy, "--generations", "3", "--data.micro_batch_size", "3"])


def test_submit_chains_by_the_ids_that_sbatch_prints(
    calls: Path, tmp_path: Path, toy: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert submit(tmp_path, toy, "--sbatch=--partition=a100 --time=60", "--setup=module load cuda") == 0
    lines = calls.read_text().splitlines()
    assert len(lines) == 10
    assert [re.findall(r"--dependency=(\S+)", line) for line in lines] == [
        [], ["aftercorr:101"], ["aftercorr:102"], ["aftercorr:103"], ["aftercorr:103"], ["aftercorr:105"],
        ["aftercorr:103"], ["aftercorr:107"], [], ["aftercorr:109"],
    ]  # fmt: skip
    assert all("--kill-on-invalid-dep=yes" in line for line in lines if "dependency" in line)
    assert [re.findall(r"GENERATION=(\d)", line) for line in lines[:3]] == [["0"], ["1"], ["2"]]
    assert "ARM=RandomConnectome" in lines[6]
    for line in lines:
        evaluates = "slurm/evaluate.sbatch" in line
        assert "SETUP=module load cuda --parsable" in line
        assert "--array=0-1 " in line
        assert f"--nodes=1 --ntasks-per-node={1 if evaluates else 4} --gpus-per-node={1 if evaluates else 4} " in line
        assert "--partition=a100 --time=60" in line
    printed = capsys.readouterr().out
    assert "submitted 10 arrays: 101 102 103" in printed
    assert "squeue --me" in printed
    assert "scancel 101 102" in printed


@pytest.mark.parametrize(("processes", "status"), [("4", 0), ("5", 1)])
def test_where_the_node_chooses_the_micro_batch_the_batch_must_divide_over_its_ranks(
    calls: Path, tmp_path: Path, toy: list[str], capsys: pytest.CaptureFixture[str], processes: str, status: int
) -> None:
    line = ["submit", "--runs", str(tmp_path), "--gpus", "4", "--processes", processes, "--dry_run"]
    assert cli.main([*line, "--", *toy, "--data.micro_batch_size", "auto"]) == status
    printed = capsys.readouterr()
    if status:
        assert "5 ranks x 1 = 5, and 12 / 5 = 2.4; change the batch or ranks" in printed.err
    else:
        assert "--data.micro_batch_size=auto" in printed.out  # of the validation


def test_a_dry_run_shows_the_plan_and_submits_nothing(
    calls: Path, tmp_path: Path, toy: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert submit(tmp_path, toy, "--dry_run") == 0
    printed = capsys.readouterr().out
    assert not calls.exists()
    assert not (tmp_path / "e").exists()
    assert re.search(r"^e\.outer\.1 +0-1 +e\.outer\.0 +slurm/outer.sbatch", printed, re.MULTILINE)
    assert "GENERATION=1 sbatch" in printed
    assert "--dependency=aftercorr:e.outer.0" in printed


def test_the_first_arrays_wait_for_the_jobs_that_prepare(calls: Path, tmp_path: Path, toy: list[str]) -> None:
    assert submit(tmp_path, [*toy, "--data.folder", "not/yet"], "--after", "11:12") == 0
    lines = calls.read_text().splitlines()
    waiting = [line for line in lines if "--dependency=afterok:11:12" in line]
    assert len(waiting) == 2  # generation 0, and the arm that inherits nothing
    assert all("aftercorr" in line for line in lines if line not in waiting)


@pytest.mark.parametrize(
    ("options", "words", "message"),
    [
        (["--seeds", "0"], [], "--seeds, --nodes and --processes are 1 or more"),
        (["--experiment", "a/b"], [], "an experiment's name is made of"),
        (["--arms", "[Connectom]"], [], "unknown arms ['Connectom']; known: Connectome"),
        (["--outer", "outr.yaml"], [], "there is no configuration outr.yaml"),
        (["--processes", "5"], [], "a global batch of 12 sequences does not divide"),
        ([], ["--modle.n_layer", "3"], "is not understood"),
        ([], ["--data.folder", "nowhere"], "nowhere"),
        (["--sbatch=--partition=closed"], [], "invalid partition specified: closed"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_submitted(
    calls: Path,
    tmp_path: Path,
    toy: list[str],
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    words: list[str],
    message: str,
) -> None:
    assert submit(tmp_path, [*toy, *words], *options) == 1
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not calls.exists()


def test_an_experiment_that_is_in_the_queue_is_not_submitted_twice(
    calls: Path, tmp_path: Path, toy: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUEUE", "7_[0-1] e.outer.0\\n7_2 e.outer.0\\n8_0 other.outer.0\\n")
    assert submit(tmp_path, toy) == 1
    assert "`scancel 7` first" in capsys.readouterr().err
    assert not calls.exists()


def test_where_there_is_no_slurm_the_message_names_the_dry_run(
    tmp_path: Path, toy: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(ROOT)
    assert submit(tmp_path, toy) == 1
    assert "--dry_run" in capsys.readouterr().err


def test_a_list_of_evaluations_is_run_on_all_that_every_run_has_kept(
    calls: Path, tmp_path: Path, toy: list[str]
) -> None:
    assert submit(tmp_path, toy, "--evaluations", "evaluations.yaml") == 0
    along = [line for line in calls.read_text().splitlines() if ".along_training " in line]
    assert len(along) == 4
    folder = f"{tmp_path}/e/inner/NoConnectome/seed_{{seed}}"
    assert f" evaluate {folder} --evaluations evaluations.yaml --table {folder}/evaluations/table.csv" in along[-1]


def test_a_list_of_evaluations_that_is_not_there_is_found_out_before(
    calls: Path, tmp_path: Path, toy: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert submit(tmp_path, toy, "--evaluations", "nowhere.yaml") == 1
    assert "there is no list of evaluations nowhere.yaml" in capsys.readouterr().err
    assert not calls.exists()
