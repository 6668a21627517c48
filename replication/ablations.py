"""What the runs say in which one thing differs from the experiment: in the connectome, its evolution, or around it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from connectome import load_connectome
from connectome.anatomy import EMBEDDING
from figures.connectome_sizes import read_coded
from figures.results import ends_of
from figures.runs import OUTER
from replication.measured import (
    EXPERIMENT,
    GLOBAL,
    LAST,
    BySeed,
    closed_gap,
    connectome_files,
    difference,
    losses,
    mean,
    read,
)

__all__ = [
    "PARTS",
    "RATES",
    "SIZES",
    "Setting",
    "ablation_rows",
    "by_generation",
    "density_rows",
    "pair_rows",
    "scope_rows",
    "size_rows",
]

ABLATIONS = "ablations"
PARTS = {  # of the connectome, by the name of their folder
    "shuffled_signs": "positions kept, signs dealt out anew",
    "positions_only": "positions kept, ordinary initialisation",
    "trained_weights": "positions kept, with the weights trained there",
    "initialisation_only": "the connectome as initialisation, no mask",
    "blocks_only": "its blocks, the embedding wired at random",
    "embedding_only": "its embedding, the blocks wired at random",
}


class Setting(NamedTuple):
    """One value of what differs, of which there are runs of both arms.

    Args:
        folder: of the runs, in the folder of all runs.
        label: the value, as a table calls it.
        value: the same as a number.
    """

    folder: str
    label: str
    value: float


RATES = (
    Setting("ablations/learning_rate_0.0022", "0.0022", 0.0022),
    Setting(EXPERIMENT, "0.0044, the experiment's", 0.0044),
    Setting("ablations/learning_rate_0.0088", "0.0088", 0.0088),
    Setting("ablations/learning_rate_0.0176", "0.0176", 0.0176),
)
SIZES = (
    Setting("width_64", "width 64, 2 heads: 0.22M weights", 217_088),
    Setting("depth_2", "2 layers: 0.43M weights", 434_176),
    Setting(EXPERIMENT, "the experiment's: 4 layers, width 128, 0.83M weights", 827_392),
)


def ablation_rows(folder: Path) -> Iterator[list[str]]:
    """What of the connectome helps: the inner loop with a part of it kept."""
    by_arm = losses(read(folder / EXPERIMENT))
    yield ["of the last connectome", "density", "loss", "minus Connectome", "p", "minus NoConnectome", "p", "seeds"]
    for name, label in PARTS.items():
        measured = read(folder / ABLATIONS / name)
        if not measured:
            continue
        (values,) = losses(measured).values()
        against = [*difference(values, by_arm["Connectome"]), *difference(values, by_arm["NoConnectome"])]
        yield [label, f"{ends_of(measured)[0].density:.3f}", f"{mean(values):.3f}", *against, str(len(values))]


def density_rows(folder: Path) -> Iterator[list[str]]:
    """What each generation hands on, in bits and in loss at the end of an inner loop that starts from it."""
    by_arm = losses(read(folder / EXPERIMENT))
    head = ["connectome of generation", "density", "bits a weight", "file, kB", "loss", "minus generation 5's", "p"]
    yield [*head, "minus NoConnectome", "p", "seeds"]
    for generation, values in by_generation(folder).items():
        files = [read_coded(path) for path in connectome_files(folder / EXPERIMENT, generation).values()]
        cells = [f"{np.mean([file.kept / file.weights for file in files]):.3f}"]
        cells += [f"{np.mean([8 * file.file_bytes / file.weights for file in files]):.2f}"]
        cells += [f"{np.mean([file.file_bytes for file in files]) / 1e3:.0f}", f"{mean(values):.3f}"]
        against = [*difference(values, by_arm["Connectome"]), *difference(values, by_arm["NoConnectome"])]
        yield [str(generation), *cells, *against, str(len(values))]


def by_generation(folder: Path) -> dict[int, BySeed]:
    """Loss at the end of an inner loop that starts from each generation's connectome, by generation and seed."""
    folders = {g: folder / ABLATIONS / f"generation_{g}" for g in range(LAST)} | {LAST: folder / EXPERIMENT}
    found = {g: losses(read(runs)).get("Connectome", {}) for g, runs in folders.items()}
    return {g: values for g, values in found.items() if values}


def scope_rows(folder: Path) -> Iterator[list[str]]:
    """One threshold for each matrix against one for all: losses of both loops, and what is left of the embedding."""
    found = {"layer by layer": folder / EXPERIMENT, "one threshold for all": folder / GLOBAL}
    generations = range(LAST + 1)
    head = ["pruned", *(f"generation {g}" for g in generations), "embedding's density after it"]
    yield [*head, "inner loop: Connectome", "minus layer by layer", "p", "seeds"]
    first: BySeed = {}
    for label, experiment in found.items():
        measured = read(experiment)
        values = losses(measured).get("Connectome", {})
        if not values:
            continue
        first = first or values
        ends = [end for end in ends_of(measured) if end.arm == OUTER]
        outer = [f"{np.mean([end.loss for end in ends if end.generation == g]):.3f}" for g in generations]
        files = connectome_files(experiment, LAST).values()
        embedding = f"{np.mean([load_connectome(path).densities[EMBEDDING] for path in files]):.3f}"
        yield [label, *outer, embedding, f"{mean(values):.3f}", *difference(values, first), str(len(values))]


def pair_rows(folder: Path, settings: Sequence[Setting], what: str) -> Iterator[list[str]]:
    """Both arms where something else than the connectome differs.

    Args:
        folder: of all runs.
        settings: its values.
        what: it is.
    """
    yield [what, "Connectome", "NoConnectome", "Connectome minus NoConnectome", "p", "seeds"]
    for setting in settings:
        by_arm = losses(read(folder / setting.folder))
        if by_arm.keys() >= {"Connectome", "NoConnectome"}:
            yield [setting.label, *_pair(by_arm)]


def size_rows(folder: Path) -> Iterator[list[str]]:
    """Both arms of experiments with models of other sizes, each with an evolution of its own."""
    head = ["size", "connectome, kB", "dense on large", "Connectome", "NoConnectome", "Connectome minus NoConnectome"]
    yield [*head, "p", "seeds", "gap closed"]
    for setting in SIZES:
        measured = read(folder / setting.folder)
        by_arm = losses(measured)
        if not by_arm.keys() >= {OUTER, "Connectome", "NoConnectome"}:
            continue
        files = connectome_files(folder / setting.folder, LAST).values()
        kilobytes = f"{np.mean([path.stat().st_size for path in files]) / 1e3:.0f}"
        gap = f"{100 * mean(closed_gap(measured)):.0f} %"
        yield [setting.label, kilobytes, f"{mean(by_arm[OUTER]):.3f}", *_pair(by_arm), gap]


def _pair(by_arm: Mapping[str, BySeed]) -> list[str]:
    one, other = by_arm["Connectome"], by_arm["NoConnectome"]
    seeds = len(one.keys() & other.keys())
    return [f"{mean(one):.3f}", f"{mean(other):.3f}", *difference(one, other), str(seeds)]
