"""Which windows are read at which step: a pure function of (seed, step), whatever the number of ranks."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from datamodules.batch import Batch
from datamodules.token_shards import TokenShards

__all__ = ["TrainingWindows", "ValidationWindows", "permutation"]

ENDLESS = 10**10  # micro-batches; an unsized loader would make Lightning prefetch one and lose it on resume


def permutation(seed: int, index: int, n: int) -> np.ndarray:
    """Order in which pass `index` reads `n` windows; another for every seed and pass."""
    return np.random.default_rng([seed, index]).permutation(n)


class TrainingWindows:
    """Endless micro-batches for one rank, over as many reshuffled passes as it takes.

    Sequence k of the run is window `permutation(seed, k // n)[k mod n]`; a global batch is `batch_size` consecutive k,
    divided into micro-batches of `world_size * micro_batch_size`, of which every rank reads its share. The state is the
    number of sequences consumed by all ranks together, so it is equal on all of them, and none is read twice or skipped
    after a resume, also with other ranks or micro-batches.

    Args:
        shards: what to read.
        micro_batch_size: sequences per rank and micro-batch.
        rank: of this process.
        world_size: number of processes.
        seed: of the permutations.
    """

    def __init__(self, shards: TokenShards, *, micro_batch_size: int, rank: int, world_size: int, seed: int) -> None:
        self.shards = shards
        self.micro_batch_size = micro_batch_size
        self.rank = rank
        self.world_size = world_size
        self.seed = seed
        self.sequences = 0  # consumed by all ranks together
        self._pass = (-1, np.empty(0, np.int64))

    def __len__(self) -> int:
        return ENDLESS

    def __iter__(self) -> Iterator[Batch]:
        while True:
            first = self.sequences + self.rank * self.micro_batch_size
            self.sequences += self.world_size * self.micro_batch_size  # before the yield: what a checkpoint must say
            yield batch_of(self.shards.read(self.windows(first, self.micro_batch_size)))

    def windows(self, first: int, count: int) -> np.ndarray:
        """Windows of the sequences `first` to `first + count - 1` of the run; they may straddle two passes."""
        n = len(self.shards)
        windows = []
        while count > 0:
            index, start = divmod(first, n)
            if self._pass[0] != index:
                self._pass = (index, permutation(self.seed, index, n))
            piece = self._pass[1][start : start + count]
            windows.append(piece)
            first, count = first + len(piece), count - len(piece)
        return np.concatenate(windows)

    def state_dict(self) -> dict[str, int]:
        """Where the run stands."""
        return {"sequences": self.sequences}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self.sequences = state["sequences"]


class ValidationWindows:
    """Micro-batches of the first windows of the validation part, in order, for one rank; sized for the full pass.

    Lightning asks for the length once; a quick pass ends early. No micro-batch holds windows of both kinds.

    Args:
        shards: what to read.
        quick: windows of a quick pass, over all ranks.
        full: windows of a full pass, over all ranks; the quick ones come first.
        in_full: asked at the start of every pass.
        micro_batch_size: sequences per rank and micro-batch.
        rank: of this process; it reads every `world_size`-th window.
        world_size: number of processes.
    """

    def __init__(
        self,
        shards: TokenShards,
        *,
        quick: int,
        full: int,
        in_full: Callable[[], bool],
        micro_batch_size: int,
        rank: int,
        world_size: int,
    ) -> None:
        self.shards = shards
        self.in_full = in_full
        self.micro_batches = {
            is_quick: np.split(mine, range(micro_batch_size, len(mine), micro_batch_size)) if len(mine) else []
            for is_quick, mine in (
                (True, np.arange(rank, quick, world_size)),
                (False, np.arange(quick + rank, full, world_size)),
            )
        }

    def __len__(self) -> int:
        return len(self.micro_batches[True]) + len(self.micro_batches[False])

    def __iter__(self) -> Iterator[Batch]:
        full = self.in_full()
        for windows in self.micro_batches[True]:
            yield batch_of(self.shards.read(windows), quick=True, full=full)
        if full:
            for windows in self.micro_batches[False]:
                yield batch_of(self.shards.read(windows), quick=False, full=True)


def batch_of(windows: Tensor, *, quick: bool = True, full: bool = False) -> Batch:
    """Tokens and targets of windows of shape `(batch, time + 1)`, in page-locked memory where a GPU will copy them."""
    tokens, targets = windows[:, :-1].contiguous(), windows[:, 1:].contiguous()
    if torch.cuda.is_available():
        tokens, targets = tokens.pin_memory(), targets.pin_memory()
    return Batch(tokens, targets, quick, full)
