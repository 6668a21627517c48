"""One evaluation of one model as a Lightning test loop: what they all share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch

from datamodules.evaluation_data import EvaluationData
from lightning_modules.metric import Metric
from lightning_modules.weights import read_weights

__all__ = ["Evaluation", "Items"]

Items = dict[str, np.ndarray]  # a table: columns of equal length by name, one of them `item`


class Evaluation(L.LightningModule, ABC):
    """Reads a model, collects what it makes of every item, and turns that into metrics when all ranks are done.

    A sub-class calls `collect` in `test_step` and says in `metrics` what the items amount to. `EvaluationFiles`, a
    callback, writes `results` and `items`.

    Args:
        checkpoint: weights to evaluate: a run's .ckpt or .safetensors.
        tokenizer: of the model, `gpt2` or `bytes`, where its checkpoint does not say.
        protocol: as the DataModule's; linked to it on the command line.

    Raises:
        FileNotFoundError: if there is no checkpoint.
        CheckpointError: if it is damaged, hostile or foreign.
        ValueError: if the model's tokenizer is not known, or is another one than asked for.
    """

    def __init__(self, *, checkpoint: str, tokenizer: str | None = None, protocol: str = "paper") -> None:
        super().__init__()
        weights = read_weights(checkpoint)
        self.checkpoint = checkpoint
        self.protocol = protocol
        self.config = weights.config
        self.record = dict(weights.record)
        self.nonzero = sum(int(matrix.count_nonzero()) for matrix in weights.tensors.values())
        self.tokenizer = weights.tokenizer(tokenizer)
        self.net = weights.network()
        self.items: Items = {}
        self.results: list[Metric] = []
        self.remarks: list[str] = []  # plain sentences printed below the table
        self.rows: list[Items] = []

    @property
    def data(self) -> EvaluationData:
        """The DataModule that feeds this loop."""
        return self.trainer.datamodule

    def assemble(self, collected: Items) -> Items:
        """The table of items from what was collected, which may be finer: answers, tokens. By default the same."""
        return collected

    @abstractmethod
    def metrics(self, items: Items) -> list[Metric]:
        """Figures drawn from all items, ordered by `item`. May add to `remarks`. Called on every rank alike."""

    def write(self, stem: Path) -> None:
        """Write further files beside the records, `stem` with suffixes of their own. By default none."""

    def on_test_start(self) -> None:
        """Forget an earlier pass."""
        self.items, self.results, self.remarks, self.rows = {}, [], [], []

    def collect(self, columns: Mapping[str, Sequence[Any] | np.ndarray | torch.Tensor]) -> None:
        """Keep what a batch has shown; `item` numbers what is collected from 0 on, over all ranks."""
        self.rows.append(
            {
                name: values.cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
                for name, values in columns.items()
            }
        )

    def on_test_epoch_end(self) -> None:
        """Bring the items of all ranks together, each once, and draw the metrics from them."""
        if self.trainer.fast_dev_run:
            return  # one batch only
        rows = self.rows
        if self.trainer.world_size > 1:
            shares: list[list[Items]] = [[] for _ in range(self.trainer.world_size)]
            torch.distributed.all_gather_object(shares, rows)
            rows = [batch for share in shares for batch in share]
        self.items = self.assemble(_table(rows, self.data.number_of_items))
        self.results = self.metrics(self.items)


def _table(rows: Sequence[Items], expected: int) -> Items:
    """One table in order of `item`, doubles dropped.

    Raises:
        RuntimeError: if an item is missing.
    """
    numbers, first = np.unique([number for batch in rows for number in batch["item"]], return_index=True)
    if len(numbers) != expected:
        raise RuntimeError(
            f"{len(numbers):,} of {expected:,} items came back; a rank has lost some (--trainer.limit_test_batches?)"
        )
    columns = {name: np.concatenate([batch[name] for batch in rows]) for name in rows[0]}
    return {name: values[first] for name, values in columns.items()}
