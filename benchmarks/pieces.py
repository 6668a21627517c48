"""What the pieces around training cost: pruning, connectome files, random controls, opening shards.

python benchmarks/pieces.py --repeats 5
"""

import argparse
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch

from connectome import Connectome, load_connectome, prune_smallest, save_connectome
from datamodules.manifest import Manifest, ShardEntry, describe_part
from datamodules.token_shards import HEADER_BYTES, TokenShards, find_shards, write_shard
from lightning_modules.gpt import GPT, GPTConfig

Row = tuple[str, str, str, str]


class Times(NamedTuple):
    """Seconds of each repetition.

    Args:
        wall: by the clock on the wall; on a machine that is shared, others are in it.
        cpu: of this thread alone.
    """

    wall: list[float]
    cpu: list[float]


def seconds(action: Callable[[], object], repeats: int) -> Times:
    """How long each repetition takes, after one that is not counted."""
    action()
    times = Times([], [])
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.thread_time()
        action()
        times.wall.append(time.perf_counter() - wall)
        times.cpu.append(time.thread_time() - cpu)
    return times


def row(piece: str, times: Times, millions: float = 0.0, unit: str = "") -> Row:
    """A line of the table: medians of both clocks, and how much that is a second of CPU."""
    wall, cpu = statistics.median(times.wall), statistics.median(times.cpu)
    spread = f"{min(times.wall):.3f} to {max(times.wall):.3f}"
    return piece, f"{cpu:.3f} s", f"{wall:.3f} s ({spread})", f"{millions / cpu:,.0f} million {unit}/s" if unit else ""


def connectomes(size: str, repeats: int) -> list[Row]:
    """A generation's end at full size, and the file it leaves."""
    with torch.device("meta"):
        shapes = {name: weight.shape for name, weight in GPT(GPTConfig.named(size)).named_parameters()}  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    weights = {name: 0.02 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    dense = {name: torch.ones(shape, dtype=torch.bool) for name, shape in shapes.items()}
    millions = sum(shape.numel() for shape in shapes.values()) / 1e6

    def pruned(masks: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: prune_smallest(weight, masks[name], 0.2) for name, weight in weights.items()}

    kept = pruned(dense)
    for _ in range(4):
        kept = pruned(kept)
    connectome = Connectome.from_weights(weights, pruned(kept))
    name = f"{size}: "
    unit = "weights"
    rows = [
        row(name + "prune a fifth of dense weights", seconds(lambda: pruned(dense), repeats), millions, unit),
        row(name + "prune a fifth at density 0.328", seconds(lambda: pruned(kept), repeats), millions, unit),
        row(name + "Connectome.from_weights", seconds(lambda: Connectome.from_weights(weights, kept), repeats)),
        row(name + "Connectome.random_like", seconds(lambda: connectome.random_like(0), repeats)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generation_5.connectome"
        rows.append(row(name + "save_connectome", seconds(lambda: save_connectome(connectome, path), repeats)))
        rows.append(row(name + "load_connectome", seconds(lambda: load_connectome(path), repeats)))
        megabytes = path.stat().st_size / 1e6
    return [*rows, (f"{size}: file at density {connectome.density:.3f}", "", "", f"{megabytes:.1f} MB")]


def opening(repeats: int, *, shards: int = 100, tokens: int = 50_000_000) -> list[Row]:
    """A folder of 10 GB with its manifest, as a run opens it: sparse files, of which only headers and ends are read."""
    with tempfile.TemporaryDirectory() as folder:
        entries = []
        for index in range(shards):
            path = Path(folder) / f"large_{index:06d}.bin"
            write_shard(path, [0])
            with open(path, "r+b") as file:
                file.seek(8)
                file.write(tokens.to_bytes(4, "little"))
                file.truncate(HEADER_BYTES + 2 * tokens)
            entries.append(ShardEntry(path.name, tokens, 0, ""))
        Manifest("gpt2", 1, tuple(entries)).write(folder)

        def open_all() -> TokenShards:
            paths = find_shards(folder, ".")
            describe_part(paths)
            return TokenShards(paths, 1024)

        before = resident_mb()
        opened = open_all()
        memory = resident_mb() - before
        gigabytes = 2 * opened.n_tokens / 1e9
        times = seconds(open_all, repeats)
    return [
        row(f"open {shards} shards, {gigabytes:.0f} GB, with a manifest", times),
        ("memory that they then hold", "", "", f"{memory:.1f} MB resident"),
    ]


def resident_mb() -> float:
    """Memory of this process that lies in RAM, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5, help="Repetitions, of which the median counts.")
    parser.add_argument("--size", default="124M", choices=["124M", "417M"], help="Shape of the network.")
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    rows = [*opening(repeats), *connectomes(parser.parse_args().size, repeats)]
    print(f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}; one thread.\n")
    print("| piece | CPU time | wall clock (fastest to slowest) | |\n|---|---|---|---|")
    for cells in rows:
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
