#!/usr/bin/env python
"""One door to everything: `python cli.py VERB --help`.

fit        train: the outer loop with --config outer.yaml, the inner one with --config inner.yaml
validate   next-token loss of a checkpoint, snapshot or kept generation
test       one evaluation of a model: test NAME --model.checkpoint …; test --help lists them
compare    two models item by item, on the evaluations that both have
evaluate   evaluations of all weights that runs have kept along training, as one table
prepare    text -> token shards
report     runs -> the paper's figures, ours beside the authors', and all results on one page
connectome info | diff | random | graft | pack | plot: what a connectome is, and what it looks like
export     a model as a folder that transformers loads; --push uploads it
submit     what is left of an experiment, as SLURM job arrays; --dry_run shows the plan
"""

from callbacks import stop_signal

stop_signal.install()  # before torch is imported: a signal in those seconds must not kill the process

import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path


def prepare(args: Sequence[str]) -> None:
    """Text -> token shards."""
    from jsonargparse import ArgumentParser

    from datamodules.preparing.prepare import prepare

    logging.basicConfig(format="%(message)s")
    logging.getLogger("datamodules").setLevel(logging.INFO)
    parser = ArgumentParser(prog="cli.py prepare", description="Text, or other people's shards, into token shards.")
    parser.add_argument("--config", action="config", help="A YAML of these options.")
    parser.add_function_arguments(prepare, skip={"verify"})
    parser.add_argument(
        "--verify", action="store_true", help="only read the folder again, and hold it to its manifests"
    )
    options = parser.parse_args(list(args)).as_dict()
    prepare(**{name: value for name, value in options.items() if name != "config"})


def report(args: Sequence[str]) -> None:
    """Runs, or an earlier report, -> one page."""
    from jsonargparse import ArgumentParser

    from figures.report import report

    parser = ArgumentParser(prog="cli.py report", description="Draw runs, and write everything on one page.")
    parser.add_argument("runs", nargs="*", help="Folders of runs, or of experiments with runs in them.")
    parser.add_argument("--from", dest="again", default="", help="Folder of an earlier report, in place of runs.")
    parser.add_function_arguments(report, skip={"runs", "again"})
    options = parser.parse_args(list(args))
    report(options.runs or (), out=options.out, again=options.again)


def connectome(args: Sequence[str]) -> None:
    """What a connectome is and looks like, what two have in common, a random control, a graft, a smaller file."""
    from jsonargparse import ArgumentParser

    from connectome.description import diff, graft, info, pack, random
    from figures.anatomy import plot

    parser = ArgumentParser(prog="cli.py connectome", description="Look at connectomes.")
    subcommands = parser.add_subcommands(dest="verb")
    verbs: tuple[Callable[..., None], ...] = (info, diff, random, graft, pack, plot)
    for verb in verbs:
        options = ArgumentParser(description=(verb.__doc__ or "").split("\n")[0])
        if verb is plot:
            options.add_argument("files", nargs="+", help="Connectomes of one architecture.")
        options.add_function_arguments(verb, as_positional=True, skip={"files"})
        subcommands.add_subcommand(verb.__name__, options, help=options.description)
    given = parser.parse_args(list(args)).as_dict()
    next(verb for verb in verbs if verb.__name__ == given["verb"])(**given[given["verb"]])


def export(args: Sequence[str]) -> None:
    """A checkpoint -> a folder that transformers loads."""
    from jsonargparse import ArgumentParser

    from exchange.model_folder import export

    parser = ArgumentParser(prog="cli.py export", description="Write a model as a folder that transformers loads.")
    parser.add_argument("checkpoint", help="a run's .ckpt or .safetensors, or a published model's folder or Hub name")
    parser.add_function_arguments(export, skip={"checkpoint"})
    export(**parser.parse_args(list(args)).as_dict())


def submit(args: Sequence[str]) -> None:
    """An experiment -> SLURM job arrays. Words after two dashes go to both loops."""
    from jsonargparse import ArgumentParser

    from slurm.submit import submit

    words = list(args)
    end = words.index("--") if "--" in words else len(words)
    parser = ArgumentParser(
        prog="cli.py submit", description=submit.__doc__.split("Args:")[0] if submit.__doc__ else ""
    )
    parser.add_function_arguments(submit, skip={"options", "dry_run"})
    parser.add_argument("--dry_run", action="store_true", help="show the plan and submit nothing")
    given = parser.parse_args(words[:end])
    submit(words[end + 1 :], **given.as_dict())


def train(args: Sequence[str]) -> None:
    """LightningCLI: the verbs fit and validate."""
    from training import TrainingCLI

    TrainingCLI(args)


def test(args: Sequence[str]) -> None:
    """LightningCLI: one evaluation as a test loop."""
    from evaluation import EvaluationCLI, overview

    if not args or args[0] in ("-h", "--help"):
        print(overview())
    else:
        EvaluationCLI(args)


def evaluate(args: Sequence[str]) -> None:
    """Evaluations of everything that runs have kept -> one table."""
    from jsonargparse import ArgumentParser

    from along_training import evaluate

    parser = ArgumentParser(prog="cli.py evaluate", description="Evaluate the weights that runs have kept.")
    parser.add_argument("runs", nargs="+", help="Folders of runs, or of experiments with runs in them.")
    parser.add_function_arguments(evaluate, skip={"runs", "again"})
    parser.add_argument("--again", action="store_true", help="evaluate also what has a result already")
    evaluate(**parser.parse_args(list(args)).as_dict())


def compare(args: Sequence[str]) -> None:
    """Two models' tables of items -> paired differences."""
    from jsonargparse import ArgumentParser

    from comparison import compare

    parser = ArgumentParser(prog="cli.py compare", description="Compare two models item by item.")
    parser.add_function_arguments(compare, as_positional=True)
    compare(**parser.parse_args(list(args)).as_dict())


VERBS: dict[str, Callable[[Sequence[str]], None]] = {
    "fit": lambda args: train(["fit", *args]),
    "validate": lambda args: train(["validate", *args]),
    "test": test,
    "compare": compare,
    "evaluate": evaluate,
    "prepare": prepare,
    "report": report,
    "connectome": connectome,
    "export": export,
    "submit": submit,
}
STOP_AT_A_STEP = ("fit",)  # the other verbs may be ended at any moment


def main(args: Sequence[str] | None = None) -> int:
    """Run one verb; what a person did wrong ends in one message without a traceback.

    Args:
        args: words of the command line; those of the process if left out.

    Returns:
        The exit status.
    """
    verb, *rest = list(sys.argv[1:] if args is None else args) or ["--help"]
    if verb in ("-h", "--help"):
        print(__doc__)
        return 0
    if verb not in VERBS:
        print(f"error: there is no verb {verb!r}; known: {', '.join(VERBS)}", file=sys.stderr)
        return 2
    if verb not in STOP_AT_A_STEP:
        stop_signal.restore()
    try:
        VERBS[verb](rest)
    except (ValueError, OSError, RuntimeError) as error:
        if os.environ.get("CONNECTOMES_TRACEBACK") or not _raised_here(error):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _raised_here(error: BaseException) -> bool:
    """Whether the project itself raised it, and not a library in which something unforeseen went wrong."""
    home = Path(__file__).resolve().parent
    raised_in = Path(traceback.extract_tb(error.__traceback__)[-1].filename).resolve()
    return raised_in.is_relative_to(home) and "site-packages" not in raised_in.parts


if __name__ == "__main__":
    sys.exit(main())
