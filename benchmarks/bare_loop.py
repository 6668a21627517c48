"""The shortest loop that trains our `LanguageModel`: what the command line is held against."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.preset import Case, Variant
from datamodules.batch import Batch
from datamodules.token_shards import open_shard
from lightning_modules.chunked_loss import chunked_next_token_loss, logit_gradient
from lightning_modules.gpt import next_token_loss
from lightning_modules.language_model import LanguageModel

__all__ = ["BareLoop"]


class BareLoop:
    """Consecutive windows of one shard, fused AdamW, clipping; no trainer, no logging, no schedule.

    Args:
        case: what is trained.
        variant: what is switched on.
        shard: where tokens are read.
        device: `cpu` or `cuda`.
    """

    def __init__(self, case: Case, variant: Variant, *, shard: Path, device: str) -> None:
        self.case = case
        self.device = torch.device(device)
        torch.manual_seed(0)
        self.model = LanguageModel(**vars(case.shape)).to(self.device)
        self.weights = list(self.model.net.parameters())
        self.optimizer = self.model.configure_optimizers()["optimizer"]
        self.masks = [(torch.rand_like(w) < 0.8).float() for w in self.weights] if variant.masks else []
        plain, softmax = next_token_loss, logit_gradient
        if variant.compile:
            for block in self.model.net.transformer.h:
                block.compile()
            plain, softmax = torch.compile(next_token_loss), torch.compile(logit_gradient)
        self.loss = partial(chunked_next_token_loss, logit_gradient=softmax) if variant.chunked else plain
        self.batches = self.read(shard)

    def read(self, shard: Path) -> Iterator[Batch]:
        """Batches on the device, from the beginning again where the shard ends."""
        tokens = open_shard(shard)
        n = self.case.tokens
        while True:
            for at in range(0, tokens.size - n, n):
                window = torch.from_numpy(tokens[at : at + n + 1].astype(np.int64))
                if self.device.type == "cuda":
                    window = window.pin_memory().to(self.device, non_blocking=True)
                yield Batch(window[:-1].view(-1, self.case.shape.block_size), window[1:].view(self.case.sequences, -1))

    def step(self) -> None:
        """One optimizer step."""
        batch = next(self.batches)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.case.precision == "bf16-mixed"):
            hidden = self.model.net.hidden(batch.tokens)
            loss = self.loss(hidden, self.model.net.lm_head.weight, batch.targets)
        loss.backward()
        if self.masks:
            torch._foreach_mul_([weight.grad for weight in self.weights], self.masks)
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def steps(self, count: int) -> None:
        """Several of them."""
        for _ in range(count):
            self.step()
