"""The tables of RESULTS.md, from the records of the runs that are kept beside this file.

python -m replication.tables                    # prints them
python -m replication.tables --write            # puts them into RESULTS.md, each in place of the one before
python -m replication.tables --runs runs        # the same tables of your own runs, folders named alike
"""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from figures.arms import ARMS
from figures.results import Measurement, ends_of
from figures.runs import OUTER
from replication.ablations import RATES, ablation_rows, density_rows, pair_rows, scope_rows, size_rows
from replication.anatomy import anatomy_rows
from replication.claims import claim_rows
from replication.measured import (
    EXPERIMENT,
    LAST,
    BySeed,
    at_no_cost,
    at_the_end,
    connectome_files,
    difference,
    losses,
    mean,
    read,
)
from replication.texts import curve_rows, text_rows

__all__ = ["tables"]

HERE = Path(__file__).resolve().parent
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
    ("tuckute2024", "paper", "noise_ceiling"): "brain: noise ceiling, as published",
    ("tuckute2024", "corrected", "r_nested_layer"): "brain, `corrected`: r, layer chosen on other sentences",
    ("tuckute2024", "corrected", "localised_1pct"): "brain, `corrected`: r of 1 % localised units",
    ("tuckute2024", "corrected", "localised_10pct"): "brain, `corrected`: r of 10 % localised units",
}


def tables(folder: Path = HERE / "runs") -> dict[str, str]:
    """Markdown tables by name. Where there are no runs of a variation there are no rows.

    Args:
        folder: of all runs: `replication/`, the experiment, and what it is compared with.

    Raises:
        FileNotFoundError: if the experiment lacks an arm, its outer loop or that one's connectomes.
    """
    measured = read(folder / EXPERIMENT)
    there = losses(measured)
    absent = [arm for arm in (OUTER, *ARMS) if arm not in there]
    absent += [f"generation_{g}.connectome" for g in range(LAST + 1) if not connectome_files(folder / EXPERIMENT, g)]
    if absent:
        raise FileNotFoundError(
            f"{folder / EXPERIMENT} has no finished {', '.join(absent)}: `sh replication/run.sh 0 main` makes them"
        )
    rows = {
        "claims": claim_rows(measured, folder),
        "losses": _loss_rows(losses(measured)),
        "generations": _generation_rows(measured),
        "evaluations": _evaluation_rows(measured),
        "ablations": ablation_rows(folder),
        "densities": density_rows(folder),
        "scopes": scope_rows(folder),
        "texts": text_rows(folder),
        "curves": curve_rows(folder),
        "rates": pair_rows(folder, RATES, "learning rate of the inner loop"),
        "sizes": size_rows(folder),
        "anatomy": anatomy_rows(folder),
    }
    return {name: _table(found) for name, found in rows.items()}


def _loss_rows(by_arm: Mapping[str, BySeed]) -> Iterator[list[str]]:
    seeds = sorted(set().union(*by_arm.values()))
    yield ["", *(f"seed {seed}" for seed in seeds), "mean", "minus NoConnectome", "p"]
    names = {OUTER: "dense on the large corpus (generation 0)"} | {arm: arm for arm in ARMS}
    for arm, name in names.items():
        values = by_arm.get(arm, {})
        cells = [f"{values[seed]:.3f}" if seed in values else "" for seed in seeds]
        yield [name, *cells, f"{mean(values):.3f}", *difference(values, by_arm["NoConnectome"])]


def _generation_rows(measured: Sequence[Measurement]) -> Iterator[list[str]]:
    outer = [end for end in ends_of(measured) if end.arm == OUTER]
    groups = [[end for end in outer if end.generation == g] for g in sorted({end.generation for end in outer})]
    yield ["generation", *(str(ends[0].generation) for ends in groups)]
    yield ["density in training", *(f"{np.mean([end.density for end in ends]):.3f}" for ends in groups)]
    yield ["loss at its end, mean", *(f"{np.mean([end.loss for end in ends]):.3f}" for ends in groups)]


def _evaluation_rows(measured: Sequence[Measurement]) -> Iterator[list[str]]:
    yield ["", "at no cost", *ARMS, "Connectome minus NoConnectome", "p", "seeds"]
    for figure, name in FIGURES.items():
        by_arm = {arm: at_the_end(measured, figure, arm) for arm in ARMS}
        if all(by_arm.values()):
            means = [f"{mean(values):.3f}" for values in by_arm.values()]
            seeds = len(by_arm["Connectome"].keys() & by_arm["NoConnectome"].keys())
            against = difference(by_arm["Connectome"], by_arm["NoConnectome"])
            yield [name, at_no_cost(measured, figure), *means, *against, str(seeds)]


def _table(rows: Iterator[list[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Print the tables, or put them between their marks in RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="into RESULTS.md")
    parser.add_argument("--runs", type=Path, default=HERE / "runs", help="folder of all runs")
    options = parser.parse_args()
    page = HERE.parent / "RESULTS.md"
    try:
        found = tables(options.runs)
    except FileNotFoundError as error:
        raise SystemExit(str(error)) from error
    if not options.write:
        print("\n\n".join(f"{name}\n\n{table}" for name, table in found.items()))
        return
    text = page.read_text()
    for name, table in found.items():
        text, count = re.subn(rf"(<!-- {name} -->\n).*?(<!-- end -->)", rf"\g<1>{table}\n\g<2>", text, flags=re.DOTALL)
        if count != 1:
            raise SystemExit(f"{page} has {count} places for the table {name!r}, expected one")
    page.write_text(text)


if __name__ == "__main__":
    main()
