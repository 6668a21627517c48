"""Kills training processes at random moments, for as many rounds as asked, and compares what they leave in the end.

    python -m tests.faults --rounds 50                     on one process and on two, about four minutes on two cores
    python -m tests.faults --rounds 500 --seed 7           as long as you like; the seed makes the moments

Three small generations, each its own task as on a cluster, then the inner loop. Each task is started again and again,
and killed again and again: by SIGKILL of all its processes or of one, by SIGTERM, by SIGUSR1, or by SIGUSR1 and SIGKILL
right after, as at a time limit. The moment is drawn from the time that the task takes, start-up included, or lies
within milliseconds of a file that appears: a checkpoint, a connectome, kept weights. In the end every weight, moment,
mask, mean and point of every curve must be that of the run that nobody has disturbed.

Processes are forked from one that has imported everything, which saves seconds each; some start cold instead, to be
killed during their imports.
"""

import argparse
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only

import cli
import training  # noqa: F401 - everything is imported before the first fork
from callbacks.run_folder import RunFolder
from datamodules.token_shards import write_shard
from tests.same_run import assert_same_curves, assert_same_run

ROOT = Path(cli.__file__).parent
GENERATIONS, STEPS = 3, 24
HANG = 60.0  # seconds after which a process that should end is said to hang
COLD = 0.12  # share of the lives that start with the imports
WAYS = ("KILL all", "KILL one", "TERM", "USR1", "USR1, then KILL")
LAST_FILES = (
    "connectomes/*",
    "connectomes/.*",
    "checkpoints/*",
    "checkpoints/.*",
    "generations/.*",
    ".final*",
    "*.jsonl",
)


@dataclass(frozen=True)
class Task:
    """One cluster task: the words of its command, and the file that says that it is finished."""

    name: str
    run: Path
    finished: Path
    words: Sequence[str]


@dataclass
class Tally:
    """What has been done to the runs."""

    kills: Counter[str] = field(default_factory=Counter)
    lives: int = 0
    slowest_end: float = 0.0  # seconds from a signal, or the death of one rank, to the end of the last process

    @property
    def total(self) -> int:
        """Kills that struck a living task."""
        return sum(self.kills.values())


class Life:
    """The processes of one start of a task, one per rank, as srun would start them."""

    def __init__(self, task: Task, processes: int, *, cold: bool, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.log = log
        self.codes: dict[int, int] = {}
        words = ["fit", *task.words, "--run", str(task.run), "--trainer.devices", str(processes)]
        self.pids = []
        for rank in range(processes):
            variables = {"OMP_NUM_THREADS": "1"}
            if processes > 1:
                variables |= {
                    "SLURM_JOB_NAME": "faults",
                    "SLURM_JOB_ID": "1",
                    "SLURM_NTASKS": str(processes),
                    "SLURM_NTASKS_PER_NODE": str(processes),
                    "SLURM_NNODES": "1",
                    "SLURM_PROCID": str(rank),
                    "SLURM_LOCALID": str(rank),
                    "SLURM_NODEID": "0",
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                }
            self.pids.append(self._start(words, variables, rank, cold))

    def _start(self, words: list[str], variables: dict[str, str], rank: int, cold: bool) -> int:
        with open(self.log, "ab") as log:
            if cold:
                command = [sys.executable, "cli.py", *words]
                started = subprocess.Popen(
                    command, stdout=log, stderr=log, cwd=ROOT, env=os.environ | variables, start_new_session=True
                )
                started.returncode = 0  # it is waited for here, by its id
                return started.pid
            pid = os.fork()
            if pid:
                return pid
            code = 1
            try:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
                os.environ.update(variables)
                rank_zero_only.rank = rank
                sys.argv = ["cli.py", *words]
                code = cli.main()
            except SystemExit as leaving:
                code = int(leaving.code or 0)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)

    def running(self) -> list[int]:
        """Processes that are still there."""
        for pid in self.pids:
            if pid not in self.codes:
                found, status = os.waitpid(pid, os.WNOHANG)
                if found:
                    self.codes[pid] = os.waitstatus_to_exitcode(status)
        return [pid for pid in self.pids if pid not in self.codes]

    def send(self, number: signal.Signals, pids: Sequence[int]) -> None:
        """Send a signal to those of the processes that are still there."""
        for pid in pids:
            if pid in self.running():
                os.kill(pid, number)

    def wait(self, until: Callable[[], bool] = lambda: False, seconds: float = HANG) -> bool:
        """Wait for the end of all, or for `until`; False if neither comes in time.

        As `srun --kill-on-bad-exit` does, the others are killed where one has failed.
        """
        limit = time.monotonic() + seconds
        while self.running() and not until():
            if any(self.codes.values()):
                time.sleep(0.1)
                self.send(signal.SIGKILL, self.running())
            if time.monotonic() > limit:
                return False
            time.sleep(0.0005)
        return True


