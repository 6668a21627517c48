"""`python cli.py submit`: what is left of an experiment, as chained job arrays."""

import contextlib
import getpass
import io
import re
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import yaml

from slurm.array_job import ArrayJob, SlurmError, array_text, run_slurm
from slurm.plan import EVALUATIONS, Experiment, Resources, plan

__all__ = ["submit"]

ROOT = Path(__file__).resolve().parents[1]
# What an evaluation takes over from its run's configuration.
DATA = ("folder", "validation", "micro_batch_size", "validation_tokens", "full_validation_tokens", "tokenizer")
TRAINER = ("accelerator", "precision")
WIDTH = 140  # characters of a line of the plan; the commands below it are whole


def submit(
    options: Sequence[str] = (),
    *,
    experiment: str = "paper",
    seeds: int = 1,
    first_seed: int = 0,
    outer: str = "outer.yaml",
    inner: str = "inner.yaml",
    arms: Sequence[str] = ("Connectome", "RandomConnectome", "NoConnectome"),
    runs: str = "runs",
    nodes: int = 1,
    gpus: int = 8,
    processes: int | None = None,
    sbatch: str = "",
    sbatch_evaluate: str | None = None,
    setup: str = "",
    evaluations: str = "",
    after: str = "",
    dry_run: bool = False,
) -> None:
    """Submit what is left of an experiment to SLURM: the outer loop, the arms of the inner loop, and the evaluations.

    Each generation is one job array whose index is the seed, and each task waits for its own seed's generation before
    (aftercorr). So do the arms, after the last generation, and the evaluations, after the run that they are of. A task
    that is preempted or runs out of time goes on by itself. Finished parts are known by their last files, so the same
    command again submits what is left. Options for both loops follow after two dashes: ... -- --model.size 417M

    For five seeds on nodes of 8 A100s:

        python cli.py submit --seeds 5 --gpus 8 --dry_run --setup 'module load cuda' \
            --sbatch='--partition=a100 --account=lab --time=02:00:00 --cpus-per-task=8 --mem=100G'

    Args:
        options: words of `cli.py fit` for both loops.
        experiment: name; its runs are RUNS/EXPERIMENT/outer/seed_<s> and RUNS/EXPERIMENT/inner/<arm>/seed_<s>.
        seeds: number of seeds.
        first_seed: the first of them.
        outer: configuration of the outer loop.
        inner: configuration of the inner loop.
        arms: of the inner loop: Connectome, RandomConnectome, NoConnectome, or those that take a connectome apart; an
            empty list for the outer loop alone.
        runs: folder of all experiments.
        nodes: nodes of a training job.
        gpus: GPUs of each node, with one process each; an evaluation takes one.
        processes: processes on each node, where that is not the number of GPUs.
        sbatch: further options of sbatch, in one string: partition, account, time, memory, CPUs. They win over ours.
        sbatch_evaluate: the same for evaluations; those of training if left out.
        setup: command that every job runs first, such as 'module load cuda'.
        evaluations: a list of evaluations, such as evaluations.yaml: every finished run then gets a job that runs them
            on all the weights that it has kept. None by default, since they need data of their own.
        after: ids of jobs, joined by colons, that must have succeeded before, as those of slurm/prepare.sbatch.
        dry_run: show the plan and submit nothing.

    Raises:
        ValueError: if a number, a name or a configuration is wrong.
        FileNotFoundError: if a configuration or the token shards are not there.
        SlurmError: if SLURM is not there or refuses a job.
    """
    if min(seeds, nodes) < 1 or min(gpus, first_seed) < 0 or (processes is not None and processes < 1):
        raise ValueError(
            "--seeds, --nodes and --processes are 1 or more, --gpus and --first_seed 0 or more; found "
            f"{seeds}, {nodes}, {processes}, {gpus} and {first_seed}"
        )
    if not re.fullmatch(r"[\w-]+", experiment):
        raise ValueError(f"an experiment's name is made of letters, digits, - and _; found {experiment!r}")
    if Path.cwd().resolve() != ROOT:
        raise ValueError(f"jobs start in the folder from which they are submitted: run this from {ROOT}")
    per_node = processes or max(gpus, 1)
    folder = Path(runs) / experiment
    found = _read_experiment(folder, experiment, range(first_seed, first_seed + seeds), outer, inner, arms, options)
    _check(found[1], nodes * per_node, shards_must_be_there=not after)
    shape = [f"--nodes={nodes}", f"--ntasks-per-node={per_node}"]
    log = f"--output={folder}/slurm/%x-%A_%a.out"
    graphics = [f"--gpus-per-node={gpus}"] if gpus else []
    last = shlex.split(sbatch if sbatch_evaluate is None else sbatch_evaluate)
    resources = Resources(
        training=[*shape, *graphics, log, *shlex.split(sbatch)],
        evaluation=["--nodes=1", "--ntasks-per-node=1", *(["--gpus-per-node=1"] if gpus else []), log, *last],
        environment={"SETUP": setup} if setup else {},
        first=after,
    )
    jobs = plan(found[0], resources, EVALUATIONS | _along_training(evaluations))
    if not jobs:
        print(f"{folder} is finished: nothing is left to submit")
        return
    print(_table(jobs))
    if dry_run:
        print("\nNothing was submitted. The commands, in which a name stands for the id of the job:\n")
        print("\n\n".join(job.command_line() for job in jobs))
        return
    _refuse_twice(experiment)
    (folder / "slurm").mkdir(parents=True, exist_ok=True)
    ids = _submit_all(jobs)
    print(
        f"\nsubmitted {len(ids)} arrays: {' '.join(ids)}\n\n"
        f"watch    squeue --me --array --sort=i --format='%.18i %.40j %.12T %.10M %R'\n"
        f"         tail -F {folder}/slurm/*.out\n"
        f"losses   python cli.py report {folder}\n"
        f"stop     scancel {' '.join(ids)}\n"
        f"go on    the same command again: it submits what is left"
    )


