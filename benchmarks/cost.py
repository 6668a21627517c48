"""What the whole experiment costs in time and disk, computed from published speeds: the page docs/cost.md."""

from pathlib import Path
from textwrap import fill
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
import yaml

from callbacks.throughput import PEAK_FLOPS, flops_per_token
from lightning_modules.gpt import GPT, GPTConfig, Size

__all__ = ["cost_page"]

ROOT = Path(__file__).resolve().parents[1]
SIZES: tuple[Size, ...] = ("124M", "417M")
SEEDS, ARMS = 4, 3
KEPT_CHECKPOINTS = 3  # callbacks.RollingCheckpoint


class Speed(NamedTuple):
    """Tokens a second for 124M, all GPUs together, and where that comes from.

    Args:
        name: of the column.
        tokens_per_second: of all GPUs.
        gpus: how many.
        peak: FLOP/s of one; None if it is not known.
    """

    name: str
    tokens_per_second: float
    gpus: int | None
    peak: float | None


PUBLISHED = (
    Speed("8 A100, as nanoGPT", 8 * 109_000, 8, PEAK_FLOPS["A100"]),
    Speed("8 A100, as build-nanogpt", 8 * 182_000, 8, PEAK_FLOPS["A100"]),
    Speed("8 A100, as llm.c", 8 * 218_000, 8, PEAK_FLOPS["A100"]),
    Speed("one H200, as modded-nanogpt on an H100", 462_000, 1, PEAK_FLOPS["H200"]),
)


class Loop(NamedTuple):
    """What a configuration asks for.

    Args:
        generations: how many.
        steps: optimizer steps of each.
        sequences: of a step.
        snapshots: weights kept along the way.
    """

    generations: int
    steps: int
    sequences: int
    snapshots: int

    @classmethod
    def of(cls, file: str) -> "Loop":
        """Of outer.yaml or inner.yaml."""
        config: dict[str, Any] = yaml.safe_load((ROOT / file).read_text())
        keep, steps = config.get("keep", {}), config["steps_per_generation"]
        every = keep.get("snapshot_every", 0)
        snapshots = set(keep.get("snapshot_at", [])) | set(range(every, steps + 1, every) if every else [])
        return cls(config["generations"], steps, config["data"]["batch_size"], len(snapshots))

    def tokens(self, config: GPTConfig) -> int:
        """Of one generation."""
        return self.steps * self.sequences * config.block_size

    def gigabytes(self, weights: int) -> float:
        """Of a finished run: full checkpoints, kept weights, snapshots, connectomes at two bits a weight."""
        checkpoint = (12 + 1 / 8) * weights  # float32 weights and two moments; a bit of mask
        kept = self.generations + self.snapshots
        return (KEPT_CHECKPOINTS * checkpoint + kept * 4 * weights + self.generations * weights / 4) / 1e9


def cost_page(tokens_per_second: float | None = None) -> str:
    """The page, with a column for a reader's own speed, if it is given.

    Args:
        tokens_per_second: of all GPUs together, as measured for 124M.
    """
    own = [Speed("yours", tokens_per_second, None, None)] if tokens_per_second else []
    outer, inner = Loop.of("outer.yaml"), Loop.of("inner.yaml")
    parts = [
        HEAD.format(
            generations=outer.generations,
            steps=outer.steps,
            inner=inner.steps,
            sequences=outer.sequences,
            tokens=outer.tokens(GPTConfig()) / 1e9,
            inner_tokens=inner.tokens(GPTConfig()) / 1e9,
            seeds=SEEDS,
            arms=ARMS,
            runs=SEEDS * ARMS,
        )
    ]
    parts += [size_section(size, [*PUBLISHED, *own], outer, inner) for size in SIZES]
    return "\n".join(parts)


