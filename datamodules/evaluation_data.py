"""What every evaluation's DataModule has: a task, a protocol, a source, and the model's tokenizer and context."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import lightning as L

__all__ = ["DataSource", "EvaluationData"]


@dataclass(frozen=True)
class DataSource:
    """Where the items of an evaluation came from.

    Args:
        name: of the data set, or the folder.
        revision: commit or release; empty if not known.
        sha256: by file name.
    """

    name: str
    revision: str
    sha256: dict[str, str]


class EvaluationData(L.LightningDataModule, ABC):
    """Items of one task under one protocol, as batches for its test loop.

    Sub-classes read and check their files in `read`, and divide the items over ranks themselves.

    Args:
        protocol: how the task is posed and scored; each DataModule says which it knows.
        tokenizer: the model's.
        block_size: tokens of the model's context.

    Attributes:
        task: name of the task in records and file names.
        source: where the items came from; set by `read`.
        number_of_items: how many the loop collects over all ranks: items, or answers to them; set by `read`.
    """

    task: ClassVar[str]
    source: DataSource
    number_of_items: int

    def __init__(self, *, protocol: str, tokenizer: str, block_size: int) -> None:
        super().__init__()
        self.protocol = protocol
        self.tokenizer = tokenizer
        self.block_size = block_size
        self.has_read = False

    def setup(self, stage: str) -> None:
        """Read once, however many models are evaluated."""
        if not self.has_read:
            self.read()
            self.has_read = True

    @abstractmethod
    def read(self) -> None:
        """Read and check the files, and make the items."""

    @abstractmethod
    def test_dataloader(self) -> Iterable[Any]:
        """Batches of this rank."""

    def options(self) -> dict[str, Any]:
        """What was chosen other than the protocol says and changes its figures, for example a limit; else empty."""
        return {}

    def about(self) -> dict[str, Any]:
        """Further entries of every record, for example `bos`, `window`, `batch_tokens`, or how many rows were cut."""
        return {}
