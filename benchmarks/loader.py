"""Reading windows of tokens from the page cache, and the share of a step that waits for it."""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.bare_loop import BareLoop
from benchmarks.meter import Meter, take_turns
from benchmarks.preset import Preset, Variant
from benchmarks.table import Table
from benchmarks.toy_corpus import write_shards
from datamodules.token_shards import TokenShards, find_shards, write_shard
from datamodules.window_loader import TrainingWindows

__all__ = ["loader"]

FASTEST = 468_000  # tokens/s of llm.c on an H100: modded-nanogpt, records/track_1_short/2024-10-13_llmc
MICRO_BATCH, LENGTH = 16, 1024
BATCHES = 600  # of a turn: 9.8M tokens


def loader(preset: Preset) -> Iterator[Table]:
    """One table: tokens a second, and what a step waits for its batch."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index in range(2):
            tokens = np.random.default_rng(index).integers(0, 50257, 10_000_000, dtype=np.uint16)
            write_shard(folder / "reading" / f"{index}.bin", tokens)
        shards = TokenShards(find_shards(folder / "reading", "."), LENGTH)
        order = np.random.default_rng(0).permutation(len(shards))[: MICRO_BATCH * BATCHES]
        indices = np.split(order, range(MICRO_BATCH, len(order), MICRO_BATCH))
        windows = iter(TrainingWindows(shards, micro_batch_size=MICRO_BATCH, rank=0, world_size=1, seed=0))

        def read() -> None:
            for batch in indices:
                shards.read(batch)

        def load() -> None:
            for _ in indices:
                next(windows)

        entries = {
            f"TokenShards.read, {MICRO_BATCH} x {LENGTH}": read,
            f"TrainingWindows, {MICRO_BATCH} x {LENGTH}": load,
        }
        taken, _ = take_turns(entries, Meter("cpu"), rounds=preset.rounds, what="loader")
        case = preset.speed[-1][0]
        loop = BareLoop(case, Variant(), shard=write_shards(folder / "case", case), device=preset.device)
        meter = Meter(preset.device)
        steps, _ = take_turns({"step": loop.step}, meter, rounds=2, what=f"a step of {case}")
    table = Table(
        "Loader",
        ["", "tokens/s", "wait, share of a step"],
        note="From the page cache, one thread, CPU time. Goals: 100M tokens/s; less than 0.5 % of a step.",
    )
    count = len(order) * LENGTH
    for name, seconds in taken.items():
        rate = count / statistics.median(seconds)
        table.add(name, rate, None)
    if steps["step"]:
        step = statistics.median(steps["step"])
        table.add(f"the same, for an eager step of {case}", rate, f"{case.tokens / rate / step:.4%}")
    table.add(f"the same, at {FASTEST:,} tokens/s, the fastest published on one H100", rate, f"{FASTEST / rate:.4%}")
    yield table
