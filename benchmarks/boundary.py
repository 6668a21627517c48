"""What checkpoints, validation and pruning cost of a full generation at 124M: the pieces measured, the share computed.

    OMP_NUM_THREADS=1 python benchmarks/boundary.py --folder /where/checkpoints/go

A generation is 7,000 steps of 512 sequences of 1,024 tokens in 42 minutes (8 A100s at 50 % of their peak). The pieces
are written to FOLDER, so its disk is the one that counts. Validation is not run, but counted: a token of it costs a
third of one of training, which goes backward as well.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from callbacks.checkpoint_io import AtomicCheckpointIO
from callbacks.run_folder import RunFolder
from callbacks.sparse_training import pack
from connectome import Connectome, Provenance, prune_smallest, save_connectome
from lightning_modules.gpt import GPT, GPTConfig
from lightning_modules.weights import write_weights

GENERATION = 42 * 60.0  # seconds
STEPS, EVERY = 7000, 1000  # optimizer steps of a generation, and between two checkpoints
TRAINING_TOKENS = STEPS * 512 * 1024
VALIDATION_TOKENS = (STEPS // 250 - 1) * 1_638_400 + 10_485_760  # every 250 steps, the last time in full


def pieces(folder: Path) -> dict[str, tuple[int, Callable[[], object]]]:
    """Pieces by name: how often each happens in a generation, and a function that does it."""
    torch.manual_seed(0)
    net = GPT(GPTConfig())
    weights = dict(net.named_parameters())
    moments = {
        index: {"step": torch.tensor(1.0), "exp_avg": torch.rand_like(w), "exp_avg_sq": torch.rand_like(w)}
        for index, w in enumerate(weights.values())
    }
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
    checkpoint = {
        "state_dict": {f"net.{name}": weight.detach() for name, weight in weights.items()},
        "optimizer_states": [{"state": moments, "param_groups": []}],
        "callbacks": {"GenerationalPruning": {"masks": {name: pack(mask) for name, mask in masks.items()}}},
    }
    run = RunFolder(folder)
    step = iter(range(10**6))

    def save() -> None:
        AtomicCheckpointIO().save_checkpoint(checkpoint, run.checkpoint(next(step)))
        for old in list(run.checkpoints().values())[3:]:
            old.unlink()

    def prune() -> None:
        with torch.no_grad():
            kept = {name: prune_smallest(weight, masks[name], 0.2) for name, weight in weights.items()}
            heir = Connectome.from_weights(weights, kept, architecture=vars(net.config), provenance=Provenance())
        save_connectome(heir, run.connectome(0))

    return {
        "full checkpoint, 1.5 GB": (STEPS // EVERY, save),
        "prune and write the connectome": (1, prune),
        "kept weights, 0.5 GB": (1, lambda: write_weights(run.kept(0), net, {})),
    }


def main() -> None:
    """Print the rows of a table, and the share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--folder", default=None, help="a new folder in it takes the files; the system's own if left out"
    )
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    total = GENERATION * VALIDATION_TOKENS / TRAINING_TOKENS / 3
    print("| piece | times | wall clock each, median (fastest to slowest) | CPU time each | share of 42 minutes |")
    print("|---|---|---|---|---|")
    tokens = f"validation, {VALIDATION_TOKENS / 1e6:.1f}M tokens, computed"
    print(f"| {tokens} | 1 | {total:.1f} s | | {total / GENERATION:.2%} |")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for name, (times, action) in pieces(Path(folder)).items():
            action()  # the first one makes folders and touches memory
            walls, cpus = [], []
            for _ in range(options.repeats):
                wall, cpu = time.perf_counter(), time.process_time()
                action()
                walls.append(time.perf_counter() - wall)
                cpus.append(time.process_time() - cpu)
            wall = statistics.median(walls)
            total += times * wall
            spread = f"{wall:.2f} s ({min(walls):.2f} to {max(walls):.2f})"
            share = times * wall / GENERATION
            print(f"| {name} | {times} | {spread} | {statistics.median(cpus):.2f} s | {share:.2%} |", flush=True)
    print(f"| all together | | {total:.1f} s | | {total / GENERATION:.2%} |")
    spare = (0.02 * GENERATION - total) / (STEPS // EVERY)
    print(f"\nIt would be 2 % if a checkpoint took {abs(spare):.1f} s {'longer' if spare > 0 else 'less'}.")


if __name__ == "__main__":
    main()
