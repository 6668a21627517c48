"""A callback that notes what each rank of a run reduces and validates."""

import json
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

__all__ = ["RankProbe"]


class RankProbe(L.Callback):
    """Writes `rank_<r>.json`: all-reduces of gradients in each micro-batch, and what was validated, in which type.

    Also whether the gradients lie in DDP's buckets after each micro-batch: all, some or none of them.

    Args:
        folder: where the files go, at the end.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.reductions: list[int] = []
        self.buckets: set[int] = set()  # addresses of their storages
        self.in_buckets: list[str] = []
        self.windows: list[list[int]] = []  # first tokens of every window validated
        self.types: set[str] = set()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        def count(group: Any, bucket: torch.distributed.GradBucket) -> torch.futures.Future[torch.Tensor]:
            self.reductions[-1] += 1
            self.buckets.add(bucket.buffer().untyped_storage().data_ptr())
            return allreduce_hook(group, bucket)

        trainer.strategy.model.register_comm_hook(None, count)
        pl_module.net.transformer.h[0].mlp.c_fc.register_forward_hook(self.note_type)

    def note_type(self, module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> None:
        if not module.training:
            self.types.add(str(output.dtype))

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.reductions.append(0)

    def on_after_backward(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        lie = {weight.grad.untyped_storage().data_ptr() in self.buckets for weight in pl_module.net.parameters()}
        self.in_buckets.append("some" if len(lie) > 1 else "all" if lie.pop() else "none")

    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.windows += batch.tokens[:, :8].tolist()

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        seen: dict[str, Any] = {"reductions": self.reductions, "windows": self.windows, "types": sorted(self.types)}
        seen["in_buckets"] = self.in_buckets
        (self.folder / f"rank_{trainer.global_rank}.json").write_text(json.dumps(seen))
