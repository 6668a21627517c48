"""A whole experiment on a running SLURM: preempted, out of time, with a dead rank; and still the undisturbed one.

Skipped unless sbatch and SLURM_CONF are there, with a partition `main` that a partition `urgent` preempts.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import cli
from callbacks.run_folder import RunFolder
from lightning_modules.records import read_records
from tests.same_run import assert_same_curves, assert_same_run

Run = Callable[..., int]
ROOT = Path(cli.__file__).parent
SEEDS = (0, 1)
ARMS = ("Connectome", "RandomConnectome", "NoConnectome")

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.timeout(420),
    pytest.mark.skipif(not (shutil.which("sbatch") and os.environ.get("SLURM_CONF")), reason="needs a running SLURM"),
]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for experiments; jobs run with this interpreter and one thread each."""
    monkeypatch.setenv("PYTHON", sys.executable)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(ROOT)
    return tmp_path / "runs"


def slurm(*command: str, **environment: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def wait_for(what: str, there: Callable[[], bool], folder: Path, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not there():
        if time.monotonic() > until:
            logs = "\n".join(f"== {path.name}\n{path.read_text()[-1500:]}" for path in sorted(folder.glob("*.out")))
            raise AssertionError(f"gave up waiting for {what}\n{slurm('squeue')}\n{logs}")
        time.sleep(0.2)


def turns(log: Path) -> int:
    return max(int(turn) for turn in re.findall(r"turn (\d+): starts from", log.read_text()))


def submit(runs: Path, toy: Sequence[str], *options: str) -> int:
    line = ["submit", "--experiment", "toy", "--runs", str(runs), "--seeds", "2", "--gpus", "0"]
    return cli.main([*line, *options, "--", *toy, "--generations", "3"])


def test_an_experiment_that_is_preempted_and_runs_out_of_time_equals_the_undisturbed_one(
    cluster: Path,
    toy: list[str],
    outer: Run,
    inner: Run,
    straight: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hold = [
        "--trainer.callbacks+=tests.hold.Hold",
        "--trainer.callbacks.step=9",
        f"--trainer.callbacks.folder={tmp_path}",
    ]
    # 3 + 3 of the node's CPUs are taken, so a job that wants 4 has to take them from one of the two
    assert submit(cluster, [*toy, *hold], "--sbatch=--partition=main --time=10 --cpus-per-task=3") == 0
    first = int(re.findall(r"^ +(\d+)  toy.outer.1$", capsys.readouterr().out, re.MULTILINE)[0])
    logs = cluster / "toy" / "slurm"

    def log(seed: int) -> Path:
        return logs / f"toy.outer.1-{first}_{seed}.out"

    # generation 1: both seeds wait in the middle of step 10
    wait_for("step 10", lambda: all((tmp_path / f"holding_{seed}").exists() for seed in SEEDS), logs, 120)
    slurm("sbatch", "--partition=urgent", "--cpus-per-task=4", "--output=/dev/null", "--wrap=sleep 1")
    wait_for("preemption", lambda: any("requeued" in log(seed).read_text() for seed in SEEDS), logs, 60)
    preempted = next(seed for seed in SEEDS if "requeued" in log(seed).read_text())
    late = 1 - preempted
    slurm("scontrol", "update", f"JobId={first}_{late}", "TimeLimit=1")
    wait_for("the time limit", lambda: "requeued" in log(late).read_text(), logs, 90)
    slurm("scontrol", "update", f"JobId={first}_{late}", "TimeLimit=10")

    everything = [cluster / "toy" / "outer" / f"seed_{seed}" for seed in SEEDS]
    everything += [cluster / "toy" / "inner" / arm / f"seed_{seed}" for arm in ARMS for seed in SEEDS]
    results = [run / "evaluations" / "validation.txt" for run in everything]
    wait_for("the last evaluation", lambda: all(result.is_file() for result in results), logs, 240)

    assert min(turns(log(seed)) for seed in SEEDS) >= 2
    assert outer(tmp_path / "outer_1", "--seed_everything", "1") == 0
    for seed, undisturbed in zip(SEEDS, (straight, tmp_path / "outer_1"), strict=True):
        run = cluster / "toy" / "outer" / f"seed_{seed}"
        assert_same_run(undisturbed, run)
        assert_same_curves(undisturbed, run)
        for arm in ARMS:
            alone = tmp_path / f"{arm}_{seed}"
            connectome = str(RunFolder(undisturbed).connectome(2))
            options = ["--seed_everything", str(seed), "--wiring.arm", arm, "--wiring.connectome", connectome]
            assert inner(alone, *options) == 0
            assert_same_run(alone, cluster / "toy" / "inner" / arm / f"seed_{seed}")
            assert_same_curves(alone, cluster / "toy" / "inner" / arm / f"seed_{seed}")
    for run, result in zip(everything, results, strict=True):
        losses = [record["value"] for record in read_records(RunFolder(run).records)[-2:]]
        printed = [float(number) for number in re.findall(r"\d+\.\d+", result.read_text())]
        assert printed[:2] == pytest.approx(losses, rel=1e-7)  # Lightning prints float32

    capsys.readouterr()
    assert submit(cluster, [*toy, *hold]) == 0
    assert "nothing is left" in capsys.readouterr().out


def test_a_dead_rank_ends_the_job_soon_and_without_progress_it_is_not_requeued(
    cluster: Path, toy: list[str], tmp_path: Path
) -> None:
    kill = ["--trainer.callbacks+=tests.interruption.Interruption", "--trainer.callbacks.step=4"]
    kill += ["--trainer.callbacks.what=kill", "--trainer.callbacks.rank=1"]
    run = tmp_path / "seed_{seed}"
    options = ["--nodes=1", "--ntasks-per-node=2", f"--output={tmp_path}/%x-%A_%a.out", "--job-name=dying"]
    words = ["--config", "outer.yaml", *toy, "--data.micro_batch_size", "3", *kill]
    submitted = slurm(
        "sbatch", "--parsable", "--array=5", *options, "slurm/outer.sbatch", *words, RUN=str(run), GENERATION="0"
    )
    log = tmp_path / f"dying-{submitted}_5.out"
    wait_for("the end", lambda: log.exists() and "not requeued" in log.read_text(), tmp_path, 150)
    text = log.read_text()
    assert turns(log) == 2  # the first turn wrote the checkpoint of step 3, the second none
    assert "step_00000003.ckpt: requeued" in text
    assert list(RunFolder(tmp_path / "seed_5").checkpoints()) == [3]


def test_what_runs_have_kept_is_evaluated_by_an_array(
    cluster: Path, toy: list[str], shards: Path, inner: Run, tmp_path: Path
) -> None:
    for seed in SEEDS:
        options = ["--wiring.arm", "NoConnectome", "--data.tokenizer", "bytes", "--seed_everything", str(seed)]
        assert inner(tmp_path / f"seed_{seed}", *options, "--keep.snapshot_at", "[0]") == 0
    lines = tmp_path / "evaluations.yaml"
    lines.write_text(f"- next_word_loss --data.folder {shards} --data.tokens 160\n")
    run = tmp_path / "seed_{seed}"
    words = ["evaluate", str(run), "--evaluations", str(lines), "--table", str(run / "table.csv")]
    slurm(
        "sbatch",
        "--array=0-1",
        f"--output={tmp_path}/%a.out",
        "slurm/evaluate.sbatch",
        *words,
        RESULT=str(run / "result"),
    )
    wait_for("both", lambda: all((tmp_path / f"seed_{seed}/result").is_file() for seed in SEEDS), tmp_path, 120)
    for seed in SEEDS:
        rows = (tmp_path / f"seed_{seed}/table.csv").read_text().splitlines()
        assert len([row for row in rows if ",loss," in row]) == 2
        assert "next_word_loss standard,tokens=160 loss" in (tmp_path / f"seed_{seed}/result").read_text()
