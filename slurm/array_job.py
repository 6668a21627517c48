"""One SLURM job array: what it runs, for which seeds, and what each of its tasks waits for."""

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ArrayJob", "SlurmError", "array_text"]


class SlurmError(RuntimeError):
    """SLURM is not there, or has refused something; the message says what and what to do."""


@dataclass(frozen=True, eq=False)
class ArrayJob:
    """An array whose index is the seed.

    Args:
        name: of the job in the queue.
        script: batch script.
        seeds: indices of the array.
        words: arguments of the script.
        environment: variables that the script reads.
        options: of sbatch.
        after: an array with these seeds; task s waits until its task s has succeeded, and goes if that cannot be.
        after_jobs: ids of jobs from elsewhere that must all have succeeded.
    """

    name: str
    script: str
    seeds: Sequence[int]
    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()
    after: "ArrayJob | None" = None
    after_jobs: str = ""

    def __post_init__(self) -> None:
        if self.after is not None and not set(self.seeds) <= set(self.after.seeds):
            raise ValueError(f"{self.name} waits task by task for {self.after.name}, which lacks some of its seeds")

    def sbatch(self, parent: str) -> list[str]:
        """The command that submits it.

        Args:
            parent: id of `after`, or its name where nothing is submitted.
        """
        kind, on = ("aftercorr", parent) if self.after is not None else ("afterok", self.after_jobs)
        waits = [f"--dependency={kind}:{on}", "--kill-on-invalid-dep=yes"] if on else []
        array = [f"--job-name={self.name}", f"--array={array_text(self.seeds)}", "--export=ALL"]
        return ["sbatch", "--parsable", *array, *waits, *self.options, self.script, *self.words]

    def command_line(self) -> str:
        """What a person would type, with the name of the array it waits for in place of its id."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*variables, shlex.join(self.sbatch(self.after.name if self.after else ""))])

    def submit(self, parent: str) -> str:
        """Submit it; its id.

        Raises:
            SlurmError: with SLURM's own words, if it is refused.
        """
        output = run_slurm(self.sbatch(parent), env=os.environ | dict(self.environment))
        return output.strip().split(";")[0]  # a federation adds the cluster's name


def array_text(seeds: Sequence[int]) -> str:
    """Indices as SLURM writes them: 0-2,5."""
    runs: list[list[int]] = []
    for seed in sorted(seeds):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def run_slurm(command: Sequence[str], **options: Any) -> str:
    """Standard output of a SLURM command.

    Raises:
        SlurmError: if it is not installed, or fails.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, **options)
    except FileNotFoundError as error:
        raise SlurmError(
            f"there is no {command[0]} here: submit from a login node of the cluster, or look at the plan with "
            "--dry_run"
        ) from error
    if done.returncode:
        raise SlurmError(f"{command[0]} refused {shlex.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
