"""Weights that do not exist stay exactly zero, and so do their gradients and Adam moments."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, SingleDeviceStrategy
from torch import Tensor

from callbacks.run_folder import RunFolder
from connectome import Connectome

__all__ = ["SparseTraining", "refuse_sharding"]

SPARSE_UPDATES = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)  # a zero gradient leaves a zero weight at zero


class SparseTraining(L.Callback):
    """Multiplies gradients by masks once per optimizer step: after accumulation and all-reduce, before clipping.

    For AdamW that is enough: a weight, its gradient and its moments that are zero stay zero, and the clipped norm is
    that of the weights that exist. Masks are float32 tensors on the device and packed bits in a checkpoint; a tied
    weight is listed once. Where no mask is set the callback does nothing.

    Args:
        steps_per_generation: optimizer steps of a generation.
        seed: of the run.
    """

    def __init__(self, *, steps_per_generation: int = 7000, seed: int = 0) -> None:
        if steps_per_generation < 1:
            raise ValueError(f"steps_per_generation must be at least 1, found {steps_per_generation}")
        self.steps_per_generation = steps_per_generation
        self.seed = seed
        self.names: list[str] = []
        self.weights: list[Tensor] = []
        self.masks: list[Tensor] = []  # empty: dense
        self.density = 1.0  # share of the weights that exist in training
        self.restored: dict[str, Any] | None = None

    @staticmethod
    def of(trainer: L.Trainer) -> "SparseTraining | None":
        """The one that a trainer has, if any."""
        return next((callback for callback in trainer.callbacks if isinstance(callback, SparseTraining)), None)

    # what the two loops differ in

    def finished_file(self, folder: RunFolder, step: int) -> Path | None:
        """Where the trained weights of `step` are kept, if something ends there; nothing does by itself."""
        return None

    def about(self) -> dict[str, Any]:
        """What identifies the weights, for their record."""
        return {"seed": self.seed, "density": self.density}

    # hooks

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Find the matrices; refuse a network or strategy in which a mask per matrix means nothing."""
        refuse_sharding(type(trainer.strategy))
        parameters = dict(pl_module.net.named_parameters())
        flat = [name for name, weight in parameters.items() if weight.dim() != 2]
        if flat:
            raise ValueError(f"a connectome wires matrices; these parameters are none: {flat}")
        self.names, self.weights = list(parameters), list(parameters.values())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Keep what the checkpoint says until the device is known."""
        self.restored = state

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refuse an optimizer that would move absent weights; unpack the masks of a checkpoint."""
        for optimizer in trainer.optimizers:
            check_updates_are_sparse(optimizer)
        if trainer.ckpt_path and self.restored is None:
            raise ValueError(
                f"{trainer.ckpt_path} was not written by a run with {type(self).__name__}: it knows no masks. "
                "To start from its weights alone use --model.checkpoint"
            )
        if self.restored is not None:
            found = self.restored["steps_per_generation"]
            if found != self.steps_per_generation:
                raise ValueError(
                    f"the checkpoint counts {found} steps a generation, this run {self.steps_per_generation}: "
                    f"set --steps_per_generation {found}, or use another run folder"
                )
            if self.restored["masks"]:
                shapes = {name: weight.shape for name, weight in zip(self.names, self.weights, strict=True)}
                bits = {name: unpack(self.restored["masks"][name], shape) for name, shape in shapes.items()}
                self.set_masks(bits)
        pl_module.record |= self.about()

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """One multiplication of all gradients. Mixed dtypes would leave foreach's fast path, so masks are float32."""
        if self.masks:
            gradients: list[Any] = [weight.grad for weight in self.weights]
            torch._foreach_mul_(gradients, self.masks)

    def state_dict(self) -> dict[str, Any]:
        """Masks as packed bits, and the length of a generation."""
        masks = {name: pack(mask) for name, mask in zip(self.names, self.masks, strict=True)} if self.masks else {}
        return {"steps_per_generation": self.steps_per_generation, "masks": masks}

    # masks and weights

    def set_masks(self, masks: Mapping[str, Tensor]) -> None:
        """Take bool masks by parameter name; they move to the weights' device."""
        self.masks = [masks[name].to(w.device, torch.float32) for name, w in zip(self.names, self.weights, strict=True)]
        self.density = sum(int(m.sum()) for m in masks.values()) / sum(m.numel() for m in masks.values())

    @torch.no_grad()
    def inherit(self, connectome: Connectome) -> None:
        """Set weights to +0.02, -0.02 and 0, and the masks, from a connectome.

        In place, so that compiled graphs, DDP's buckets and the optimizer keep their tensors.
        """
        connectome.check_fits({n: tuple(w.shape) for n, w in zip(self.names, self.weights, strict=True)})
        values = connectome.weights()
        for name, weight in zip(self.names, self.weights, strict=True):
            weight.copy_(values[name])
        self.set_masks(connectome.masks())


def refuse_sharding(strategy: type) -> None:
    """Raise ValueError for a strategy under which a parameter is not one matrix, whole on every rank."""
    whole = issubclass(strategy, SingleDeviceStrategy | DDPStrategy)
    if not whole or issubclass(strategy, DeepSpeedStrategy):  # which Lightning derives from DDP's
        raise ValueError(
            f"{strategy.__name__} flattens or shards parameters, and masks are per matrix, whole on every rank: "
            "expected one device or DDP; use --trainer.strategy ddp"
        )


def check_updates_are_sparse(optimizer: torch.optim.Optimizer) -> None:
    """Raise ValueError for an optimizer that moves weights whose gradients are zero: Muon, or AdamW with eps=0."""
    if not isinstance(optimizer, SPARSE_UPDATES):
        known = ", ".join(kind.__name__ for kind in SPARSE_UPDATES)
        raise ValueError(
            f"{type(optimizer).__name__} may move a weight whose gradient is zero, which a mask on gradients cannot "
            f"prevent: use one of {known}"
        )
    for group in optimizer.param_groups:
        if group.get("eps", 1.0) <= 0:
            raise ValueError("eps=0 turns absent weights into NaN (0 / 0): use a positive eps, such as 1e-8")


def pack(mask: Tensor) -> Tensor:
    """Bits of a mask, eight a byte, uint8, shape `(ceil(numel / 8),)`."""
    return torch.from_numpy(np.packbits((mask != 0).flatten().cpu().numpy()))


def unpack(bits: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Bool mask of `shape` from its bits."""
    flat = np.unpackbits(bits.numpy(), count=int(np.prod(shape))).view(bool)
    return torch.from_numpy(flat).view(shape)
