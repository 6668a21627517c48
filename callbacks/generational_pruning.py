"""The outer loop: between generations only a connectome survives (Kotar & Tuckute 2025, section 2.1.2)."""

from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch

from callbacks.anatomy_log import log_histograms_and_pictures
from callbacks.run_folder import RunFolder
from callbacks.sparse_training import SparseTraining
from connectome import Connectome, Provenance, load_connectome, prune_smallest, prune_smallest_globally, save_connectome
from connectome.anatomy import anatomy
from datamodules.manifest import part_of

__all__ = ["GenerationalPruning"]


class GenerationalPruning(SparseTraining):
    """At the end of each generation writes its connectome; at the start of the next prunes and resets to it.

    A generation has S steps. At step (g + 1) S the trained weights are still there: they are validated, saved and kept,
    and `connectomes/generation_<g>.connectome` is written. The first micro-batch after it crosses into generation g+1:
    the `fraction` of the remaining weights that is smallest in magnitude becomes zero for good, each survivor becomes
    +0.02 or -0.02 by its sign, and the optimizer forgets. A checkpoint of step (g + 1) S therefore still belongs to
    generation g, and whoever resumes from it crosses again, alike. Every rank decides alike without communicating.

    Logs at each end: `connectome/density`, `connectome/density/<matrix>`, `connectome/excitatory_share`, and
    `connectome/signs_flipped`, the share of the survivors whose sign differs from the parent's; the numbers of
    `connectome.anatomy`, histograms of the degrees, and pictures of the first matrices.

    Args:
        fraction: share of the remaining weights that a generation does not pass on.
        scope: one threshold for each matrix (`layer-wise`), or one for all (`global`), which the paper found worse.
        steps_per_generation: optimizer steps of a generation.
        seed: of the run; written into the connectomes.
    """

    def __init__(
        self,
        *,
        fraction: float = 0.2,
        scope: Literal["layer-wise", "global"] = "layer-wise",
        steps_per_generation: int = 7000,
        seed: int = 0,
    ) -> None:
        super().__init__(steps_per_generation=steps_per_generation, seed=seed)
        if not 0 <= fraction < 1:
            raise ValueError(f"the pruned fraction must lie in [0, 1), found {fraction}")
        if scope not in ("layer-wise", "global"):
            raise ValueError(f"scope must be layer-wise or global, found {scope!r}")
        self.fraction = fraction
        self.scope = scope
        self.generation = 0
        self.heir: Connectome | None = None  # of the generation that has just ended, until the next begins

    def finished_file(self, folder: RunFolder, step: int) -> Path | None:
        """`generations/<g>.safetensors` at the end of generation g."""
        generation, rest = divmod(step, self.steps_per_generation)
        return folder.kept(generation - 1) if step and rest == 0 else None

    def about(self) -> dict[str, Any]:
        """Generation, seed and density."""
        return {"generation": self.generation} | super().about()

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take up the generation of the checkpoint; refuse to start afresh in the folder of another run."""
        if self.restored is not None:
            self.generation = self.restored["generation"]
        else:
            folder = RunFolder(trainer.default_root_dir)
            first = folder.connectome(0)  # alone, it is of a run that was killed before its first checkpoint
            there = [
                path for path in sorted(first.parent.glob("*.connectome")) if path != first or folder.kept(0).is_file()
            ]
            if there and trainer.is_global_zero and not getattr(trainer, "fast_dev_run", False):
                raise FileExistsError(
                    f"{trainer.default_root_dir} already holds connectomes of another run ({there[0].name}, …) and no "
                    "checkpoint to go on from: choose another folder with --run"
                )
        super().on_fit_start(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Cross into the next generation where the step says so."""
        if trainer.global_step // self.steps_per_generation > self.generation:
            if trainer.global_step != (self.generation + 1) * self.steps_per_generation:
                raise RuntimeError(
                    f"step {trainer.global_step} is not the end of generation {self.generation} "
                    f"({self.steps_per_generation} steps each): the checkpoint is of another run"
                )
            self.inherit(self.heir or self.prune(pl_module, trainer))
            self.heir = None
            for optimizer in trainer.optimizers:
                optimizer.state.clear()
            self.generation += 1
            pl_module.record |= self.about()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the connectome where a generation ends; the weights stay as they were trained."""
        if trainer.global_step != (self.generation + 1) * self.steps_per_generation:
            return
        pl_module.raise_if_not_finite()
        self.heir = self.prune(pl_module, trainer)
        if trainer.is_global_zero:
            folder = RunFolder(trainer.default_root_dir)
            save_connectome(self.heir, folder.connectome(self.generation))
            pl_module.log_at(trainer.global_step, self.describe(self.heir, folder))
            log_histograms_and_pictures(trainer.loggers, self.heir, trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        """The generation, and the masks in training."""
        return super().state_dict() | {"generation": self.generation}

    @torch.no_grad()
    def prune(self, pl_module: L.LightningModule, trainer: L.Trainer) -> Connectome:
        """What the weights as they stand leave to the next generation."""
        masks = [m != 0 for m in self.masks] or [torch.ones_like(w, dtype=torch.bool) for w in self.weights]
        if self.scope == "global":
            kept = prune_smallest_globally(self.weights, masks, self.fraction)
        else:
            kept = [prune_smallest(w, m, self.fraction) for w, m in zip(self.weights, masks, strict=True)]
        part = part_of(trainer)
        return Connectome.from_weights(
            dict(zip(self.names, self.weights, strict=True)),
            dict(zip(self.names, kept, strict=True)),
            architecture=vars(pl_module.config),
            provenance=Provenance(
                generation=self.generation,
                seed=self.seed,
                step=(self.generation + 1) * self.steps_per_generation,
                data=part.fingerprint if part else "",
                tokenizer=part.tokenizer if part else "",
            ),
        )

    def describe(self, heir: Connectome, folder: RunFolder) -> dict[str, float]:
        """Figures of a connectome to log; against its parent's where that is there."""
        figures = {"connectome/density": heir.density, "connectome/excitatory_share": heir.excitatory_share}
        figures |= {f"connectome/density/{name}": density for name, density in heir.densities.items()}
        figures |= {f"connectome/{name}": value for name, value in anatomy(heir).items()}
        parent = folder.connectome(self.generation - 1)
        if self.generation > 0 and parent.is_file():
            figures["connectome/signs_flipped"] = 1 - heir.overlap(load_connectome(parent)).sign_agreement
        return figures
