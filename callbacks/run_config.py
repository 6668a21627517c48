"""The configuration of a run, kept in its folder; a resumed run must be the same experiment."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.utilities import rank_zero_warn

from connectome.atomic_file import atomic_file

__all__ = ["RunConfig"]

# What may differ from one start of a run to the next without making it another experiment.
FREE = (
    "checkpoint.",
    "data.folder",
    "data.micro_batch_size",
    "generation",
    "generations",
    "keep.",
    "model.checkpoint",
    "model.compile",
    "model.logits_budget",
    "parent",
    "run",
    "trainer.",
)
FIXED_TRAINER = ("trainer.deterministic", "trainer.gradient_clip_val", "trainer.precision")
# The same experiment with other roundings.
ROUNDING = ("model.compile", "model.logits_budget", "trainer.accelerator", "trainer.strategy")


class RunConfig:
    """`config.yaml` of a run folder.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def settle(self, config: Mapping[str, Any], *, begun: bool, write: bool) -> None:
        """Compare `config` with that of the run's earlier starts, then keep it.

        Args:
            config: what is asked for now.
            begun: whether earlier starts came far enough to leave anything; one that ended in an error message binds
                nobody.
            write: whether this process writes the file.

        Raises:
            ValueError: if it would make the run another experiment; the message says what differs.
            FileExistsError: if the folder holds a run that does not say what was asked of it.
        """
        if begun and not self.path.is_file():
            raise FileExistsError(
                f"{self.path.parent} already holds connectomes, weights or checkpoints of another run and no "
                f"{self.path.name} that says which: choose another folder with --run"
            )
        if begun:
            old, new = dict(_flat(yaml.safe_load(self.path.read_text()))), dict(_flat(config))
            differing = [
                key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key) and _matters(key)
            ]
            if differing:
                changes = "; ".join(f"{key}: {old.get(key)} -> {new.get(key)}" for key in differing)
                raise ValueError(
                    f"{self.path.parent} holds a run with another configuration ({changes}): give the same options as "
                    "before, or another folder with --run"
                )
            rounding = [key for key in ROUNDING if old.get(key) != new.get(key)]
            if rounding:
                rank_zero_warn(f"{', '.join(rounding)} changed since the run began: it goes on, but not bit for bit")
        if write:
            with atomic_file(self.path) as file:
                file.write(yaml.safe_dump(dict(config), sort_keys=False).encode())


def _matters(key: str) -> bool:
    return key in FIXED_TRAINER or not key.startswith(FREE)


def _flat(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(config, Mapping):
        for key, value in config.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, config
