"""A callback that notes at which steps the host asks the device for a value, and would wait for a GPU."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["HostReads"]

WAIT = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_dim"}
BY_MASK = {"index", "index_put", "index_put_", "_index_put_impl_"}  # with a mask these count its ones first


class HostReads(L.Callback):
    """Writes, by the number of the optimizer step in progress, how often which operation needed a value on the host.

    What follows a step, as its validation, counts as that step's. Copies to the host cannot be seen on a CPU.

    Args:
        file: where the counts go, as JSON, at the end; those of rank zero.
    """

    def __init__(self, file: str) -> None:
        self.file = Path(file)
        self.step = 0
        self.reads: dict[int, Counter[str]] = {}
        self.mode = Listener(self)

    def note(self, operation: str) -> None:
        """Count one."""
        self.reads.setdefault(self.step, Counter())[operation] += 1

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.step = trainer.global_step + 1
        self.mode.__enter__()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.step = trainer.global_step + 1

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.mode.__exit__(None, None, None)
        if trainer.is_global_zero:
            self.file.write_text(json.dumps(self.reads))


class Listener(TorchDispatchMode):
    """Tells a `HostReads` of every operation that returns a value to the host, or a shape that depends on values."""

    def __init__(self, reads: HostReads) -> None:
        super().__init__()
        self.reads = reads

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        by_mask = name in BY_MASK and any(index is not None and index.dtype == torch.bool for index in args[1])
        if name in WAIT or by_mask:
            self.reads.note(name)
        return func(*args, **(kwargs or {}))
