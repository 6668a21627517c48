"""Random tokens and a random connectome, for runs of which only the time matters."""

from pathlib import Path

import numpy as np
import torch

from benchmarks.preset import Case
from connectome import Connectome, Provenance, save_connectome
from datamodules.token_shards import write_shard
from lightning_modules.gpt import GPT

__all__ = ["options_of", "write_connectome", "write_shards"]

TOKENS = 4_000_000


def write_shards(folder: Path, case: Case) -> Path:
    """The parts `large` and `validation`; returns the one shard of the first."""
    rng = np.random.default_rng(0)
    for part in ("large", "validation"):
        write_shard(folder / part / "0.bin", rng.integers(0, case.shape.vocab_size, TOKENS, dtype=np.uint16))
    return folder / "large" / "0.bin"


def write_connectome(path: Path, case: Case) -> None:
    """Four fifths of the weights, as after one generation."""
    weights = dict(GPT(case.shape).named_parameters())
    masks = {key: torch.rand_like(weight) < 0.8 for key, weight in weights.items()}
    made = Connectome.from_weights(weights, masks, architecture=vars(case.shape), provenance=Provenance(generation=0))
    save_connectome(made, path)


def options_of(case: Case, folder: Path, *, device: str, compile: bool) -> list[str]:
    """Words of the command line for a case: shape, batch, data, device; the loss always plain."""
    validation = 16 * case.shape.block_size
    return [
        *(f"--model.{name}={value}" for name, value in vars(case.shape).items()),
        *(f"--model.compile={str(compile).lower()}", "--model.logits_budget=1000"),
        *(f"--data.folder={folder}", f"--data.batch_size={case.sequences}"),
        *(f"--data.micro_batch_size={case.sequences}", f"--trainer.precision={case.precision}"),
        *(f"--trainer.accelerator={'gpu' if device == 'cuda' else 'cpu'}", "--trainer.devices=1"),
        *(f"--data.validation_tokens={validation}", f"--data.full_validation_tokens={validation}"),
    ]
