"""The inner loop: a new model starts from a connectome, from a random one, or from none (section 2.1.4).

Three further arms take a connectome apart, to ask what it is that helps: the signs, the values, or the mask.
"""

from pathlib import Path
from typing import Any, Literal, get_args

import lightning as L
import torch

from callbacks.run_folder import RunFolder
from callbacks.sparse_training import SparseTraining
from connectome import Connectome, load_connectome
from datamodules.manifest import part_of

__all__ = ["Arm", "InheritConnectome"]

Arm = Literal["Connectome", "RandomConnectome", "NoConnectome", "ShuffledSigns", "PositionsOnly", "InitialisationOnly"]


class InheritConnectome(SparseTraining):
    """Sets the weights to a connectome's +0.02, -0.02 and 0 before the first step, and keeps its mask to the end.

    Args:
        arm: `Connectome` starts from the file; `RandomConnectome` from as many weights per matrix at random positions
            with random signs; `NoConnectome` from the model's ordinary dense initialisation: the callback does nothing.
            Not in the paper: `ShuffledSigns` keeps the connectome's positions and deals its signs out anew within each
            matrix; `PositionsOnly` keeps the positions alone, with the values that the model has there, which are
            ordinary initialisation or, with --model.checkpoint, trained; `InitialisationOnly` starts like `Connectome`
            and then trains every weight, without a mask.
        connectome: a `.connectome` file, as the outer loop leaves; unused by `NoConnectome`.
        steps_per_generation: optimizer steps of the whole inner run.
        seed: of the run, of the random connectome, and of the shuffled signs.
    """

    def __init__(
        self,
        *,
        arm: Arm = "Connectome",
        connectome: str | None = None,
        steps_per_generation: int = 2000,
        seed: int = 0,
    ) -> None:
        super().__init__(steps_per_generation=steps_per_generation, seed=seed)
        if arm not in get_args(Arm):
            raise ValueError(f"unknown arm {arm!r}; known: {', '.join(get_args(Arm))}")
        if arm != "NoConnectome" and connectome is None:
            raise ValueError(f"the arm {arm} needs a connectome: set --wiring.connectome to a generation's file")
        self.arm = arm
        self.file = connectome
        self.connectome: Connectome | None = None

    def finished_file(self, folder: RunFolder, step: int) -> Path | None:
        """`final.safetensors` at the end of the run."""
        return folder.final if step == self.steps_per_generation else None

    def about(self) -> dict[str, Any]:
        """Arm, seed and density."""
        return {"arm": self.arm} | super().about()

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Read the connectome and hold it against model and data, before anything else is done."""
        super().setup(trainer, pl_module, stage)
        if self.arm == "NoConnectome" or self.file is None or stage != "fit":
            return
        connectome = load_connectome(self.file)
        connectome.check_fits({n: tuple(w.shape) for n, w in zip(self.names, self.weights, strict=True)})
        part = part_of(trainer)
        if part and connectome.provenance.tokenizer not in ("", part.tokenizer):
            raise ValueError(
                f"{self.file} evolved on tokens of {connectome.provenance.tokenizer!r}, the shards hold tokens of "
                f"{part.tokenizer!r}: its embedding would mean nothing"
            )
        if self.arm == "RandomConnectome":
            connectome = connectome.random_like(self.seed)
        elif self.arm == "ShuffledSigns":
            connectome = connectome.shuffled_signs(self.seed)
        self.connectome = connectome

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Wire the model, unless a checkpoint brings its masks along."""
        if self.restored is not None and self.restored["arm"] != self.arm:
            raise ValueError(
                f"the checkpoint is of the arm {self.restored['arm']}, not {self.arm}: use another run folder"
            )
        super().on_fit_start(trainer, pl_module)
        if self.restored is None and self.connectome is not None:
            self.inherit(self.connectome)
            pl_module.record |= self.about()
        self.connectome = None

    @torch.no_grad()
    def inherit(self, connectome: Connectome) -> None:
        """Set the weights and the masks, or what the arm leaves of them."""
        if self.arm != "PositionsOnly":
            super().inherit(connectome)
        else:
            self.set_masks(connectome.masks())
            for weight, mask in zip(self.weights, self.masks, strict=True):
                weight.mul_(mask)
        if self.arm == "InitialisationOnly":
            self.masks, self.density = [], 1.0

    def state_dict(self) -> dict[str, Any]:
        """The arm, and the masks in training."""
        return super().state_dict() | {"arm": self.arm}
