"""Which runs there are: the folders that were named, and the run folders in them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

__all__ = ["OUTER", "Run", "find_runs"]

OUTER = "outer"
CONFIG = "config.yaml"
SHAPE = ("vocab_size", "n_layer", "n_head", "n_embd", "block_size", "tied_embeddings")


@dataclass(frozen=True)
class Run:
    """A run folder, and what its configuration says.

    Args:
        folder: where it lies.
        arm: of the inner loop; `outer` for an outer loop.
        seed: of the run.
        generations: how many were asked for; an inner run counts as one.
        steps: optimizer steps of a generation.
        size: of the model, in weights, such as `124M`; empty where the configuration does not say.
        config: all of the configuration.
    """

    folder: Path
    arm: str
    seed: int
    generations: int
    steps: int
    size: str = ""
    config: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def last_step(self) -> int:
        """Optimizer steps of the whole run."""
        return self.generations * self.steps


def find_runs(folders: Iterable[str | Path]) -> list[Run]:
    """Runs in run folders or experiment folders, in order of size, arm and seed.

    Raises:
        FileNotFoundError: if a folder is not there, or neither is a run nor holds one.
        ValueError: if a configuration is no run's, or two runs are of the same size, arm and seed.
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
    by_identity: dict[tuple[float, str, str, int], Run] = {}
    for run in found.values():
        other = by_identity.setdefault((_weights(run.size), run.size, run.arm, run.seed), run)
        if other is not run:
            raise ValueError(
                f"{other.folder} and {run.folder} are both {run.arm} with seed {run.seed} and of one size: report one "
                "experiment at a time"
            )
    return [by_identity[key] for key in sorted(by_identity)]


def read_run(config: Path) -> Run:
    """What `config.yaml` of a run folder says.

    Raises:
        ValueError: if it is not the configuration of an outer or inner loop.
    """
    try:
        content: dict[str, Any] = yaml.load(config.read_text(), _LOADER)
        wiring = content["wiring"]
        inner = wiring["class_path"].endswith("InheritConnectome")
        return Run(
            folder=config.parent,
            arm=wiring["init_args"]["arm"] if inner else OUTER,
            seed=int(content["seed_everything"]),
            generations=int(content["generations"]),
            steps=int(content["steps_per_generation"]),
            size=_size(content.get("model") or {}),
            config=content,
        )
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{config} is not the configuration of an outer or inner loop ({type(error).__name__}: {error}); name the "
            "folders of runs that `python cli.py fit` wrote"
        ) from error


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times faster


def _size(model: Mapping[str, Any]) -> str:
    """How many weights a model has, as a short word: the paper's name, unless its shape is another."""
    shape = {name: model[name] for name in SHAPE if model.get(name) is not None}
    if not (shape.keys() - {"block_size"}):
        return str(model.get("size") or "")
    from lightning_modules.gpt import GPTConfig  # imports torch, which the paper's sizes need not wait for

    config = GPTConfig.named(model.get("size") or "124M", **shape)
    embeddings = (1 if config.tied_embeddings else 2) * config.vocab_size * config.n_embd
    millions = (embeddings + 12 * config.n_layer * config.n_embd**2) / 1e6
    return f"{millions:.0f}M" if millions >= 10 else f"{millions:.2g}M"


def _weights(size: str) -> float:
    return float(size.removesuffix("M") or 0)
