"""What checkpoints, validation and pruning cost of a full generation at 124M: pieces measured, the share computed.

A generation is 7,000 steps of 512 sequences of 1,024 tokens in 42 minutes (8 A100s at 50 % of their peak). The files
are written to `folder`, so its disk is the one that counts. Validation is not run, but counted: a token of it costs a
third of one of training, which goes backward as well.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from benchmarks.preset import Preset
from benchmarks.progress import progress
from benchmarks.table import Table
from callbacks.checkpoint_io import AtomicCheckpointIO
from callbacks.run_folder import RunFolder
from callbacks.sparse_training import pack
from connectome import Connectome, Provenance, prune_smallest, save_connectome
from lightning_modules.gpt import GPT, GPTConfig
from lightning_modules.weights import write_weights

__all__ = ["checkpoint"]

GENERATION = 42 * 60.0  # seconds
STEPS, EVERY = 7000, 1000  # optimizer steps of a generation, and between two checkpoints
TRAINING_TOKENS = STEPS * 512 * 1024
VALIDATION_TOKENS = (STEPS // 250 - 1) * 1_638_400 + 10_485_760  # every 250 steps, the last time in full


def checkpoint(preset: Preset, folder: Path | None = None) -> Iterator[Table]:
    """One table: pieces of a generation that are not training."""
    table = Table(
        "Checkpoints, validation and pruning of a generation",
        ["", "times", "s each, median (fastest to slowest)", "CPU s each", "share of 42 minutes"],
    )
    total = GENERATION * VALIDATION_TOKENS / TRAINING_TOKENS / 3
    tokens = f"validation, {VALIDATION_TOKENS / 1e6:.1f}M tokens, computed"
    table.add(tokens, 1, f"{total:.1f}", None, f"{total / GENERATION:.2%}")
    with tempfile.TemporaryDirectory(dir=folder) as name:
        for piece, (times, action) in pieces(Path(name), preset.checkpoint).items():
            walls, cpus = [], []
            for repeat in range(4):  # the first makes folders and touches memory
                progress(f"checkpoint: {piece}, {repeat} of 3")
                wall, cpu = time.perf_counter(), time.process_time()
                action()
                walls.append(time.perf_counter() - wall)
                cpus.append(time.process_time() - cpu)
            wall = statistics.median(walls[1:])
            total += times * wall
            spread = f"{wall:.2f} ({min(walls[1:]):.2f} to {max(walls[1:]):.2f})"
            table.add(piece, times, spread, statistics.median(cpus[1:]), f"{times * wall / GENERATION:.2%}")
    table.add("all together", None, f"{total:.1f}", None, f"{total / GENERATION:.2%}")
    spare = (0.02 * GENERATION - total) / (STEPS // EVERY)
    table.note = (
        f"Files in {'the folder named' if folder else 'the temporary folder'}. The goal, 2 % at most, would be met "
        f"exactly if a checkpoint took {abs(spare):.1f} s {'longer' if spare > 0 else 'less'}."
    )
    yield table


def pieces(folder: Path, shape: GPTConfig) -> dict[str, tuple[int, Callable[[], object]]]:
    """Pieces by name: how often each happens in a generation, and a function that does it."""
    torch.manual_seed(0)
    net = GPT(shape)
    weights = dict(net.named_parameters())
    moments = {
        index: {"step": torch.tensor(1.0), "exp_avg": torch.rand_like(w), "exp_avg_sq": torch.rand_like(w)}
        for index, w in enumerate(weights.values())
    }
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
    content = {
        "state_dict": {f"net.{name}": weight.detach() for name, weight in weights.items()},
        "optimizer_states": [{"state": moments, "param_groups": []}],
        "callbacks": {"GenerationalPruning": {"masks": {name: pack(mask) for name, mask in masks.items()}}},
    }
    run = RunFolder(folder)
    step = iter(range(10**6))
    gigabytes = sum(4 * weight.numel() for weight in weights.values()) / 1e9

    def save() -> None:
        AtomicCheckpointIO().save_checkpoint(content, run.checkpoint(next(step)))
        for old in list(run.checkpoints().values())[3:]:
            old.unlink()

    def prune() -> None:
        with torch.no_grad():
            kept = {name: prune_smallest(weight, masks[name], 0.2) for name, weight in weights.items()}
            heir = Connectome.from_weights(weights, kept, architecture=vars(net.config), provenance=Provenance())
        save_connectome(heir, run.connectome(0))

    return {
        f"full checkpoint, {3 * gigabytes:.1f} GB": (STEPS // EVERY, save),
        "prune and write the connectome": (1, prune),
        f"kept weights, {gigabytes:.1f} GB": (1, lambda: write_weights(run.kept(0), net, {})),
    }
