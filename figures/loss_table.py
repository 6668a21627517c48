"""The losses of all runs as two aligned tables, for a terminal."""

from collections.abc import Collection, Mapping, Sequence
from math import exp
from statistics import mean

from figures.arms import ARMS
from figures.results import End, upper_bound
from figures.runs import OUTER

__all__ = ["arms_table", "generations_table"]

REFERENCE = "NoConnectome"
BOUND = "dense on large"
ABSENT = "-"


def arms_table(ends: Collection[End]) -> str:
    """Loss and perplexity of the arms, a line per seed and their mean; below, what tells them apart.

    The difference to `NoConnectome` is the mean over the seeds that have both, with its sign; below zero is better. The
    density is the share of the weights that existed in training.
    """
    columns: dict[str, dict[int, float]] = {BOUND: upper_bound(list(ends))}
    columns |= {arm: {end.seed: end.loss for end in ends if end.arm == arm} for arm in ARMS}
    seeds = sorted({seed for losses in columns.values() for seed in losses})
    rows = [["seed", *columns]]
    rows += [[str(seed), *(_loss(losses.get(seed)) for losses in columns.values())] for seed in seeds]
    rows.append(["seeds", *(str(len(losses)) for losses in columns.values())])
    rows.append(["mean", *(_loss(mean(losses.values()) if losses else None) for losses in columns.values())])
    densities = {BOUND: [end.density for end in ends if (end.arm, end.generation) == (OUTER, 0)]}
    densities |= {arm: [end.density for end in ends if end.arm == arm] for arm in ARMS}
    rows.append([f"minus {REFERENCE}", *(_difference(losses, columns[REFERENCE]) for losses in columns.values())])
    rows.append(["density", *(f"{mean(shares):.4f}" if shares else ABSENT for shares in densities.values())])
    title = "Validation loss at the end, nats per token (perplexity)"
    return title + "\n" + aligned(rows)


def generations_table(ends: Collection[End]) -> str:
    """Density in training and loss at the end of each generation of the outer loop, a line per generation.

    A mean is of all seeds or not there, so that means of several generations compare.
    """
    outer = [end for end in ends if end.arm == OUTER]
    seeds = sorted({end.seed for end in outer})
    rows = [["generation", "density", *(f"loss, seed {seed}" for seed in seeds), "mean"]]
    for generation in sorted({end.generation for end in outer}):
        here = {end.seed: end for end in outer if end.generation == generation}
        losses = [_loss(here[seed].loss if seed in here else None) for seed in seeds]
        density = mean(end.density for end in here.values())
        whole = mean(end.loss for end in here.values()) if len(here) == len(seeds) else None
        rows.append([str(generation), f"{density:.4f}", *losses, _loss(whole)])
    return "Generations of the outer loop: share of the weights in training, loss at the end\n" + aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines: the first column to the left, the others to the right, two spaces between."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) if number else cell.ljust(width) for number, (cell, width) in enumerate(row))
        for row in ([*zip(cells, widths, strict=True)] for cells in rows)
    ]
    return "\n".join(line.rstrip() for line in lines)


def _loss(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.4f} ({exp(value):.2f})"


def _difference(losses: Mapping[int, float], reference: Mapping[int, float]) -> str:
    both = sorted(losses.keys() & reference.keys())
    return f"{mean(losses[seed] - reference[seed] for seed in both):+.4f}" if both else ABSENT
