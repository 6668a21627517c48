"""The panels of the report: what each is called, shows, and needs."""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from figures.arms import ARMS
from figures.evaluation_panels import accuracy, brain_by_layer, compression, localised, reading_times
from figures.experiment import Experiment, chosen_variant
from figures.panel_rows import TASKS, paper_scale
from figures.paper_values import OVER_STEPS, PAPER_STEPS
from figures.run_costs import RunCost
from figures.shown import SEEDS, Shown
from figures.training_panels import (
    density_over_generations,
    loss_over_generations,
    loss_over_training,
    loss_within_generations,
)

__all__ = ["PANELS", "Panel", "caption", "scale"]


class Panel(NamedTuple):
    """One panel of the report.

    Args:
        title: above it.
        source: the paper's panel that it has the form of; empty if it has none.
        draw: rows and axes -> axes.
        shows: a sentence for its caption.
        needs: how to get what it shows, if that is missing.
    """

    title: str
    source: str
    draw: Callable[[Collection[Shown], Axes], Axes]
    shows: str
    needs: str


INNER = "`python cli.py fit --config inner.yaml`"
OUTER_LOOP = "`python cli.py fit --config outer.yaml`"
TEST = "a line for {} in evaluations.yaml, then `python cli.py evaluate RUNS`"
PANELS = {
    "loss_over_training": Panel(
        "Three arms on the small corpus",
        "Figure 1B i",
        loss_over_training,
        "Validation loss over training. Curves: the first tokens of the validation part; large markers and the dotted "
        "line, generation 0 of the outer loop: all of it.",
        INNER,
    ),
    "hellaswag": Panel(
        "HellaSwag",
        "Figure 1B ii",
        accuracy,
        "Share of items whose right ending has the largest summed log-probability, at the end of training. Dotted: "
        "what costs nothing.",
        TEST.format("hellaswag"),
    ),
    "mmlu": Panel(
        "MMLU",
        "Figure 1B ii",
        accuracy,
        "Share of questions whose right answer has the largest summed log-probability, at the end of training. No "
        "model of this size is above chance; what differs is the preferred length. Dotted: what costs nothing.",
        TEST.format("mmlu"),
    ),
    "reading_times": Panel(
        "Reading times",
        "Figure 1C",
        reading_times,
        "Correlation of word surprisal with mean self-paced reading times of Natural Stories over training. Dotted: "
        "predictors that need no model; most of r is the number of tokens of a word.",
        TEST.format("natural_stories"),
    ),
    "brain_by_layer": Panel(
        "Brain responses by layer",
        "Figure 1D",
        brain_by_layer,
        "Correlation of predicted with measured responses of the language network to 1,000 sentences (Tuckute et al. "
        "2024), mean over five folds. Dashed: what noise leaves to explain. Dotted: predictors that need no model, and "
        "shuffled responses.",
        TEST.format("tuckute2024"),
    ),
    "localised_1pct": Panel(
        "Localised units, 1 %",
        "Figure 1D",
        localised,
        "The same correlation from the 1 % of units that tell sentences from non-words best. Dotted: other predictors "
        "and as many random units, mean over the arms.",
        TEST.format("tuckute2024"),
    ),
    "localised_10pct": Panel(
        "Localised units, 10 %",
        "Appendix A.2",
        localised,
        "The same correlation from the 10 % of units that tell sentences from non-words best. The paper gives no "
        "numbers.",
        TEST.format("tuckute2024"),
    ),
    "compression": Panel(
        "What a generation hands on",
        "Appendix A.1",
        compression,
        "Size of the connectome that each generation leaves, of Shannon's bound for independent weights of the same "
        "densities, signs even, and of all weights in 16 bits each.",
        OUTER_LOOP,
    ),
    "density_over_generations": Panel(
        "Density over generations", "", density_over_generations, "Share of the weights that exist.", OUTER_LOOP
    ),
    "loss_over_generations": Panel(
        "Loss at the end of each generation",
        "",
        loss_over_generations,
        "Loss on the whole validation part at the end of each generation of the outer loop.",
        OUTER_LOOP,
    ),
    "loss_within_generations": Panel(
        "Loss within each generation",
        "",
        loss_within_generations,
        "Loss on the first tokens of the validation part over the steps of each generation.",
        OUTER_LOOP,
    ),
}


def caption(name: str, rows: Sequence[Shown], experiment: Experiment, costs: Sequence[RunCost]) -> str:
    """What a panel shows, how many seeds and items, which intervals, at which scale, and whose values stand beside."""
    panel = PANELS[name]
    means = [row for row in rows if row.role == "mean"]
    words = [panel.shows]
    if name in TASKS:
        words.append(f"Variant: {chosen_variant(experiment.measured, TASKS[name][0])}.")
    items = sorted({row.n for row in means if row.n and name != "compression"})
    if items:
        words.append(f"n = {' and '.join(f'{n:,}' for n in items)} items.")
    words.append(_seeds(means))
    words.append(scale(costs))
    paper = [row for row in rows if row.role == "paper"]
    if paper:
        spread = next((f", {row.spread}" for row in paper if row.spread), "")
        words.append(f"Open markers: the paper's models of 124M weights{spread}.")
        if name in OVER_STEPS and max(row.x for row in paper) != PAPER_STEPS:
            words.append(f"Their {PAPER_STEPS:,} steps are scaled to ours.")
    elif name == "loss_over_training" and not paper_scale(experiment):
        words.append("The paper's losses (124M weights, GPT-2's tokens) do not compare and are not drawn.")
    elif name == "brain_by_layer":
        words.append("The paper's twelve layers do not compare and are not drawn.")
    return " ".join(words)


def scale(costs: Sequence[RunCost]) -> str:
    """Sizes of the models, tokens they read and what a token is, as a sentence."""
    sizes = ", ".join(dict.fromkeys(cost.size for cost in costs if cost.size)) or "an unrecorded number of"
    tokens = {kind: [c.tokens for c in costs if c.tokens and (c.arm in ARMS) == kind] for kind in (True, False)}
    corpus = [f"{_count(max(tokens[False]))} tokens of the large corpus"] if tokens[False] else []
    corpus += [f"{_count(max(tokens[True]))} of the small one"] if tokens[True] else []
    kinds = {c.tokenizer for c in costs if c.tokenizer}
    kind = {"bytes": "; a token is a byte", "gpt2": "; GPT-2's tokens"}.get(kinds.pop(), "") if len(kinds) == 1 else ""
    return f"Scale: {sizes} weights{', ' if corpus else ''}{' and '.join(corpus)}{kind}."


def _seeds(means: Sequence[Shown]) -> str:
    counts = sorted({row.seeds or 1 for row in means})
    number = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    spreads = sorted({row.spread for row in means if row.spread} - {SEEDS})
    words = f"{number} seed{'' if counts == [1] else 's'}"
    if counts[-1] > 1:
        words += ": mean and range"
    if spreads:
        words += f"{'; of one seed the ' if counts[-1] > 1 else ': '}{', '.join(spreads)}"
    elif counts == [1]:
        words += ", no interval"
    return f"{words}."


def _count(number: int) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return str(number)
