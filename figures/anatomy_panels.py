"""Panels of the anatomy of connectomes: evolved ones beside random ones of the same densities."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from scipy.stats import spearmanr

from connectome import Connectome
from connectome.anatomy import (
    EMBEDDING,
    against_chance,
    degree_spread,
    degrees,
    excitatory_shares,
    head_densities,
    sign_spread,
    survival,
    token_densities,
)
from connectome.picture import picture
from figures.arms import ARMS

__all__ = [
    "degree_distribution",
    "embedding_density",
    "excitation_of_rows",
    "heads",
    "matrix_picture",
    "overlap_of_seeds",
    "short",
    "sign_spreads",
    "spreads",
    "survival_over_generations",
]

EVOLVED, RANDOM = ARMS["Connectome"], ARMS["RandomConnectome"]
BY_CHANCE: dict[str, Any] = {"color": "black", "linestyle": ":", "linewidth": 1.2}


def short(name: str) -> str:
    """A parameter's name without what all of them share."""
    return name.removeprefix("transformer.").removesuffix(".weight").removeprefix("h.")


def matrix_picture(connectome: Connectome, name: str, ax: Axes, *, ordered: bool = False) -> Axes:
    """One matrix: blue where weights excite, vermilion where they inhibit, white where there are none."""
    matrix = connectome.matrices[name]
    ax.imshow(picture(matrix, ordered=ordered).permute(1, 2, 0).numpy(), interpolation="nearest", aspect="auto")
    order = " (by degree)" if ordered else ""
    rows, columns = ("tokens", "features") if name == EMBEDDING else ("receivers", "senders")
    ax.set(
        xlabel=f"{matrix.shape[1]} {columns}{order}", ylabel=f"{matrix.shape[0]} {rows}{order}", xticks=[], yticks=[]
    )
    return ax


def degree_distribution(evolved: Connectome, control: Connectome, name: str, ax: Axes) -> Axes:
    """In-degrees of the rows of one matrix, the random control's beside them."""
    found = {arm: degrees(each.matrices[name])[0].numpy() for arm, each in ((EVOLVED, evolved), (RANDOM, control))}
    edges = np.linspace(0, max(values.max() for values in found.values()) + 1, 41)
    for arm, values in found.items():
        ax.hist(values, edges.tolist(), histtype="stepfilled", alpha=0.55, color=arm.colour, label=arm.label)
    ax.set(xlabel="In-degree (weights of a row)", ylabel="Rows", yscale="symlog")
    ax.legend(frameon=False)
    return ax


def spreads(evolved: Connectome, control: Connectome, ax: Axes) -> Axes:
    """By matrix, how much more in- and out-degrees vary than by chance; a dotted line at 1, which is chance."""
    for arm, each in ((EVOLVED, evolved), (RANDOM, control)):
        both = [degree_spread(matrix) for matrix in each.matrices.values()]
        for which, marker, word in ((0, "o", "in"), (1, "s", "out")):
            values = [pair[which] for pair in both]
            face = arm.colour if which == 0 else "none"
            label = f"{arm.label}: {word}"
            ax.plot(range(len(both)), values, marker, color=arm.colour, markerfacecolor=face, label=label)
    return _around_one(_by_matrix(ax, evolved, "Variance of degrees over chance"))


def sign_spreads(evolved: Connectome, control: Connectome, ax: Axes) -> Axes:
    """By matrix, how much more the rows' balance of excitation and inhibition varies than by chance."""
    for arm, each in ((EVOLVED, evolved), (RANDOM, control)):
        values = [sign_spread(matrix) for matrix in each.matrices.values()]
        ax.plot(range(len(values)), values, arm.marker, color=arm.colour, label=arm.label)
    return _around_one(_by_matrix(ax, evolved, "Variance of row balance over chance"))


def excitation_of_rows(evolved: Connectome, control: Connectome, name: str, ax: Axes) -> Axes:
    """Excitatory share of each row of one matrix against the row's in-degree."""
    for arm, each in ((RANDOM, control), (EVOLVED, evolved)):
        matrix = each.matrices[name]
        shares = 100 * excitatory_shares(matrix).numpy()
        ax.plot(degrees(matrix)[0].numpy(), shares, ".", color=arm.colour, markersize=4, alpha=0.6, label=arm.label)
    ax.axhline(50, **BY_CHANCE)
    ax.set(xlabel="In-degree (weights of a row)", ylabel="Excitatory weights (%)", ylim=(-3, 103))
    ax.legend(frameon=False)
    return ax


