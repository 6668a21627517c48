"""A callback that counts how often `torch.compile` has made a graph."""

from pathlib import Path

import lightning as L
from torch._dynamo.utils import counters

__all__ = ["GraphCount"]


class GraphCount(L.Callback):
    """Writes the number of compiled graphs after every validation.

    Args:
        file: where the numbers go, one a line.
    """

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        with self.file.open("a") as file:
            file.write(f"{counters['stats']['unique_graphs']}\n")
