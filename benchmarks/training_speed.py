"""Optimizer steps through the command line, masks and logging on, against a bare loop around the same GPT.

    python benchmarks/training_speed.py --preset body --precision 32-true

Both run in one process, in turn, block by block of steps, on one thread and the process's CPU clock (on a GPU: the wall
clock), so that what else the machine does hits both. The ratio is formed within a round; 1.00 means that the command
line costs nothing.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import lightning as L
import numpy as np
import torch

import cli
from connectome import Connectome, Provenance, save_connectome
from datamodules.token_shards import open_shard, write_shard
from lightning_modules.gpt import GPT, GPTConfig, next_token_loss

PRESETS = {
    "body": GPTConfig(n_layer=6, n_head=6, n_embd=384, vocab_size=8192, block_size=256),  # 13.8M parameters
    "small": GPTConfig(n_layer=6, n_head=6, n_embd=384, vocab_size=50304, block_size=256),  # 29.9M
    "124M": GPTConfig(),
}


class Rounds(L.Callback):
    """Takes turns with a bare step inside a run, and keeps the seconds of both.

    Args:
        bare: one step of the bare loop.
        steps: optimizer steps of a turn.
        clock: seconds.
    """

    current: "Rounds"

    def __init__(self, bare: Callable[[], None], steps: int, clock: Callable[[], float]) -> None:
        self.bare, self.steps, self.clock = bare, steps, clock
        self.run_seconds: list[float] = []
        self.bare_seconds: list[float] = []
        self.mask_seconds: list[float] = []
        self.start = 0.0

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx % trainer.accumulate_grad_batches or trainer.global_step % self.steps:
            return
        if trainer.global_step:
            self.run_seconds.append(self.clock() - self.start)
        start = self.clock()
        for _ in range(self.steps):
            self.bare()
        self.bare_seconds.append(self.clock() - start)
        wiring = next(callback for callback in trainer.callbacks if hasattr(callback, "masks"))
        gradients = [torch.ones_like(weight) for weight in wiring.weights]
        start = self.clock()
        for _ in range(self.steps):
            torch._foreach_mul_(gradients, wiring.masks)
        self.mask_seconds.append(self.clock() - start)
        self.start = self.clock()


def bare_step(config: GPTConfig, shard: Path, batch: int, device: torch.device, bf16: bool) -> Callable[[], None]:
    """The shortest loop that trains this GPT: consecutive windows, fused AdamW, clipping."""
    net = GPT(config).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1.8e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    tokens = open_shard(shard)
    n = batch * config.block_size
    at = 0

    def step() -> None:
        nonlocal at
        if at + n + 1 > tokens.size:
            at = 0
        window = torch.from_numpy(tokens[at : at + n + 1].astype(np.int64)).to(device)
        at += n
        x, y = window[:-1].view(batch, -1), window[1:].view(batch, -1)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = next_token_loss(net.hidden(x), net.lm_head.weight, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def measure(preset: str, precision: str, batch: int, steps: int, rounds: int) -> Rounds:
    """Run both and return the seconds of every turn."""
    config = PRESETS[preset]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = np.random.default_rng(0)
        for part in ("large", "validation"):
            write_shard(folder / part / "0.bin", rng.integers(0, config.vocab_size, 2_000_000, dtype=np.uint16))
        weights = dict(GPT(config).named_parameters())
        masks = {key: torch.rand_like(weight) < 0.8 for key, weight in weights.items()}
        made = Connectome.from_weights(weights, masks, architecture=vars(config), provenance=Provenance(generation=0))
        save_connectome(made, folder / "made.connectome")
        gpu = device.type == "cuda"

        def clock() -> float:
            if gpu:
                torch.cuda.synchronize()
                return time.perf_counter()
            return time.process_time()

        bare = bare_step(config, folder / "large" / "0.bin", batch, device, precision == "bf16-mixed")
        Rounds.current = Rounds(bare, steps, clock)
        shape = [f"--model.{key}={getattr(config, key)}" for key in ("n_layer", "n_head", "n_embd", "vocab_size")]
        total = steps * rounds + 1
        status = cli.main(
            [
                *("fit", "--wiring", "InheritConnectome", f"--wiring.connectome={folder}/made.connectome"),
                *("--run", f"{folder}/run", f"--trainer.max_steps={total}", f"--model.block_size={config.block_size}"),
                *shape,
                *(f"--data.folder={folder}", f"--data.batch_size={batch}", f"--data.micro_batch_size={batch}"),
                *(f"--trainer.accelerator={device.type}", "--trainer.devices=1", f"--trainer.precision={precision}"),
                *("--data.validation_tokens=65536", "--data.full_validation_tokens=65536"),
                *("--trainer.limit_val_batches=0", "--checkpoint.every=1000000"),
                "--trainer.callbacks+=benchmarks.training_speed.current_rounds",
            ]
        )
        if status:
            raise SystemExit(status)
    return Rounds.current


def current_rounds() -> Rounds:
    """The one that is measuring, for the command line to pick up."""
    return Rounds.current


def main() -> None:
    """Print one row: medians, and the least and most of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="body")
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"], default="32-true")
    parser.add_argument("--batch", type=int, default=4, help="sequences a step")
    parser.add_argument("--steps", type=int, default=4, help="optimizer steps a turn")
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = measure(**vars(options))
    ratios = [bare / run for bare, run in zip(result.bare_seconds[1:-1], result.run_seconds[1:], strict=True)]
    share = statistics.median(result.mask_seconds[1:]) / statistics.median(result.bare_seconds[1:])
    step = statistics.median(result.run_seconds[1:]) / options.steps
    print(
        f"{options.preset} {options.precision} batch {options.batch}: {step:.3f} s a step through the command line, "
        f"{statistics.median(ratios):.3f} [{min(ratios):.3f}, {max(ratios):.3f}] of the bare loop's speed; "
        f"masks {100 * share:.2f} % of a bare step"
    )


if __name__ == "__main__":
    from benchmarks.training_speed import main as run  # so that the callback finds this very module

    run()
