"""Which runs there are: the folders that were named, and the run folders in them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

__all__ = ["OUTER", "Run", "find_runs"]

OUTER = "outer"
CONFIG = "config.yaml"


class Run(NamedTuple):
    """A run folder, and what its configuration says.

    Args:
        folder: where it lies.
        arm: of the inner loop; `outer` for an outer loop.
        seed: of the run.
        generations: how many were asked for; an inner run counts as one.
        steps: optimizer steps of a generation.
    """

    folder: Path
    arm: str
    seed: int
    generations: int
    steps: int


def find_runs(folders: Iterable[str | Path]) -> list[Run]:
    """Runs in run folders or experiment folders, in order of arm and seed.

    Raises:
        FileNotFoundError: if a folder is not there, or neither is a run nor holds one.
        ValueError: if a configuration is no run's, or two runs are of the same arm and seed.
    """
    found: dict[Path, Run] = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise FileNotFoundError(
                f"there is no folder {folder}: name a run folder, or an experiment's such as runs/paper"
            )
        configs = [folder / CONFIG] if (folder / CONFIG).is_file() else sorted(folder.rglob(CONFIG))
        if not configs:
            raise FileNotFoundError(
                f"{folder} is no run and holds none: expected {CONFIG} in it, in outer/seed_<s> or in "
                "inner/<arm>/seed_<s>"
            )
        found |= {path.parent.resolve(): read_run(path) for path in configs}
    by_identity: dict[tuple[str, int], Run] = {}
    for run in found.values():
        other = by_identity.setdefault((run.arm, run.seed), run)
        if other is not run:
            raise ValueError(
                f"{other.folder} and {run.folder} are both {run.arm} with seed {run.seed}: report one experiment "
                "at a time"
            )
    return [by_identity[key] for key in sorted(by_identity)]


def read_run(config: Path) -> Run:
    """What `config.yaml` of a run folder says.

    Raises:
        ValueError: if it is not the configuration of an outer or inner loop.
    """
    try:
        content: dict[str, Any] = yaml.safe_load(config.read_text())
        wiring = content["wiring"]
        inner = wiring["class_path"].endswith("InheritConnectome")
        return Run(
            folder=config.parent,
            arm=wiring["init_args"]["arm"] if inner else OUTER,
            seed=int(content["seed_everything"]),
            generations=int(content["generations"]),
            steps=int(content["steps_per_generation"]),
        )
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{config} is not the configuration of an outer or inner loop ({type(error).__name__}: {error}); name the "
            "folders of runs that `python cli.py fit` wrote"
        ) from error