def kill(life: Life, way: str, rng: random.Random) -> float:
    """End a life in one of the WAYS; seconds until its last process was gone.

    Raises:
        AssertionError: if it hangs.
    """
    started = time.monotonic()
    if way == "KILL one":
        life.send(signal.SIGKILL, [rng.choice(life.pids)])
    elif way == "KILL all":
        life.send(signal.SIGKILL, life.pids)
    else:
        life.send(signal.SIGTERM if way == "TERM" else signal.SIGUSR1, life.pids)
        if way == "USR1, then KILL":
            life.wait(seconds=rng.random() * 0.2)
            life.send(signal.SIGKILL, life.pids)
    if not life.wait():
        life.send(signal.SIGKILL, life.pids)
        raise AssertionError(f"still running {HANG:.0f} s after {way}:\n{life.log.read_text()[-3000:]}")
    return time.monotonic() - started


def disturb(task: Task, processes: int, typical: float, rng: random.Random, tally: Tally, *, kills: int) -> None:
    """Run a task to its end, killing it up to `kills` times on the way."""
    log = task.run.with_suffix(f".{task.name}.log")
    struck = 0
    while not task.finished.is_file():
        cold = struck < kills and rng.random() < COLD
        life = Life(task, processes, cold=cold, log=log)
        tally.lives += 1
        if struck == kills:
            life.wait(seconds=10 * HANG)
            assert task.finished.is_file(), f"{task.name} did not finish:\n{log.read_text()[-3000:]}"
            return
        if rng.random() < 0.5:
            moment = rng.random() * (8.0 if cold else typical * 1.1)
            then = time.monotonic() + moment
            life.wait(lambda then=then: time.monotonic() > then)  # type: ignore[misc]
            when = f"after {moment:.2f} s"
        else:
            pattern, number = rng.choice(LAST_FILES), rng.choice((1, 1, 2))
            before = stamps(task.run, pattern)
            life.wait(lambda p=pattern, b=before, n=number: len(stamps(task.run, p) - b) >= n)  # type: ignore[misc]
            time.sleep(rng.random() * 0.004)
            when = f"at {pattern}"
        if life.running():
            way = rng.choice(WAYS)
            last = max(RunFolder(task.run).checkpoints(), default=0)
            tally.slowest_end = max(tally.slowest_end, kill(life, way, rng))
            tally.kills[way] += 1
            struck += 1
            start = "cold " if cold else ""
            print(
                f"{tally.total:4d}  {processes} process(es)  {task.name:12} {start}{way:16} {when}, last saved {last}"
            )
        elif not task.finished.is_file():
            raise AssertionError(f"{task.name} ended unfinished, unasked:\n{log.read_text()[-3000:]}")


def stamps(run: Path, pattern: str) -> set[tuple[str, int]]:
    """Files that match, with the time of their last change."""
    found = set()
    for path in run.glob(pattern):
        try:
            found.add((path.name, path.stat().st_mtime_ns))
        except FileNotFoundError:  # it has just got its name
            continue
    return found


