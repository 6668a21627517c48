"""How fast a run is, and how much of the device that is."""

import time
from typing import Any

import lightning as L
import torch

__all__ = ["Throughput", "flops_per_token", "peak_flops"]

# Dense bfloat16 FLOP/s. Data sheets: A100 (2020), H100 SXM and PCIe (2022), H200 (2023), L40S (2023).
# Lightning 2.6 lists the figure with sparsity for the H200.
PEAK_FLOPS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "V100": 125e12,
}


class Throughput(L.Callback):
    """Logs `throughput/tokens_per_second` of all ranks and, on a known GPU, `throughput/mfu`, every log interval.

    Model FLOPs utilisation counts 6 N + 12 L C T per token, without a causal discount, as nanoGPT does. Time spent in
    validation is left out, and an interval in which a checkpoint is written is not logged.
    """

    def __init__(self) -> None:
        self.seen = 0
        self.paused = 0.0
        self.last: tuple[int, float] | None = None
        self.tokens_per_second = float("nan")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin to count where the run stands."""
        self.seen = trainer.global_step
        self.last = None

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock."""
        self.paused = time.perf_counter()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let it run again."""
        if self.last is not None:
            step, then = self.last
            self.last = step, then + time.perf_counter() - self.paused

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Give this interval up."""
        self.last = None

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log after an optimizer step that is due."""
        step = trainer.global_step
        if step == self.seen or step % trainer.log_every_n_steps:
            return
        self.seen = step
        now = time.perf_counter()
        if self.last is not None:
            micro_batches = (step - self.last[0]) * trainer.accumulate_grad_batches
            tokens = micro_batches * batch.tokens.numel() * trainer.world_size
            self.tokens_per_second = tokens / (now - self.last[1])
            figures = {"throughput/tokens_per_second": self.tokens_per_second}
            peak = peak_flops(pl_module.device)
            if peak:
                flops = flops_per_token(pl_module) * self.tokens_per_second / trainer.world_size
                figures["throughput/mfu"] = flops / peak
            pl_module.log_at(step, figures)
        self.last = step, now


def flops_per_token(pl_module: L.LightningModule) -> float:
    """FLOPs of forward and backward: 6 for every weight that is multiplied, and 12 L C T for attention."""
    config = pl_module.config
    multiplied = sum(p.numel() for p in pl_module.net.parameters())
    if not config.tied_embeddings:
        multiplied -= config.vocab_size * config.n_embd  # looked up, not multiplied
    return float(6 * multiplied + 12 * config.n_layer * config.n_embd * config.block_size)


def peak_flops(device: torch.device) -> float | None:
    """Dense bfloat16 FLOP/s of a GPU by its name, or None where it is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAK_FLOPS.items() if all(word in name for word in part.split())), None)