def size_section(size: Size, speeds: list[Speed], outer: Loop, inner: Loop) -> str:
    """Heading, FLOPs, table of times and a line about the disk, for one size."""
    config = GPTConfig.named(size)
    with torch.device("meta"):
        net = GPT(config)
    weights = sum(weight.numel() for weight in net.parameters())
    flops, base = flops_of(config), flops_of(GPTConfig())
    rows: dict[str, list[str]] = {}

    def add(name: str, cell: str) -> None:
        rows.setdefault(name, []).append(cell)

    for speed in speeds:
        rate = speed.tokens_per_second * base / flops  # at the same share of the peak
        generation, arm = outer.tokens(config) / rate, inner.tokens(config) / rate
        everything = SEEDS * (outer.generations * generation + ARMS * arm)
        add("tokens/s of all GPUs", f"{rate:,.0f}")
        add("MFU", f"{flops * rate / speed.gpus / speed.peak:.0%}" if speed.gpus and speed.peak else "")
        add("a generation, minutes", f"{generation / 60:,.0f}")
        add(f"outer loop of {outer.generations} generations, hours", f"{outer.generations * generation / 3600:.1f}")
        add("an inner arm, minutes", f"{arm / 60:,.0f}")
        add(f"everything, {SEEDS} seeds, hours", f"{everything / 3600:,.0f}")
        add("everything, GPU-hours", f"{everything / 3600 * speed.gpus:,.0f}" if speed.gpus else "")
    lines = [["", *(speed.name for speed in speeds)], ["---"] * (len(speeds) + 1)]
    lines += [[name, *cells] for name, cells in rows.items()]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    a_seed = outer.gigabytes(weights) + ARMS * inner.gigabytes(weights)
    snapshots, checkpoint = inner.snapshots * 4 * weights / 1e9, 12 * weights / 1e9
    disk = (
        f"Disk: an outer run {outer.gigabytes(weights):,.0f} GB, an inner run {inner.gigabytes(weights):,.0f} GB, of "
        f"which {snapshots:,.0f} GB are snapshots to evaluate; a seed with three arms {a_seed:,.0f} GB, {SEEDS} seeds "
        f"{SEEDS * a_seed:,.0f} GB. One more checkpoint, {checkpoint:.1f} GB, exists while it is written."
    )
    assumed = "" if size == "124M" else " No speed is published for this shape: the MFU of 124M is assumed."
    about = f"{weights / 1e6:.1f}M weights, {flops / 1e6:,.1f}M FLOPs a token.{assumed}"
    return f"## {size}\n\n{about}\n\n{table}\n\n{fill(disk, 120)}\n"


def flops_of(config: GPTConfig) -> float:
    """A token's, as the callback that logs MFU counts them."""
    with torch.device("meta"):
        module: Any = SimpleNamespace(net=GPT(config), config=config)
    return flops_per_token(module)


HEAD = """# What the experiment costs

Computed by `python -m benchmarks cost`, from numbers that others have published for GPT-2's 124M shape: **no
measurement of this project on a GPU is in it yet.** Put in your own, tokens a second of all GPUs together with 124M, as
the progress line shows them: `python -m benchmarks cost --tokens_per_second 1200000`.

A generation of the outer loop is {steps:,} steps of {sequences} sequences of 1,024 tokens, {tokens:.2f}B tokens; there
are {generations} generations. An inner arm is {inner:,} such steps, {inner_tokens:.2f}B tokens; there are {arms} arms.
With {seeds} seeds that is {seeds} outer loops and {runs} inner runs. Training alone is counted: validation, checkpoints
and pruning add 1 to 2 % (`benchmarks/RESULTS.md`), and evaluations of what has been trained (HellaSwag, MMLU, reading
times, brain responses) are not in it.

FLOPs are 6 for each weight that is multiplied and 12 L C T for attention, without a causal discount; MFU is their share
of the dense bfloat16 peak, 312 TFLOP/s for an A100 and 989 for an H100 or H200.

Where the speeds come from, each with `torch.compile` or kernels written by hand, and bfloat16:

- **nanoGPT** (karpathy/nanoGPT, README): 600,000 steps of 491,520 tokens in about four days on 8 A100s of 40 GB, and
  562 ms a step in its issue 110: 107,000 to 109,000 tokens/s a GPU, of which the higher is taken.
- **build-nanogpt** (karpathy/build-nanogpt): 16 x 1,024 tokens in 90 ms on one A100, 182,000 tokens/s. Eight are taken
  to be eight times as fast.
- **llm.c** (karpathy/llm.c, `scripts/run_gpt2_124M.sh`): about 300 ms for 524,288 tokens on 8 A100s of 80 GB, in C and
  CUDA.
- **modded-nanogpt** (KellerJordan/modded-nanogpt, record of 2024-10-18, another optimizer): 141.8 ms for 524,288 tokens
  on 8 H100s, 462,000 tokens/s a GPU; llm.c reaches 468,000 there. An H200 has the same peak and a faster memory, and is
  taken to be as fast as one of the eight.
"""
