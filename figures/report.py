"""`python cli.py report`: runs, or an earlier report -> one page, and its pictures and tables as files."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes

from figures.arms import ARMS
from figures.comparisons import Comparison, comparisons
from figures.experiment import Experiment, last_measurements, read_experiment
from figures.loss_table import arms_table, generations_table
from figures.page import write_page
from figures.panel_rows import TASKS, panel_rows
from figures.panels import PANELS, caption, scale
from figures.pictures import save
from figures.results import Measurement, ends_of
from figures.run_costs import RunCost, run_costs
from figures.runs import OUTER, Run
from figures.shown import Shown, read_rows, write_rows
from figures.summary import Line, summary

__all__ = ["Missing", "Report", "missing", "report"]

DATA, FIGURES, PAGE = "data", "figures", "index.html"
OVERVIEW = "overview"


class Caption(NamedTuple):
    """The words below a panel, or, of the panel `report`, below the title of the page."""

    panel: str
    caption: str


class Missing(NamedTuple):
    """What a complete experiment would have and these runs do not.

    Args:
        panel: that it is missing from; empty if from all.
        what: a sentence without its full stop.
    """

    panel: str
    what: str


class Report(NamedTuple):
    """All that is drawn or written. Everything in it is rows, so that it can be drawn again without the runs.

    Args:
        panels: rows of each panel; of one for which nothing is there, none.
        captions: of the panels that are there, and the scale of the experiment.
        results: figures of each model at its last step.
        compared: paired tests between arms.
        costs: configuration and cost of each run.
        missing: what is not there.
    """

    panels: dict[str, list[Shown]]
    captions: list[Caption]
    results: list[Measurement]
    compared: list[Comparison]
    costs: list[RunCost]
    missing: list[Missing]


TABLES = {"captions": Caption, "results": Measurement, "compared": Comparison, "costs": RunCost, "missing": Missing}


def report(runs: Sequence[str] = (), out: str = "report", again: str = "") -> None:
    """Print the losses of all runs, and write one page with every panel and table; what is missing is named.

    Args:
        runs: folders of runs, or of experiments with runs in them.
        out: folder for the page, its pictures (`figures/`) and its tables (`data/`).
        again: an earlier report's folder, to draw from its tables, without the runs.

    Raises:
        FileNotFoundError: if a folder is not there or holds no run, or no report.
        ValueError: if a configuration, a record or an event file is damaged, two runs are the same, or both runs and
            an earlier report were given, or neither.
    """
    if bool(runs) == bool(again):
        raise ValueError("name folders of runs, or with --from the folder of an earlier report; not both, not neither")
    made = read_report(Path(again)) if again else report_of(read_experiment(runs))
    sizes = [*dict.fromkeys(cost.size for cost in made.costs)]
    for size in sizes:
        ends = ends_of(m for m in made.results if m.size == size)
        print(*([f"Models of {size} weights"] if len(sizes) > 1 else []), arms_table(ends), "", sep="\n")
        print(generations_table(ends))
    for line in made.missing:
        print(f"missing: {f'{PANELS[line.panel].title}: ' if line.panel else ''}{line.what}")
    print(f"written: {write_report(made, Path(out))}")


def report_of(experiment: Experiment) -> Report:
    """Everything that the page of an experiment shows."""
    panels, costs = panel_rows(experiment), run_costs(experiment)
    captions = [Caption("report", scale(costs))]
    captions += [Caption(name, caption(name, rows, experiment, costs)) for name, rows in panels.items() if rows]
    results = last_measurements(experiment.measured)
    return Report(panels, captions, results, comparisons(experiment), costs, missing(experiment, panels))


def read_report(folder: Path) -> Report:
    """What an earlier report has written.

    Raises:
        FileNotFoundError: if the folder holds no report.
        ValueError: if one of its tables is damaged.
    """
    tables = {name: read_rows(folder / DATA / f"{name}.csv", kind) for name, kind in TABLES.items()}
    panels = {name: folder / DATA / f"{name}.csv" for name in PANELS}
    rows = {name: read_rows(path, Shown) if path.is_file() else [] for name, path in panels.items()}
    return Report(rows, **tables)


def write_report(made: Report, out: Path) -> Path:
    """Write tables and pictures, and last the page, of which the path is returned."""
    for name, kind in TABLES.items():
        write_rows(getattr(made, name), out / DATA / f"{name}.csv", kind)
    lines = summary(made.results)
    write_rows(lines, out / DATA / "summary.csv", Line)
    drawable: dict[str, tuple[str, Callable[[Axes], Axes]]] = {}
    for name, rows in made.panels.items():
        if rows:
            write_rows(rows, out / DATA / f"{name}.csv", Shown)
            drawable[name] = (PANELS[name].title, partial(PANELS[name].draw, rows))
    pictures = {name: save({name: panel}, *_files(out, name)) for name, panel in drawable.items()}
    if len(drawable) > 1:
        save(drawable, _files(out, OVERVIEW)[0])
    captions = dict(made.captions)
    return write_page(out / PAGE, pictures, captions, lines, made.compared, made.costs, _sentences(made.missing))


def missing(experiment: Experiment, panels: Mapping[str, Sequence[Shown]]) -> list[Missing]:
    """What a complete experiment would have and these runs do not."""
    runs = experiment.runs
    found = [Missing("", line) for line in (*_absent_runs(runs), *_unfinished(experiment))]
    for name, rows in panels.items():
        if not rows:
            found.append(Missing(name, f"nothing to draw; it takes {PANELS[name].needs}"))
            continue
        for size in dict.fromkeys(run.size for run in runs) if name in TASKS else []:
            there = {(row.series, row.seed) for row in rows if row.role == "seed" and row.size == size}
            wanted = [(run.arm, run.seed) for run in runs if run.arm in ARMS and run.size == size]
            if absent := [f"{arm} seed {seed}" for arm, seed in wanted if (arm, seed) not in there]:
                found.append(Missing(name, f"not evaluated: {', '.join(absent)}{f', {size}' if size else ''}"))
    return found


def _absent_runs(runs: Collection[Run]) -> list[str]:
    lines = []
    for size in dict.fromkeys(run.size for run in runs):
        of_size = [run for run in runs if run.size == size]
        suffix = f", {size}" if len({run.size for run in runs}) > 1 else ""
        seeds = sorted({run.seed for run in of_size})
        for arm in (OUTER, *ARMS):
            name = "the outer loop, and with it the dense upper bound," if arm == OUTER else f"the arm {arm}"
            there = {run.seed for run in of_size if run.arm == arm}
            if not there:
                lines.append(f"{name} of any seed{suffix}")
            elif absent := [seed for seed in seeds if seed not in there]:
                lines.append(f"{name} of seed {', '.join(map(str, absent))}{suffix}")
    return lines


def _unfinished(experiment: Experiment) -> list[str]:
    ends: dict[tuple[str, str, int], set[int]] = {}
    for m in experiment.measured:
        if (m.task, m.metric) == ("validation", "loss_full"):
            ends.setdefault((m.size, m.arm, m.seed), set()).add(m.generation)
    lines = []
    for run in experiment.runs:
        reached = ends.get((run.size, run.arm, run.seed), set())
        left = [generation for generation in range(run.generations) if generation not in reached]
        if left and run.arm == OUTER:
            lines.append(f"the end of generation {', '.join(map(str, left))} in {run.folder}")
        elif left:
            lines.append(f"the end of {run.folder}: it has not reached step {run.steps:,}")
        if not experiment.curves.get(run):
            lines.append(f"curves in {run.folder / 'tensorboard'}")
    return lines


def _sentences(lines: Collection[Missing]) -> list[tuple[str, str]]:
    return [(PANELS[line.panel].title if line.panel else "", line.what) for line in lines]


def _files(out: Path, name: str) -> tuple[Path, Path]:
    return out / FIGURES / f"{name}.png", out / FIGURES / f"{name}.pdf"
