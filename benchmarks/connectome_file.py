"""What a connectome file costs: bytes against Shannon's bound, and the time and memory of writing and reading it.

python benchmarks/connectome_file.py --random 124M --evolved runs/demo/outer/seed_0/connectomes/generation_5.connectome
"""

import argparse
import platform
import resource
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch

from connectome import Connectome, independent_bits, load_connectome, save_connectome
from lightning_modules.gpt import GPT, GPTConfig

DENSITY = 0.8**6
CODERS: tuple[Literal["independent", "grouped"], ...] = ("independent", "grouped")


def random_connectome(size: str) -> Connectome:
    """Of the shape of a named network, with the density that six generations leave."""
    with torch.device("meta"):
        shapes = {name: weight.shape for name, weight in GPT(GPTConfig.named(size)).named_parameters()}  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    matrices = {}
    for name, shape in shapes.items():
        draw = rng.random(tuple(shape), np.float32)
        matrices[name] = torch.from_numpy((draw < DENSITY / 2).astype(np.int8) - (draw > 1 - DENSITY / 2))
    return Connectome(matrices, vars(GPTConfig.named(size)))  # type: ignore[arg-type]


def row(name: str, connectome: Connectome, coder: Literal["independent", "grouped"], path: Path) -> str:
    """A line of the table; the round trip is checked."""
    clocks = [(time.perf_counter(), time.process_time())]
    save_connectome(connectome, path, coder=coder)
    clocks.append((time.perf_counter(), time.process_time()))
    again = load_connectome(path)
    clocks.append((time.perf_counter(), time.process_time()))
    if any(not torch.equal(matrix, again.matrices[key]) for key, matrix in connectome.matrices.items()):
        raise AssertionError("what was read is not what was written")
    millions, size = connectome.n_weights / 1e6, path.stat().st_size
    bound = independent_bits(connectome)
    speeds = [
        f"{millions / (later[clock] - earlier[clock]):.1f}" for earlier, later in pairwise(clocks) for clock in (0, 1)
    ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    cells = [
        name,
        coder,
        f"{millions:.2f}",
        f"{connectome.density:.3f}",
        f"{size:,}",
        f"{8 * size / millions / 1e6:.4f}",
    ]
    cells += [f"{bound / millions / 1e6:.4f}", f"{100 * (8 * size / bound - 1):+.2f} %"]
    cells += [f"{speeds[0]} ({speeds[1]})", f"{speeds[2]} ({speeds[3]})", f"{peak:,.0f}"]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--random", nargs="*", default=[], choices=["124M", "417M"], help="Shapes of random connectomes."
    )
    parser.add_argument(
        "--evolved", nargs="*", default=[], help="Files of evolved ones; each also as its random control."
    )
    parser.add_argument("--coder", nargs="*", default=CODERS, choices=CODERS, help="Which coders.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"Python {platform.python_version()}, numpy {np.__version__}.\n")
    print(
        "| connectome | coder | million weights | density | bytes | bits a weight | bound | above it "
        "| saved, M weights/s wall (CPU) | loaded | peak MB |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.connectome"
        for size in options.random:
            connectome = random_connectome(size)
            for coder in options.coder:
                print(row(f"random, {size}", connectome, coder, path), flush=True)
        for name in options.evolved:
            evolved = load_connectome(name)
            for kind, each in ((name, evolved), (f"{name}: random control", evolved.random_like(0))):
                for coder in options.coder:
                    print(row(kind, each, coder, path), flush=True)


if __name__ == "__main__":
    main()
