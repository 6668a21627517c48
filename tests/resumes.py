"""All the ways in which a run may be interrupted and resumed, as real processes with a given precision and compilation.

    python -m tests.resumes --processes 2 --precision bf16-mixed --compile

Every folder must in the end hold the same run as the undisturbed one. Processes are forked from one that has imported
everything and has computed nothing, as in `tests/faults.py`.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from callbacks.run_folder import RunFolder
from tests.faults import ROOT, Life, Task, write_toy_shards
from tests.same_run import assert_same_curves, assert_same_run

GENERATIONS, STEPS = 3, 6
WAYS = (
    "asked mid-accumulation",
    "killed mid-generation",
    "killed at a boundary",
    "one fit per generation",
    "from the connectome alone",
)


def interruption(**settings: object) -> list[str]:
    """Options that put an `Interruption` into a run."""
    options = ["--trainer.callbacks+=tests.interruption.Interruption"]
    return options + [f"--trainer.callbacks.{name}={value}" for name, value in settings.items()]


class Runs:
    """Starts of one toy outer loop, with a given precision and compilation."""

    def __init__(self, folder: Path, processes: int, precision: str, compile: bool) -> None:
        self.folder, self.processes = folder, processes
        write_toy_shards(folder / "shards")
        self.words = [
            "--config", str(ROOT / "outer.yaml"), "--generations", str(GENERATIONS), *(
                "--model.n_layer 1 --model.n_head 2 --model.n_embd 16 --model.vocab_size 64 --model.block_size 16 "
                f"--model.compile {str(compile).lower()} --model.warmup_steps 3 --model.decay_steps 2 "
                f"--steps_per_generation {STEPS} --data.folder {folder / 'shards'} --data.batch_size 12 "
                f"--data.micro_batch_size 3 --data.validation_interval 3 --data.validation_tokens 192 "
                "--data.full_validation_tokens 960 --checkpoint.every 3 --trainer.accelerator cpu "
                f"--trainer.log_every_n_steps 1 --trainer.precision {precision}"
            ).split(),
        ]  # fmt: skip

    def start(self, name: str, options: Sequence[str] = (), *, finishes: bool = True) -> RunFolder:
        """Run once, to the end or to the interruption that the options bring; no process may hang."""
        run = RunFolder(self.folder / name)
        task = Task(name, run.root, run.kept(GENERATIONS - 1), [*self.words, *options])
        log = self.folder / f"{name}.log"
        life = Life(task, self.processes, cold=False, log=log)
        assert life.wait(seconds=240), f"{name} hangs:\n{log.read_text()[-3000:]}"
        clean = not any(life.codes.values())
        assert clean or not finishes, f"{name} failed with {life.codes}:\n{log.read_text()[-3000:]}"
        return run


def main() -> None:
    """Read the command line, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="how the runs are interrupted")
    options = parser.parse_args()
    torch.set_num_threads(1)
    last = options.processes - 1  # a rank that is not always zero
    with tempfile.TemporaryDirectory(prefix="resumes_") as folder:
        runs = Runs(Path(folder), options.processes, options.precision, options.compile)
        straight = runs.start("straight")
        assert straight.kept(GENERATIONS - 1).is_file()
        interruptions = {
            "asked mid-accumulation": interruption(step=4, micro_batch=1, what="ask", rank=last),
            "killed mid-generation": interruption(step=10, what="kill", rank=last),
            "killed at a boundary": interruption(step=6, at="batch_end", what="kill"),
        }
        for way in options.ways:
            if way in interruptions:
                run = runs.start(way, interruptions[way], finishes=False)
                assert not run.kept(GENERATIONS - 1).exists(), f"{way}: not interrupted"
                run = runs.start(way)
            elif way == "one fit per generation":
                for generation in range(GENERATIONS):
                    run = runs.start(way, ["--generation", str(generation)])
            else:
                for generation in range(1, GENERATIONS):
                    parent = ["--generation", str(generation), "--parent", str(straight.connectome(0))]
                    run = runs.start(way, parent)
            compare(straight, run, way)


def compare(straight: RunFolder, run: RunFolder, way: str) -> None:
    """Everything equal, every point of every curve there once; without a generation 0, its later files equal."""
    if way == "from the connectome alone":
        for file in (RunFolder.connectome, RunFolder.kept):
            for generation in range(1, GENERATIONS):
                assert file(run, generation).read_bytes() == file(straight, generation).read_bytes()
    else:
        assert_same_run(straight.root, run.root)
        assert_same_curves(straight.root, run.root)
    print(f"equal: {way}")


if __name__ == "__main__":
    main()
