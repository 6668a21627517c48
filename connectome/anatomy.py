"""What the wiring of a connectome looks like, and what chance would make of it. Pure functions.

A row of a weight matrix is the unit that receives, a column the unit that sends: the in-degree of a unit is the number
of weights in its row, the out-degree that in its column.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from connectome.wiring import Connectome

__all__ = [
    "EMBEDDING",
    "Against",
    "against_chance",
    "anatomy",
    "degree_spread",
    "degrees",
    "excitatory_shares",
    "head_densities",
    "hubs",
    "sign_spread",
    "silent_units",
    "survival",
    "token_densities",
]

EMBEDDING = "transformer.wte.weight"
HUB_DEVIATIONS = 4.0  # standard deviations above the mean of chance: 1 in 30,000 units by chance


class Against(NamedTuple):
    """How two connectomes agree in one matrix.

    Args:
        jaccard: weights that exist in both over weights that exist in either.
        jaccard_by_chance: the same for positions drawn at random at the same densities.
        sign_agreement: share of the weights in both that have the same sign; nan where there is none.
        sign_agreement_by_chance: the same for signs drawn at random with the same excitatory shares.
    """

    jaccard: float
    jaccard_by_chance: float
    sign_agreement: float
    sign_agreement_by_chance: float


def degrees(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """In-degree of each row and out-degree of each column."""
    incoming, outgoing = (np.count_nonzero(matrix.numpy(), axis=axis) for axis in (1, 0))  # eight times torch's speed
    return torch.from_numpy(incoming), torch.from_numpy(outgoing)


def degree_spread(matrix: Tensor) -> tuple[float, float]:
    """Variance of the in-degrees and of the out-degrees over that of a random matrix of the same density.

    Near 1 for a random one; a unit that is denser than chance allows raises it. nan where chance has no variance: in an
    empty, a full or a single-row matrix.
    """
    rows, columns = matrix.shape
    incoming, outgoing = degrees(matrix)
    return _spread(incoming, columns, rows), _spread(outgoing, rows, columns)


def hubs(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns that have more weights than chance gives: 4 standard deviations above the mean."""
    rows, columns = matrix.shape
    incoming, outgoing = degrees(matrix)
    return _above(incoming, columns), _above(outgoing, rows)