def write_toy_shards(folder: Path) -> None:
    """The three parts: walks of small steps through 61 tokens."""
    rng = np.random.default_rng(0)
    for part, sizes in {"large": (9_000, 9_000), "small": (3_300,), "validation": (1_100,)}.items():
        for index, size in enumerate(sizes):
            write_shard(folder / part / f"{part}_{index:06d}.bin", np.cumsum(rng.integers(0, 3, size)) % 61)


def tasks(folder: Path, shards: Path, processes: int) -> list[Task]:
    """The experiment as tasks, in order: one per generation, then two arms of the inner loop."""
    toy = (
        "--model.n_layer 1 --model.n_head 2 --model.n_embd 16 --model.vocab_size 64 --model.block_size 16 "
        f"--model.compile false --model.warmup_steps 3 --model.decay_steps 6 --steps_per_generation {STEPS} "
        f"--data.folder {shards} --data.batch_size 12 --data.micro_batch_size {4 if processes == 1 else 3} "
        "--data.validation_interval 4 --data.validation_tokens 160 --data.full_validation_tokens 800 "
        "--checkpoint.every 4 --trainer.accelerator cpu --trainer.log_every_n_steps 1 --trainer.precision 32-true"
    ).split()
    run = RunFolder(folder / "outer")
    outer = ["--config", str(ROOT / "outer.yaml"), *toy, "--generations", str(GENERATIONS)]
    found = [
        Task(f"generation {g}", run.root, run.kept(g), [*outer, "--generation", str(g)]) for g in range(GENERATIONS)
    ]
    for arm in ("Connectome", "NoConnectome"):
        connectome = ["--wiring.arm", arm, "--wiring.connectome", str(run.connectome(GENERATIONS - 1))]
        words = ["--config", str(ROOT / "inner.yaml"), *toy, *connectome]
        inner = RunFolder(folder / arm)
        found.append(Task(arm, inner.root, inner.final, words))
    return found


def campaign(folder: Path, processes: int, rng: random.Random, tally: Tally, *, rounds: int) -> None:
    """Disturb whole experiments until `rounds` kills have struck; compare each with the undisturbed one."""
    shards = folder / "shards"
    write_toy_shards(shards)
    straight = tasks(folder / "straight", shards, processes)
    durations = []
    for task in straight:
        task.run.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        life = Life(task, processes, cold=False, log=task.run.with_suffix(".log"))
        life.wait()
        durations.append(time.monotonic() - started)
        assert task.finished.is_file(), task.run.with_suffix(".log").read_text()[-3000:]
    aim = tally.total + rounds
    number = 0
    while tally.total < aim:
        place = folder / f"killed_{number}"
        place.mkdir()
        killed = tasks(place, shards, processes)
        for task, duration in zip(killed, durations, strict=True):
            disturb(task, processes, duration, rng, tally, kills=min(rng.randint(2, 4), aim - tally.total))
        for run in ("outer", "Connectome", "NoConnectome"):
            assert_same_run(folder / "straight" / run, place / run)
            assert_same_curves(folder / "straight" / run, place / run)
        print(f"      {processes} process(es): experiment {number} equals the undisturbed one", flush=True)
        shutil.rmtree(place)
        number += 1


def main() -> None:
    """Read the command line, kill, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50, help="kills that must have struck a living task, in all")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the ways")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="ranks; rounds are divided over them")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started, tally = time.monotonic(), Tally()
    with tempfile.TemporaryDirectory(prefix="faults_") as folder:
        for index, processes in enumerate(options.processes):
            rounds = options.rounds // len(options.processes) + (index < options.rounds % len(options.processes))
            rng = random.Random(f"{options.seed} {processes}")
            place = Path(folder) / f"processes_{processes}"
            campaign(place, processes, rng, tally, rounds=rounds)
    ways = ", ".join(f"{way}: {count}" for way, count in sorted(tally.kills.items()))
    print(
        f"survived {tally.total} kills ({ways}) in {tally.lives} lives, seed {options.seed}, "
        f"{time.monotonic() - started:.0f} s; the slowest end took {tally.slowest_end:.1f} s"
    )


if __name__ == "__main__":
    main()