def _read_experiment(
    folder: Path,
    name: str,
    seeds: Sequence[int],
    outer: str,
    inner: str,
    arms: Sequence[str],
    options: Sequence[str],
) -> tuple[Experiment, dict[str, Any]]:
    """The experiment, and its two configurations as `fit` will read them."""
    from callbacks.inherit_connectome import Arm

    unknown = sorted(set(arms) - set(get_args(Arm)))
    if unknown:
        raise ValueError(f"unknown arms {unknown}; known: {', '.join(get_args(Arm))}")
    words = {"outer": ["--config", outer, *options]}
    configurations = {"outer": _read_configuration(words["outer"])}
    generations = configurations["outer"]["generations"]
    if arms:
        connectome = folder / f"outer/seed_{{seed}}/connectomes/generation_{generations - 1}.connectome"
        words["inner"] = ["--config", inner, *options, "--generations", "1", "--wiring.connectome", str(connectome)]
        configurations["inner"] = _read_configuration([*words["inner"], "--wiring.arm", arms[0]])
    experiment = Experiment(
        folder=folder,
        name=name,
        seeds=seeds,
        generations=generations,
        arms=arms,
        outer=words["outer"],
        inner=words.get("inner", []),
        settings={loop: _settings(configuration) for loop, configuration in configurations.items()},
    )
    return experiment, configurations


def _read_configuration(words: Sequence[str]) -> dict[str, Any]:
    """What `fit` makes of these words: files, options and defaults together. It ends the process if they are wrong."""
    from training import TrainingCLI

    path = words[1]
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no configuration {path}")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning would rather read the words of this process
        try:
            TrainingCLI(["fit", *words, "--print_config"])
        except SystemExit as end:
            if end.code:
                raise ValueError(f"`python cli.py fit {shlex.join(words)}` is not understood, see above") from end
    return yaml.safe_load(printed.getvalue())


def _settings(configuration: dict[str, Any]) -> list[str]:
    """Options of `validate` that make it read the data of a run, with its precision."""
    data = {f"data.{key}": configuration["data"][key] for key in DATA}
    trainer = {f"trainer.{key}": configuration["trainer"][key] for key in TRAINER}
    return [f"--{key}={value}" for key, value in (data | trainer | {"trainer.devices": 1}).items()]


def _check(configurations: dict[str, Any], world_size: int, *, shards_must_be_there: bool) -> None:
    """Find out now what would end every job after hours in the queue."""
    from datamodules.fineweb import accumulation
    from datamodules.token_shards import find_shards

    for configuration in configurations.values():
        data = configuration["data"]
        micro_batch = data["micro_batch_size"]  # which `auto` is, the node decides; one divides if any number does
        accumulation(data["batch_size"], 1 if micro_batch == "auto" else micro_batch, world_size)
        if shards_must_be_there:
            for part in ("train", "validation"):
                find_shards(data["folder"], data[part])


def _along_training(path: str) -> dict[str, str]:
    """The evaluation of everything that a run has kept, if a list of evaluations is given and is one."""
    if not path:
        return {}
    from along_training import read_lines

    read_lines(path)
    return {"along_training": f"evaluate {{run}} --evaluations {path} --table {{run}}/evaluations/table.csv"}


def _refuse_twice(experiment: str) -> None:
    """Two jobs on one run folder would only stop each other."""
    names = run_slurm(["squeue", "--noheader", f"--user={getpass.getuser()}", "--format=%i %j"]).splitlines()
    there = [line for line in names if line.split(maxsplit=1)[1].startswith(f"{experiment}.")]
    if there:
        ids = " ".join(dict.fromkeys(line.split("_")[0].split()[0] for line in there))
        raise SlurmError(
            f"jobs of {experiment!r} are in the queue ({', '.join(there)}): let them finish, or `scancel {ids}` first"
        )


def _submit_all(jobs: Sequence[ArrayJob]) -> list[str]:
    ids: dict[ArrayJob, str] = {}
    for job in jobs:
        try:
            ids[job] = job.submit(ids[job.after] if job.after else "")
        except SlurmError as error:
            so_far = " ".join(ids.values())
            hint = f". Submitted before it, and waiting: `scancel {so_far}` takes them back" if ids else ""
            raise SlurmError(f"{error}{hint}") from error
        print(f"{ids[job]:>10}  {job.name}")
    return list(ids.values())


def _table(jobs: Sequence[ArrayJob]) -> str:
    """One line per array: its name, its seeds, what it waits for, what it runs."""
    rows = [("job", "seeds", "each seed waits for", "runs")]
    for job in jobs:
        waits = job.after.name if job.after else (f"jobs {job.after_jobs}" if job.after_jobs else "-")
        rows.append((job.name, array_text(job.seeds), waits, f"{job.script} {' '.join(job.words)}"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ("  ".join([*(f"{c:{w}}" for c, w in zip(row[:3], widths, strict=True)), row[3]]) for row in rows)
    return "\n".join(line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in lines)
