"""`python cli.py evaluate`: evaluations of the weights that runs have kept along their training, as one table."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml

from callbacks.run_folder import RunFolder
from callbacks.stop_signal import TERMINATED
from figures.peaks import peaks, peaks_table
from figures.results import VALIDATION, Measurement, read_measurements
from figures.runs import OUTER, Run, find_runs
from figures.shown import write_rows

__all__ = ["evaluate", "kept_weights", "read_lines"]

Weights = Literal["all", "last"]


def evaluate(
    runs: Sequence[str],
    evaluations: str = "evaluations.yaml",
    weights: Weights = "all",
    again: bool = False,
    table: str = "evaluations.csv",
) -> None:
    """Evaluate what runs have kept along training, and write all their results as one tidy table.

    What has a result already is left out, so the same command goes on after an interruption, and several tasks may
    share the runs. An evaluation that fails is named at the end and does not keep the others from running.

    Args:
        runs: folders of runs, or of experiments with runs in them.
        evaluations: a YAML list of lines, each the words that would follow `cli.py test` but for the checkpoint.
        weights: all (snapshots, generations and final weights) or only the last of every run.
        again: evaluate also what has a result already.
        table: file for the table of these runs; tasks that share an experiment name one each. A line is one figure at
            one step: size, arm, seed, generation, step, task, variant, metric, value, interval, and what it rests on.

    Raises:
        FileNotFoundError: if a folder or the list of evaluations is not there, or a run has kept no weights.
        ValueError: if the list is not one of lines.
        RuntimeError: if an evaluation has failed; the others are done.
    """
    from evaluation import EvaluationCLI, classes_of

    lines = read_lines(evaluations)
    for name, *_ in lines:
        classes_of(name)  # an unknown name ends before anything runs
    found = find_runs(runs)
    kept = {run.folder: kept_weights(run) for run in found}
    if empty := [str(folder) for folder, files in kept.items() if not files]:
        raise FileNotFoundError(
            f"no weights to evaluate in {', '.join(empty)}: a run keeps them at its end, and along training with "
            "--keep.snapshot_every or --keep.snapshot_at"
        )
    failed = []
    for run in found:
        files = dict(list(kept[run.folder].items())[-1 if weights == "last" else 0 :])
        for words in lines:
            print(f"{run.folder}: {shlex.join(words)}, {len(files)} weights", flush=True)
            line = [*words, "--model.checkpoint", str(next(iter(files.values()))), "--trainer.devices", "1"]
            try:
                EvaluationCLI(line, checkpoints=files, again=again)
            except (ValueError, OSError, RuntimeError, SystemExit) as error:
                if isinstance(error, SystemExit) and error.code == TERMINATED:
                    raise
                failed.append(f"{run.folder}: {shlex.join(words)}: {error}")
    rows = [row for run in found for row in read_measurements(run, all_steps=True) if row.task != VALIDATION]
    write_rows(rows, Path(table), Measurement)
    if found_peaks := peaks(rows):
        print(peaks_table(found_peaks))
    print(f"written: {table}")
    if failed:
        raise RuntimeError("\n  ".join([f"{len(failed)} of {len(found) * len(lines)} evaluations failed:", *failed]))


def kept_weights(run: Run) -> dict[int, Path]:
    """Files of a run's weights by step, in order: snapshots, and the ends of generations or of the run."""
    folder = RunFolder(run.folder)
    snapshots = sorted((run.folder / "snapshots").glob("*.safetensors"))
    files = {int(path.stem): path for path in snapshots if path.stem.isdecimal()}
    ends = [folder.kept(g) for g in range(run.generations)] if run.arm == OUTER else [folder.final]
    files |= {run.steps * number: path for number, path in enumerate(ends, start=1) if path.is_file()}
    return dict(sorted(files.items()))


def read_lines(path: str) -> list[list[str]]:
    """The evaluations that a file lists, as words.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: if it is not a list of lines.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no list of evaluations {path}: give --evaluations FILE")
    content = yaml.safe_load(Path(path).read_text())
    if not isinstance(content, list) or not all(isinstance(line, str) and line for line in content):
        raise ValueError(
            f"{path} is to be a YAML list of lines such as `- natural_stories --data.folder data/natural_stories`"
        )
    return [shlex.split(line) for line in content]
