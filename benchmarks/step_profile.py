"""What the time of one compiled step is spent on, by torch.profiler."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.bare_loop import BareLoop
from benchmarks.preset import Preset, Variant
from benchmarks.progress import progress
from benchmarks.table import Table
from benchmarks.toy_corpus import write_shards

__all__ = ["step_profile"]

ROWS, STEPS, WARM_UP = 25, 3, 5


def step_profile(preset: Preset) -> Iterator[Table]:
    """One table: kernels of a GPU, or operators of a CPU, in order of the time in themselves."""
    case = preset.profile
    gpu = preset.device == "cuda"
    torch.compiler.reset()
    with tempfile.TemporaryDirectory() as name:
        variant = Variant(compile=True, masks=True)
        loop = BareLoop(case, variant, shard=write_shards(Path(name), case), device=preset.device)
        progress(f"profile: warm-up, {case}")
        loop.steps(WARM_UP)
        if gpu:
            torch.cuda.synchronize()
        progress("profile: steps")
        with profile(activities=[ProfilerActivity.CUDA if gpu else ProfilerActivity.CPU]) as record:
            loop.steps(STEPS)
            if gpu:
                torch.cuda.synchronize()
    taken = [(e.self_device_time_total if gpu else e.self_cpu_time_total, e) for e in record.key_averages()]
    taken = sorted(((time, event) for time, event in taken if time > 0), key=lambda pair: -pair[0])
    total = sum(time for time, _ in taken)
    table = Table(
        f"Profile of a step: {case}, {variant}",
        ["", "ms a step", "share", "calls a step"],
        note=f"Mean of {STEPS} steps. {len(taken)} kinds of kernels or operators take {total / 1e3 / STEPS:.1f} ms.",
    )
    for time, event in taken[:ROWS]:
        name = event.key.replace("|", "/")
        table.add(f"`{name[:90]}`", time / 1e3 / STEPS, f"{time / total:.1%}", event.count / STEPS)
    rest = sum(time for time, _ in taken[ROWS:])
    table.add("the rest", rest / 1e3 / STEPS, f"{rest / total:.1%}" if total else None, None)
    yield table
