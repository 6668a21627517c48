"""`python cli.py compare A B`: two models item by item, on whatever evaluations both have."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from connectome.atomic_file import atomic_file
from figures.item_differences import RESAMPLES, Difference, compare_tables
from figures.loss_table import aligned
from lightning_modules.item_table import read_items

__all__ = ["compare"]


def compare(a: str, b: str, step: int | None = None, out: str | None = None) -> list[Difference]:
    """Compare two models item by item, and print a table of paired differences.

    Args:
        a: folder of a run, or one table of items: `evaluations/<task>/<variant>/<step>.parquet` in it.
        b: what it is compared with, likewise.
        step: at which both runs were evaluated; by default, for every evaluation, the last step that both have, or
            each its last where they have none in common.
        out: JSON file for the result.

    Raises:
        FileNotFoundError: if there is nothing that both have.
        ValueError: if two tables are not of the same items, protocol and data.
    """
    differences: list[Difference] = []
    for first, second in _pairs(Path(a), Path(b), step):
        differences += compare_tables(read_items(first), read_items(second))
    if not differences:
        raise ValueError(f"the evaluations of {a} and {b} say of no figure how it follows from their items")
    print(f"A: {a}\nB: {b}\n{_table(differences)}")
    if out:
        content = {"a": a, "b": b, "resamples": RESAMPLES, "differences": [asdict(entry) for entry in differences]}
        with atomic_file(Path(out)) as file:
            file.write(json.dumps(content, indent=1).encode() + b"\n")
    return differences


def _pairs(a: Path, b: Path, step: int | None) -> list[tuple[Path, Path]]:
    """The tables to compare, in order of task and variant."""
    for path in (a, b):
        if not path.exists():
            raise FileNotFoundError(f"no {path}: name the folder of a run, or a .parquet file of its evaluations")
    if a.is_file() != b.is_file():
        raise ValueError(f"of {a} and {b} one is a file and one a folder: name two of a kind")
    if a.is_file():
        return [(a, b)]
    tables = [
        {
            tuple(path.relative_to(folder / "evaluations").parts): path
            for path in folder.glob("evaluations/*/*/*.parquet")
        }
        for folder in (a, b)
    ]
    pairs = []
    for task, variant in sorted({key[:2] for key in tables[0]} & {key[:2] for key in tables[1]}):
        steps = [
            {int(Path(key[2]).stem): path for key, path in found.items() if key[:2] == (task, variant)}
            for found in tables
        ]
        common = steps[0].keys() & steps[1].keys()
        if step is not None:
            pairs += [(steps[0][step], steps[1][step])] if step in common else []
        elif common:
            pairs.append((steps[0][max(common)], steps[1][max(common)]))
        else:
            pairs.append((steps[0][max(steps[0])], steps[1][max(steps[1])]))
    if not pairs:
        have = " and ".join(
            f"{folder} has {', '.join(sorted('/'.join(key) for key in found)) or 'none'}"
            for folder, found in zip((a, b), tables, strict=True)
        )
        raise FileNotFoundError(f"there is no evaluation of both{'' if step is None else f' at step {step}'}: {have}")
    return pairs


def _table(differences: Sequence[Difference]) -> str:
    """Differences as aligned lines, those of an evaluation together."""
    rows = [
        ["evaluation", "step", "metric", "A", "B", "A - B", "95 % interval", "n", "only A", "only B", "p (McNemar)"]
    ]
    for entry in differences:
        step = str(entry.steps[0]) if entry.steps[0] == entry.steps[1] else f"{entry.steps[0]}, {entry.steps[1]}"
        interval = "[{:+.4f}, {:+.4f}]".format(*entry.ci95) if entry.ci95 else "-"
        figures = [f"{entry.a:.4f}", f"{entry.b:.4f}", f"{entry.difference:+.4f}", interval, f"{entry.n:,}"]
        test = [
            "-" if entry.only_a is None else f"{entry.only_a:,}",
            "-" if entry.only_b is None else f"{entry.only_b:,}",
            "-" if entry.p_mcnemar is None else f"{entry.p_mcnemar:.3g}",
        ]
        rows.append([f"{entry.task} {entry.variant}", step, entry.metric, *figures, *test])
    drawn = sorted({entry.units for entry in differences})
    note = (
        f"Intervals: {RESAMPLES:,} paired resamples of {', '.join(drawn)}; they do not hold how seeds of training vary."
    )
    return f"{aligned(rows)}\n{note}"