def heads(connectome: Connectome, ax: Axes) -> Axes:
    """Density of each attention head's four kinds of weights, in percent; 0 is a dead head."""
    found = head_densities(connectome)
    layers, n_head = next(iter(found.values())).shape
    table = 100 * np.concatenate([values.numpy() for values in found.values()], axis=1)
    image = ax.imshow(table, cmap="Blues", aspect="auto", vmin=0, vmax=200 * connectome.density)
    if table.size <= 64:
        for (row, column), value in np.ndenumerate(table):
            colour = "white" if value > 120 * connectome.density else "black"
            ax.text(column, row, f"{value:.0f}", ha="center", va="center", color=colour)
    ax.set_xticks([n_head * part + (n_head - 1) / 2 for part in range(len(found))], [*found])
    ax.set_yticks(range(layers))
    ax.set(xlabel="Heads, by part", ylabel="Layer")
    ax.figure.colorbar(image, ax=ax, label="Weights that exist (%)")
    return ax


def embedding_density(evolved: Connectome, control: Connectome, counts: np.ndarray, ax: Axes) -> Axes:
    """Density of each token's embedding against how often the token occurs; tokens that never do stand at the left.

    Args:
        evolved: whose embedding it is.
        control: its random control.
        counts: occurrences of each token, shape `(vocabulary,)`.
        ax: where to draw.
    """
    for arm, each in ((RANDOM, control), (EVOLVED, evolved)):
        densities = 100 * token_densities(each).numpy()
        order = float(spearmanr(counts, densities).statistic)
        label = f"{arm.label} (Spearman {order:+.2f})"
        ax.plot(counts, densities, ".", color=arm.colour, markersize=5, alpha=0.7, label=label)
    ax.set_xscale("symlog", linthresh=1)
    ax.set(xlabel="Occurrences of the token", ylabel="Weights of its embedding (%)", xlim=(-0.5, None))
    ax.set_ylim(0, 1.3 * ax.get_ylim()[1])  # room for the legend
    ax.legend(frameon=False, loc="upper right")
    return ax


def survival_over_generations(generations: Sequence[Connectome], ax: Axes) -> Axes:
    """Share of the first connectome's weights that are there with the same sign in each later one, by matrix."""
    numbers = [each.provenance.generation or 0 for each in generations]
    first, *later = [each.n_kept / generations[0].n_kept for each in generations]
    for name, shares in survival(generations).items():
        is_embedding = name == EMBEDDING
        ax.plot(
            numbers,
            [100 * share for share in shares],
            color=EVOLVED.colour if is_embedding else "0.6",
            linewidth=2.2 if is_embedding else 1,
            label="embedding" if is_embedding else "other matrices" if name.endswith("0.attn.c_attn.weight") else None,
        )
    ax.plot(numbers, [100 * share for share in (first, *later)], **BY_CHANCE, label="without any flipped sign")
    ax.set(xlabel="Generation", ylabel=f"Kept of generation {numbers[0]}, same sign (%)", ylim=(0, 104))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=False)
    return ax


def overlap_of_seeds(one: Connectome, two: Connectome, ax: Axes) -> Axes:
    """By matrix, what two connectomes of other seeds have in common, and what chance would give them."""
    found = against_chance(one, two)
    rows: Mapping[str, tuple[list[float], list[float], str]] = {
        "Jaccard": ([a.jaccard for a in found.values()], [a.jaccard_by_chance for a in found.values()], "o"),
        "same sign, of shared": (
            [a.sign_agreement for a in found.values()],
            [a.sign_agreement_by_chance for a in found.values()],
            "^",
        ),
    }
    for label, (values, chance, marker) in rows.items():
        ax.plot(range(len(values)), [100 * v for v in values], marker, color=EVOLVED.colour, label=label)
        ax.plot(range(len(values)), [100 * v for v in chance], **BY_CHANCE)
    ax.plot([], [], **BY_CHANCE, label="by chance")
    _by_matrix(ax, one, "Agreement (%)")
    ax.set_ylim(0, 104)
    return ax


def _around_one(ax: Axes) -> Axes:
    """Ratios: a logarithmic axis, and 1, which is chance, as a dotted line."""
    ax.axhline(1, **BY_CHANCE)
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_locator(NullLocator())
    return ax


def _by_matrix(ax: Axes, connectome: Connectome, label: str) -> Axes:
    names = [short(name) for name in connectome.matrices]
    step = -(-len(names) // 16)
    ax.set_xticks(range(0, len(names), step), names[::step], rotation=60, ha="right", fontsize=8)
    ax.set_ylabel(label)
    ax.legend(frameon=False)
    return ax
