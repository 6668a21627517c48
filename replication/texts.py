"""How much text the small corpus has: the three arms, and how much more of it the dense model needs."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from math import inf
from pathlib import Path

import numpy as np

from figures.arms import ARMS
from figures.shown import Shown, read_rows
from replication.ablations import Setting
from replication.measured import EXPERIMENT, BySeed, difference, losses, mean, read

__all__ = ["TEXTS", "curve_rows", "needed_by_dense", "text_rows"]

TEXTS = (  # by the bytes that are read in 400 steps of 2,048: all of the text in some passes, or a part of it once
    Setting("ablations/text_20k", "other text: 19.5 kB, 42.1 passes", 19_532),
    Setting(EXPERIMENT, "the experiment's: 78.1 kB, 10.5 passes", 78_125),
    Setting("ablations/text_78k", "other text: 78.1 kB, 10.5 passes", 78_128),
    Setting("ablations/text_195k", "other text: 195 kB, 4.2 passes", 195_320),
    Setting("ablations/text_1953k", "other text: 819 kB, read once", 819_200),
)


def text_rows(folder: Path) -> Iterator[list[str]]:
    """The arms by the size of the small corpus, and for the same loss as the connectome's the text of a dense model.

    Args:
        folder: of all runs.
    """
    against = ["Connectome minus NoConnectome", "p", "RandomConnectome minus NoConnectome", "p"]
    yield ["small corpus", *ARMS, *against, "seeds", "a dense model needs, kB"]
    found = {setting: losses(read(folder / setting.folder)) for setting in TEXTS}
    found = {setting: by_arm for setting, by_arm in found.items() if by_arm.keys() >= ARMS.keys()}
    dense = {s.value: by_arm["NoConnectome"] for s, by_arm in found.items() if s.folder != EXPERIMENT}
    for setting, by_arm in found.items():
        needed = needed_by_dense(by_arm["Connectome"], dense) if setting.value in dense else []
        evolved, without, control = (by_arm[arm] for arm in ARMS)
        yield [
            setting.label,
            *(f"{mean(by_arm[arm]):.3f}" for arm in ARMS),
            *difference(evolved, without),
            *difference(control, without),
            str(len(evolved.keys() & without.keys())),
            in_words(needed, max(dense)) if needed else "",
        ]


def curve_rows(folder: Path) -> Iterator[list[str]]:
    """Loss of the arms along training on the least text, on the first tokens of the validation part.

    Args:
        folder: of all runs; the curves lie where `keep.sh` puts them.
    """
    path = folder / TEXTS[0].folder / "loss_over_training.csv"
    means = [row for row in read_rows(path, Shown) if row.role == "mean"] if path.is_file() else []
    yield [f"{TEXTS[0].label}, step", *dict.fromkeys(f"{row.x:.0f}" for row in means)]
    for arm in ARMS if means else ():
        yield [arm, *(f"{row.y:.3f}" for row in means if row.series == arm)]


def needed_by_dense(evolved: BySeed, dense: Mapping[float, BySeed]) -> list[float]:
    """Bytes of text with which the dense model reaches each seed's loss, interpolated over their logarithm.

    Infinite where it reaches the loss with none of the texts, 0 where it does with all; nothing at all if its losses do
    not fall with every larger text.

    Args:
        evolved: losses of the other model.
        dense: losses of the dense model by bytes of text.
    """
    seeds = set.intersection(set(evolved), *(set(values) for values in dense.values()))
    sizes = sorted(dense)
    found = []
    for seed in sorted(seeds):
        curve = [-dense[size][seed] for size in sizes]  # rises as text grows
        if any(after <= before for before, after in pairwise(curve)):
            return []
        found.append(float(np.exp(np.interp(-evolved[seed], curve, np.log(sizes), left=-inf, right=inf))))
    return found


def in_words(needed: list[float], most: float) -> str:
    """Bytes of several seeds in kB: geometric mean and range; only the range where one is not known.

    Args:
        needed: by seed.
        most: the largest text that was tried.
    """
    ends = [f"more than {most / 1e3:,.0f}" if end == inf else f"{end / 1e3:,.0f}" for end in (min(needed), max(needed))]
    if inf in needed or 0 in needed:
        return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
    return f"{np.exp(np.mean(np.log(needed))) / 1e3:,.0f} ({ends[0]} to {ends[1]})"
