"""Which arrays are left to run of an experiment, by the files that its finished parts have left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slurm.array_job import ArrayJob

__all__ = ["EVALUATIONS", "Experiment", "Resources", "plan"]

# Evaluations of a finished run: name, and the words after `python cli.py`. {weights} stands for the file,
# {settings} for the data and the precision of the run, {run} for its folder. What is printed goes to
# RUN/evaluations/<name>.txt.
EVALUATIONS = {
    "validation": "validate --model.checkpoint {weights} {settings}",
}


@dataclass(frozen=True)
class Resources:
    """What SLURM is asked for.

    Args:
        training: options of sbatch for a training job.
        evaluation: options of sbatch for an evaluation.
        environment: variables for all of them.
        first: ids of jobs that must have succeeded before anything starts.
    """

    training: Sequence[str]
    evaluation: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    first: str = ""


@dataclass(frozen=True)
class Experiment:
    """One outer loop and several arms of the inner loop, for several seeds.

    Args:
        folder: of its runs: `outer/seed_<s>` and `inner/<arm>/seed_<s>`.
        name: with which the names of its jobs begin.
        seeds: of the runs.
        generations: of the outer loop.
        arms: of the inner loop.
        outer: words for `cli.py fit` in the outer loop.
        inner: words for `cli.py fit` in the inner loop.
        settings: words for the evaluations of outer and inner runs: their data and precision.
    """

    folder: Path
    name: str
    seeds: Sequence[int]
    generations: int
    arms: Sequence[str]
    outer: Sequence[str]
    inner: Sequence[str]
    settings: Mapping[str, Sequence[str]]

    def run(self, loop: str, seed: int | str = "{seed}") -> Path:
        """Folder of a run; of `outer`, or of an arm."""
        return self.folder / ("outer" if loop == "outer" else f"inner/{loop}") / f"seed_{seed}"

    def last_weights(self, loop: str, seed: int | str = "{seed}") -> Path:
        """The file that a finished run has written last."""
        kept = f"generations/{self.generations - 1}.safetensors" if loop == "outer" else "final.safetensors"
        return self.run(loop, seed) / kept

    def first_left(self, seed: int) -> int:
        """The generation with which the outer loop of a seed goes on; the number of generations if it is finished."""
        kept = [(self.run("outer", seed) / f"generations/{g}.safetensors").is_file() for g in range(self.generations)]
        return self.generations if kept[-1] else next(g for g, there in enumerate(kept) if not there)


def plan(experiment: Experiment, resources: Resources, evaluations: Mapping[str, str] = EVALUATIONS) -> list[ArrayJob]:
    """The arrays that are left, each after the one it waits for.

    Seeds that have come equally far share a chain, so that each array waits for one of the same seeds.
    """
    jobs: list[ArrayJob] = []
    chains: dict[int, list[int]] = {}
    for seed in experiment.seeds:
        chains.setdefault(experiment.first_left(seed), []).append(seed)
    for first, seeds in sorted(chains.items()):
        last = None
        for generation in range(first, experiment.generations):
            last = ArrayJob(
                name=f"{experiment.name}.outer.{generation}",
                script="slurm/outer.sbatch",
                seeds=seeds,
                words=experiment.outer,
                environment={
                    **resources.environment,
                    "RUN": str(experiment.run("outer")),
                    "GENERATION": str(generation),
                },
                options=resources.training,
                after=last,
                after_jobs=resources.first,
            )
            jobs.append(last)
        jobs += _evaluate(experiment, resources, evaluations, "outer", seeds, last)
        for arm in experiment.arms:
            left = [seed for seed in seeds if not experiment.last_weights(arm, seed).is_file()]
            parent = None if arm == "NoConnectome" else last  # dense: it inherits from nobody
            trained = None
            if left:
                trained = ArrayJob(
                    name=f"{experiment.name}.{arm}",
                    script="slurm/inner.sbatch",
                    seeds=left,
                    words=experiment.inner,
                    environment={**resources.environment, "RUN": str(experiment.run(arm)), "ARM": arm},
                    options=resources.training,
                    after=parent,
                    after_jobs=resources.first,
                )
                jobs.append(trained)
            done = [seed for seed in seeds if seed not in left]
            jobs += _evaluate(experiment, resources, evaluations, arm, left, trained)
            jobs += _evaluate(experiment, resources, evaluations, arm, done, None)
    return jobs


def _evaluate(
    experiment: Experiment,
    resources: Resources,
    evaluations: Mapping[str, str],
    loop: str,
    seeds: Sequence[int],
    trained: ArrayJob | None,
) -> list[ArrayJob]:
    """Evaluations of the last weights of `seeds`, which the array `trained` makes, or which are there."""
    jobs = []
    for name, line in evaluations.items():
        left = [s for s in seeds if trained or not (experiment.run(loop, s) / f"evaluations/{name}.txt").is_file()]
        words: list[str] = []
        for word in line.split():
            if word == "{settings}":
                words += experiment.settings["outer" if loop == "outer" else "inner"]
            else:
                word = word.replace("{weights}", str(experiment.last_weights(loop)))
                words.append(word.replace("{run}", str(experiment.run(loop))))
        if left:
            jobs.append(
                ArrayJob(
                    name=f"{experiment.name}.{loop}.{name}",
                    script="slurm/evaluate.sbatch",
                    seeds=left,
                    words=words,
                    environment={
                        **resources.environment,
                        "RESULT": str(experiment.run(loop) / f"evaluations/{name}.txt"),
                    },
                    options=resources.evaluation,
                    after=trained,
                    after_jobs=resources.first,
                )
            )
    return jobs
