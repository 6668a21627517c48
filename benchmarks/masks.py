"""What the masks cost: one multiplication of all gradients, as a share of a dense step."""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.bare_loop import BareLoop
from benchmarks.meter import Meter, take_turns
from benchmarks.preset import Preset, Variant
from benchmarks.table import Table
from benchmarks.toy_corpus import write_shards
from callbacks.sparse_training import SparseTraining

__all__ = ["masks"]


def masks(preset: Preset) -> Iterator[Table]:
    """One table: a dense step, and what `SparseTraining` does before each."""
    case = preset.masks
    with tempfile.TemporaryDirectory() as name:
        loop = BareLoop(case, Variant(), shard=write_shards(Path(name), case), device=preset.device)
        sparse = SparseTraining()
        weights = [weight.detach().clone() for weight in loop.weights]
        for weight in weights:
            weight.grad = torch.ones_like(weight)
        sparse.names, sparse.weights = [str(index) for index in range(len(weights))], weights
        sparse.set_masks({name: torch.rand_like(w) < 0.8 for name, w in zip(sparse.names, weights, strict=True)})
        nothing: Any = None

        def multiply() -> None:
            for _ in range(preset.steps):
                sparse.on_before_optimizer_step(nothing, nothing, nothing)

        entries = {"dense step": lambda: loop.steps(preset.steps), "masks": multiply}
        taken, _ = take_turns(entries, Meter(preset.device), rounds=preset.rounds, what=f"masks, {case}")
    table = Table(
        f"Masks: {case}",
        ["", "ms", "share of a dense step"],
        note="Eager. Goals: 1.5 % for 30M and 256 tokens on a CPU; of 512 sequences, 0.1 % on an H200.",
    )
    milliseconds = {name: 1e3 * statistics.median(seconds) / preset.steps for name, seconds in taken.items()}
    for name, each in milliseconds.items():
        table.add(name, each, f"{each / milliseconds['dense step']:.2%}")
    full = milliseconds["masks"] / (milliseconds["dense step"] * 512 / case.sequences)
    table.add("masks, of a step of 512 sequences, computed", milliseconds["masks"], f"{full:.3%}")
    yield table
