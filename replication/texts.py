"""How much text the small corpus has: the three arms, and how much more of it the dense model needs."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from figures.arms import ARMS
from replication.ablations import Setting
from replication.measured import EXPERIMENT, BySeed, difference, losses, mean, read

__all__ = ["TEXTS", "needed_by_dense", "text_rows"]

TEXTS = (  # the passes are those of 400 steps of 2,048 bytes
    Setting("ablations/text_20k", "other text: 19.5 kB, 41.9 passes", 19_532),
    Setting(EXPERIMENT, "the experiment's: 78.1 kB, 10.5 passes", 78_125),
    Setting("ablations/text_78k", "other text: 78.1 kB, 10.5 passes", 78_128),
    Setting("ablations/text_195k", "other text: 195 kB, 4.2 passes", 195_320),
    Setting("ablations/text_1953k", "other text: 1,953 kB, 0.42 passes", 1_953_200),
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
            _words(needed, max(dense)) if needed else "",
        ]


def needed_by_dense(evolved: BySeed, dense: Mapping[float, BySeed]) -> list[float]:
    """Bytes of text with which the dense model reaches each seed's loss, interpolated over their logarithm.

    A loss that it reaches with none of the texts counts as the largest of them.

    Args:
        evolved: losses of the other model.
        dense: losses of the dense model by bytes of text.
    """
    seeds = set.intersection(set(evolved), *(set(values) for values in dense.values()))
    sizes = sorted(dense)
    found = []
    for seed in sorted(seeds):
        curve = [-dense[size][seed] for size in sizes]  # rises: its losses fall as text grows
        found.append(float(np.exp(np.interp(-evolved[seed], curve, np.log(sizes)))))
    return found


def _words(needed: list[float], most: float) -> str:
    """Geometric mean and range, in kB."""
    if min(needed) >= most:
        return f"more than {most / 1e3:,.0f}"
    middle = float(np.exp(np.mean(np.log(needed))))
    return f"{middle / 1e3:,.0f} ({min(needed) / 1e3:,.0f} to {max(needed) / 1e3:,.0f})"
