"""The tables of RESULTS.md, from the records of the runs that are kept beside this file.

python -m replication.tables                    # prints them
python -m replication.tables --write            # puts them into RESULTS.md, each in place of the one before
"""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from figures.arms import ARMS
from figures.comparisons import paired
from figures.results import Measurement, ends_of
from figures.runs import OUTER
from replication.claims import claim_rows
from replication.measured import BySeed, at_the_end, losses, read

__all__ = ["tables"]

HERE = Path(__file__).resolve().parent
ABLATIONS = {  # by the name of their folder
    "shuffled_signs": "positions kept, signs dealt out anew",
    "positions_only": "positions kept, ordinary initialisation",
    "trained_weights": "positions kept, with the weights trained there",
    "initialisation_only": "the connectome as initialisation, no mask",
    **{f"generation_{g}": f"connectome of generation {g}" for g in range(5)},
}
FIGURES = {  # (task, variant begins with, metric): what a table calls it
    ("next_word_loss", "", "bits_per_byte"): "bits per byte",
    ("hellaswag", "paper", "acc_sum"): "HellaSwag, `acc_sum`",
    ("hellaswag", "paper", "acc_char"): "HellaSwag, `acc_char`",
    ("mmlu", "paper", "acc_sum"): "MMLU, `acc_sum`",
    ("mmlu", "paper", "acc_token"): "MMLU, `acc_token`",
    ("natural_stories", "paper", "r"): "reading times, `paper`: r",
    ("natural_stories", "corrected", "r"): "reading times, `corrected`: r",
    ("natural_stories", "corrected", "partial_r"): "reading times, `corrected`: partial r",
    ("tuckute2024", "paper", "r_nested_layer"): "brain, `paper`: r, layer chosen on other sentences",
    ("tuckute2024", "paper", "localised_1pct"): "brain, `paper`: r of 1 % localised units",
    ("tuckute2024", "paper", "localised_10pct"): "brain, `paper`: r of 10 % localised units",
    ("tuckute2024", "corrected", "r_nested_layer"): "brain, `corrected`: r, layer chosen on other sentences",
    ("tuckute2024", "corrected", "localised_1pct"): "brain, `corrected`: r of 1 % localised units",
    ("tuckute2024", "corrected", "localised_10pct"): "brain, `corrected`: r of 10 % localised units",
}


def tables(folder: Path = HERE / "runs") -> dict[str, str]:
    """Markdown tables by name.

    Args:
        folder: holds `replication/`, the experiment, and `ablations/<name>/seed_<s>/`.
    """
    measured = read(folder / "replication")
    ablations = {
        name: read(folder / "ablations" / name) for name in ABLATIONS if (folder / "ablations" / name).is_dir()
    }
    return {
        "claims": _table(claim_rows(measured, folder / "replication")),
        "losses": _table(_loss_rows(losses(measured))),
        "generations": _table(_generation_rows(measured)),
        "evaluations": _table(_evaluation_rows(measured)),
        "ablations": _table(_ablation_rows(losses(measured), ablations)),
    }


def _loss_rows(by_arm: Mapping[str, BySeed]) -> Iterator[list[str]]:
    seeds = sorted(set().union(*by_arm.values()))
    yield ["", *(f"seed {seed}" for seed in seeds), "mean", "minus NoConnectome", "p"]
    names = {OUTER: "dense on the large corpus (generation 0)"} | {arm: arm for arm in ARMS}
    for arm, name in names.items():
        values = by_arm.get(arm, {})
        cells = [f"{values[seed]:.3f}" if seed in values else "" for seed in seeds]
        yield [name, *cells, f"{np.mean([*values.values()]):.3f}", *_difference(values, by_arm["NoConnectome"])]


def _generation_rows(measured: Sequence[Measurement]) -> Iterator[list[str]]:
    outer = [end for end in ends_of(measured) if end.arm == OUTER]
    groups = [[end for end in outer if end.generation == g] for g in sorted({end.generation for end in outer})]
    yield ["generation", *(str(ends[0].generation) for ends in groups)]
    yield ["density in training", *(f"{np.mean([end.density for end in ends]):.3f}" for ends in groups)]
    yield ["loss at its end, mean", *(f"{np.mean([end.loss for end in ends]):.3f}" for ends in groups)]


def _evaluation_rows(measured: Sequence[Measurement]) -> Iterator[list[str]]:
    yield ["", *ARMS, "Connectome minus NoConnectome", "p", "seeds"]
    for figure, name in FIGURES.items():
        by_arm = {arm: at_the_end(measured, figure, arm) for arm in ARMS}
        if all(by_arm.values()):
            means = [f"{np.mean([*values.values()]):.3f}" for values in by_arm.values()]
            seeds = len(by_arm["Connectome"].keys() & by_arm["NoConnectome"].keys())
            yield [name, *means, *_difference(by_arm["Connectome"], by_arm["NoConnectome"]), str(seeds)]


def _ablation_rows(by_arm: Mapping[str, BySeed], ablations: Mapping[str, Sequence[Measurement]]) -> Iterator[list[str]]:
    yield ["", "density", "loss", "minus Connectome", "p", "minus NoConnectome", "p", "seeds"]
    for name, measured in ablations.items():
        (values,) = losses(measured).values()
        density = ends_of(measured)[0].density
        differences = [*_difference(values, by_arm["Connectome"]), *_difference(values, by_arm["NoConnectome"])]
        mean = f"{np.mean([*values.values()]):.3f}"
        yield [ABLATIONS[name], f"{density:.3f}", mean, *differences, str(len(values))]


def _difference(one: BySeed, other: BySeed) -> list[str]:
    """Mean over common seeds with Student's 95 % interval, and p of the paired test."""
    seeds = sorted(one.keys() & other.keys())
    if not seeds or one == other:
        return ["", ""]
    mean, low, high, p = paired(np.array([one[s] for s in seeds]), np.array([other[s] for s in seeds]))
    interval = f" [{low:+.3f}, {high:+.3f}]" if low is not None else ""
    return [f"{mean:+.3f}{interval}", "" if p is None else f"{p:.3f}" if p >= 0.001 else "< 0.001"]


def _table(rows: Iterator[list[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Print the tables, or put them between their marks in RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="into RESULTS.md")
    page = HERE.parent / "RESULTS.md"
    if not parser.parse_args().write:
        print("\n\n".join(f"{name}\n\n{table}" for name, table in tables().items()))
        return
    text = page.read_text()
    for name, table in tables().items():
        text, count = re.subn(rf"(<!-- {name} -->\n).*?(<!-- end -->)", rf"\g<1>{table}\n\g<2>", text, flags=re.DOTALL)
        if count != 1:
            raise SystemExit(f"{page} has {count} places for the table {name!r}, expected one")
    page.write_text(text)


if __name__ == "__main__":
    main()
