"""The paper's claims, what we found, and verdicts by fixed rules.

A difference between two arms holds if its 95 % interval lies on the claimed side of zero. To come near the dense model
is to close at least half of the gap, in every seed. About one bit a weight is less than 1.2.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from connectome import load_connectome
from figures.paper_values import UPPER_BOUND, paper_values
from figures.results import Measurement
from replication.measured import (
    EXPERIMENT,
    GLOBAL,
    LAST,
    BySeed,
    at_the_end,
    closed_gap,
    connectome_files,
    interval,
    losses,
    peak_of_reading_times,
    read,
)

__all__ = ["claim_rows"]


class Claim(NamedTuple):
    """A difference between two arms that the paper reports.

    Args:
        text: what is claimed.
        figure: the figure in which it shows, as a task, the beginning of a variant, and a metric.
        panel: of the authors' values.
        one: arm.
        other: arm that is subtracted.
        sign: of the difference that is claimed.
    """

    text: str
    figure: tuple[str, str, str]
    panel: str
    one: str = "Connectome"
    other: str = "NoConnectome"
    sign: int = 1


LOSS = ("validation", "standard", "loss_full")
CLAIMS = (
    Claim(
        "**The Efficient Connectome Hypothesis:** from little text, a model with an evolved connectome learns more "
        "than a dense one. Loss, Connectome minus NoConnectome",
        LOSS,
        "loss_over_training",
        sign=-1,
    ),
    Claim(
        "It is the wiring, not that it is sparse. Loss, Connectome minus RandomConnectome",
        LOSS,
        "loss_over_training",
        other="RandomConnectome",
        sign=-1,
    ),
    Claim(
        "Random wiring of the same density is worse than none. Loss, RandomConnectome minus NoConnectome",
        LOSS,
        "loss_over_training",
        one="RandomConnectome",
    ),
    Claim("HellaSwag, Connectome minus NoConnectome", ("hellaswag", "paper", "acc_sum"), "hellaswag"),
    Claim("MMLU, Connectome minus NoConnectome", ("mmlu", "paper", "acc_sum"), "mmlu"),
    Claim(
        "Reading times at the peak of training, r, Connectome minus NoConnectome",
        ("natural_stories", "paper", "peak"),
        "reading_times",
    ),
    Claim(
        "Brain responses, r at the layer chosen on other sentences (the paper's: at the best layer), Connectome "
        "minus NoConnectome",
        ("tuckute2024", "paper", "r_nested_layer"),
        "brain_by_layer",
    ),
    Claim(
        "Brain responses, r of the 1 % localised units, Connectome minus NoConnectome",
        ("tuckute2024", "paper", "localised_1pct"),
        "localised_1pct",
    ),
)
NOT_TESTED = "A pruned 417M model is better than a dense model of as many weights on the large corpus"


def claim_rows(measured: Sequence[Measurement], folder: Path) -> Iterator[list[str]]:
    """Rows of the table of claims, its head first.

    Args:
        measured: of all runs of the experiment.
        folder: of all runs.
    """
    yield ["claim", "paper, 124M", "here, mean of the seeds [95 %]", "seeds", "at this scale"]
    for claim in CLAIMS:
        one, other = (_values(measured, claim.figure, arm) for arm in (claim.one, claim.other))
        authors = f"{_authors(claim.panel, claim.one) - _authors(claim.panel, claim.other):+.3f}"
        yield [claim.text, authors, *_compared(one, other, claim.sign)]
    shares = closed_gap(measured)
    dense, evolved, bound = (_authors("loss_over_training", one) for one in ("NoConnectome", "Connectome", UPPER_BOUND))
    yield [
        "The connectome comes near a dense model that was trained on the large corpus: share of the gap between "
        "NoConnectome and that model which it closes",
        f"{(dense - evolved) / (dense - bound):.0%}".replace("%", " %"),
        f"{100 * np.mean([*shares.values()]):.0f} % (seeds: {', '.join(f'{100 * x:.0f} %' for x in shares.values())})",
        str(len(shares)),
        "holds" if min(shares.values()) >= 0.5 else "does not hold",
    ]
    bits = _bits(folder / EXPERIMENT)
    yield [
        "What a generation hands on takes about one bit a weight; generation 5's file",
        "1.06 (Shannon's bound, 25 % dense)",
        f"{np.mean([*bits.values()]):.2f} at 26 %, packed",
        str(len(bits)),
        "holds" if max(bits.values()) < 1.2 else "does not hold",
    ]
    yield [
        "Pruning layer by layer is better than with one threshold for all. Loss at the end of the inner loop",
        "worse, no figure",
        *_compared(losses(measured)["Connectome"], losses(read(folder / GLOBAL)).get("Connectome", {}), -1),
    ]
    yield [NOT_TESTED, "", "", "0", "not tested"]


def _compared(one: BySeed, other: BySeed, sign: int) -> list[str]:
    """The difference that is claimed to have this sign, its seeds and its verdict."""
    seeds = sorted(one.keys() & other.keys())
    if len(seeds) < 2:
        return ["", str(len(seeds)), "not tested"]
    mean, low, high, _ = interval(one, other)
    return [f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]", str(len(seeds)), verdict(low, high, sign)]


def verdict(low: float | None, high: float | None, sign: int) -> str:
    """What a 95 % interval says of a difference that is claimed to have this sign."""
    if low is None or high is None or low <= 0 <= high:
        return "cannot tell"
    return "holds" if low * sign > 0 else "does not hold"


def _authors(panel: str, arm: str) -> float:
    """The authors' value: of a loss that at the end, of a curve of correlations the largest."""
    points = [row for row in paper_values(panel) if row.series == arm]
    if panel == "loss_over_training":
        return max(points, key=lambda row: row.x).y
    return max(row.y for row in points)


def _values(measured: Sequence[Measurement], figure: tuple[str, str, str], arm: str) -> BySeed:
    if figure[2] == "peak":
        return peak_of_reading_times(measured, arm)
    return at_the_end(measured, figure, arm)


def _bits(folder: Path) -> Mapping[int, float]:
    """Bits a weight of the last connectome of every outer loop, by seed."""
    files = connectome_files(folder, LAST)
    return {seed: 8 * path.stat().st_size / load_connectome(path).n_weights for seed, path in files.items()}