def silent_units(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Rows to which nothing comes, and columns from which nothing goes."""
    incoming, outgoing = degrees(matrix)
    return (incoming == 0).nonzero().squeeze(1), (outgoing == 0).nonzero().squeeze(1)


def excitatory_shares(matrix: Tensor) -> Tensor:
    """Share of the weights of each row that are excitatory; nan in a row without any."""
    return degrees(matrix.clamp_min(0))[0] / degrees(matrix)[0]


def sign_spread(matrix: Tensor) -> float:
    """Variance of the rows' surplus of excitation over that of signs drawn at random: near 1 by chance."""
    incoming, excitatory = degrees(matrix)[0], degrees(matrix.clamp_min(0))[0]
    kept = incoming.sum()
    share = excitatory.sum() / kept
    surplus = excitatory - share * incoming  # of variance share * (1 - share) * degree by chance
    return float(surplus.square().sum() / (share * (1 - share) * kept))


def head_densities(connectome: Connectome) -> dict[str, Tensor]:
    """Density of each attention head's query, key, value and output weights, each of shape `(n_layer, n_head)`.

    A head whose values or outputs have density 0 is dead.
    """
    n_head = connectome.architecture["n_head"]
    found: dict[str, list[Tensor]] = {"query": [], "key": [], "value": [], "output": []}
    for block in _blocks(connectome):
        incoming = (connectome.matrices[f"{block}.attn.c_attn.weight"] != 0).to(torch.float32)
        outgoing = (connectome.matrices[f"{block}.attn.c_proj.weight"] != 0).to(torch.float32)
        of_heads = incoming.view(3, n_head, -1).mean(2)  # queries of all heads, then keys, then values
        for part, densities in zip(("query", "key", "value"), of_heads, strict=True):
            found[part].append(densities)
        found["output"].append(outgoing.mean(0).view(n_head, -1).mean(1))
    return {part: torch.stack(layers) for part, layers in found.items()}


def token_densities(connectome: Connectome) -> Tensor:
    """Share of the embedding's weights that exist for each token, shape `(vocabulary,)`."""
    return (connectome.matrices[EMBEDDING] != 0).to(torch.float32).mean(1)


def survival(generations: Sequence[Connectome]) -> dict[str, list[float]]:
    """Share of the first connectome's weights that each of them still has with the sign it had, by matrix."""
    first = generations[0]
    return {
        name: [
            int(((matrix != 0) & (later.matrices[name] == matrix)).sum()) / max(1, int(matrix.count_nonzero()))
            for later in generations
        ]
        for name, matrix in first.matrices.items()
    }


def against_chance(one: Connectome, two: Connectome) -> dict[str, Against]:
    """Agreement of two connectomes of one architecture, by matrix, and what chance would give."""
    one.check_fits({name: tuple(matrix.shape) for name, matrix in two.matrices.items()}, "the other connectome")
    return {name: _agreement(matrix, two.matrices[name]) for name, matrix in one.matrices.items()}


def anatomy(connectome: Connectome) -> dict[str, float]:
    """Numbers of a connectome by name, to be followed over generations; for a GPT also its dead heads and MLP units."""
    figures: dict[str, float] = {"hubs": 0, "silent_rows": 0}
    for name, matrix in connectome.matrices.items():
        figures[f"in_degree_spread/{name}"], figures[f"out_degree_spread/{name}"] = degree_spread(matrix)
        figures[f"sign_spread/{name}"] = sign_spread(matrix)
        figures["hubs"] += sum(map(len, hubs(matrix)))
        figures["silent_rows"] += len(silent_units(matrix)[0])
    if "n_head" in connectome.architecture and (blocks := _blocks(connectome)):
        of_heads = head_densities(connectome)
        figures["dead_heads"] = int(((of_heads["value"] == 0) | (of_heads["output"] == 0)).sum())
        figures["dead_mlp_units"] = sum(_dead_mlp_units(connectome.matrices, block) for block in blocks)
    return {name: value for name, value in figures.items() if value == value}  # without nan


def _blocks(connectome: Connectome) -> list[str]:
    ending = ".attn.c_attn.weight"
    return [name.removesuffix(ending) for name in connectome.matrices if name.endswith(ending)]


def _dead_mlp_units(matrices: Mapping[str, Tensor], block: str) -> int:
    incoming, _ = degrees(matrices[f"{block}.mlp.c_fc.weight"])
    _, outgoing = degrees(matrices[f"{block}.mlp.c_proj.weight"])
    return int(((incoming == 0) | (outgoing == 0)).sum())


def _spread(found: Tensor, partners: int, units: int) -> float:
    density = float(found.sum()) / (partners * units)
    # Positions without replacement: degrees are hypergeometric, with this variance around the known mean.
    chance = partners * density * (1 - density) * (1 - partners / (partners * units)) if units > 1 else 0.0
    return float(found.to(torch.float64).var(correction=0)) / chance if chance else float("nan")


def _above(found: Tensor, partners: int) -> Tensor:
    mean = found.to(torch.float64).mean()
    deviation = (mean * (1 - mean / partners)).clamp_min(0).sqrt()
    return ((found > mean + HUB_DEVIATIONS * deviation) & (deviation > 0)).nonzero().squeeze(1)


def _agreement(one: Tensor, two: Tensor) -> Against:
    here, there = one != 0, two != 0
    shared, mine, theirs = (int(which.sum()) for which in (here & there, here, there))
    expected = mine * theirs / one.numel()
    same = int(((one == two) & here).sum())
    first, second = (int((matrix > 0).sum()) / max(1, count) for matrix, count in ((one, mine), (two, theirs)))
    return Against(
        jaccard=shared / max(1, mine + theirs - shared),
        jaccard_by_chance=expected / max(1.0, mine + theirs - expected),
        sign_agreement=same / shared if shared else float("nan"),
        sign_agreement_by_chance=first * second + (1 - first) * (1 - second),
    )
