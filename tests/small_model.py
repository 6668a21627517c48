"""Models of a few thousand weights on bytes, as files to evaluate."""

from pathlib import Path

import torch

from lightning_modules.gpt import GPT, GPTConfig
from lightning_modules.weights import write_weights

BYTES = 264  # rows of the embedding: 257 tokens, and some that pad it


def small_model(
    path: Path, *, uniform: bool = False, seed: int = 0, block_size: int = 64, vocab_size: int = BYTES, width: int = 8
) -> GPT:
    """Write a model of one layer whose answers are random, or all alike, and return it."""
    torch.manual_seed(seed)
    net = GPT(GPTConfig(vocab_size=vocab_size, n_layer=1, n_head=1, n_embd=width, block_size=block_size))
    with torch.no_grad():
        for matrix in net.parameters():
            matrix.mul_(0 if uniform else 20)
    write_weights(path, net, {"tokenizer": "bytes" if vocab_size == BYTES else "gpt2", "step": 7})
    return net.eval()
