"""Which micro-batches the devices of a run have room for."""

from collections.abc import Sequence

import lightning as L
import torch
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_info

from lightning_modules.gpt import GPTConfig
from lightning_modules.training_memory import TrainingMemory, training_memory, usable_memory

__all__ = ["DeviceMemory"]


class DeviceMemory:
    """Holds what a training step is expected to take against what the devices have.

    Args:
        trainer: with its strategy and precision.
        config: shape of the network.
        compiled: whether the loss is compiled.
        logits_budget: GB of float32 logits beyond which the loss is formed chunk by chunk.
    """

    def __init__(self, trainer: L.Trainer, config: GPTConfig, *, compiled: bool, logits_budget: float) -> None:
        self.trainer = trainer
        self.config = config
        self.compiled = compiled
        self.logits_budget = logits_budget

    def largest_micro_batch(self, candidates: Sequence[int]) -> int:
        """The largest that is expected to fit every rank's device while weights are absent too; says which and why.

        Absent weights have masks, so all generations and arms of an experiment come to the same number.

        Args:
            candidates: numbers of sequences, one at least.

        Raises:
            ValueError: with the arithmetic, if none fits, or the memory of such a device is not known.
        """
        room = self.room()
        for sequences in sorted(candidates, reverse=True):
            memory = self.of(sequences)
            if memory.total <= room:
                rank_zero_info(f"micro-batches of {sequences}: {memory} expected of {room / 1e9:.1f} GB usable")
                return sequences
        raise ValueError(
            f"a micro-batch of {sequences} does not fit: {memory} expected of {room / 1e9:.1f} GB usable; choose a "
            "smaller --model.size, or name --data.micro_batch_size to try it all the same"
        )

    def fits(self, sequences: int) -> bool:
        """Whether a micro-batch of so many sequences is expected to fit every rank's device."""
        return self.of(sequences).total <= self.room()

    def of(self, sequences: int) -> TrainingMemory:
        """What a training step with so many sequences is expected to take."""
        return training_memory(
            self.config,
            sequences,
            precision="bf16-mixed" if self.trainer.precision == "bf16-mixed" else "32-true",
            compiled=self.compiled,
            masked=True,
            buckets=isinstance(self.trainer.strategy, DDPStrategy),
            logits_budget=self.logits_budget,
        )

    def room(self) -> int:
        """Bytes that a step may take; those of the smallest device, where ranks have different ones."""
        strategy = self.trainer.strategy
        mine = usable_memory(strategy.root_device, self.trainer.num_devices)
        return int(strategy.reduce(torch.tensor(mine, device=strategy.root_device), reduce_op="min"))

    def exhausted(self, sequences: int, smaller: Sequence[int]) -> str:
        """What to say where a step has run out of memory all the same.

        Args:
            sequences: of the micro-batch.
            smaller: numbers that divide the batch as well, in ascending order.
        """
        advice = (
            f"set --data.micro_batch_size {smaller[-1]}, the next smaller divisor; the same command goes on from the "
            "last checkpoint"
            if smaller
            else "a smaller one there is not: choose a smaller --model.size, or another device"
        )
        device = self.trainer.strategy.root_device
        return f"out of memory on {device} with micro-batches of {sequences}, {self.of(sequences)} expected; {advice}"
