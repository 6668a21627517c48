"""The GPT of Kotar & Tuckute (2025): GPT-2's shape with rotary positions and normalisation without weights.

What differs from GPT-2: no bias and no learned norm anywhere, so every parameter is a matrix; RMS norm; rotary position
embedding in the authors' sense of rotation; the attention branch scaled by 1 / sqrt(2 n_layer); exact GELU.

Letters in shapes: B sequences, T tokens, C width, H heads, D width of a head, V vocabulary.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["GPT", "SIZES", "GPTConfig", "Size", "next_token_loss"]

Size = Literal["30M", "124M", "354M", "417M", "772M"]
SIZES: dict[Size, dict[str, int]] = {
    "30M": {"n_layer": 6, "n_head": 6, "n_embd": 384},
    "124M": {},
    "354M": {"n_layer": 24, "n_head": 16, "n_embd": 1024},  # GPT-2 medium's shape
    "417M": {"n_head": 24, "n_embd": 1536},
    "772M": {"n_layer": 36, "n_head": 20, "n_embd": 1280},  # GPT-2 large's
}  # named after their weights; 124M and 417M are the paper's
ROTARY_BASE = 10_000.0
NORM_EPS = 1e-6
INIT_STD = 0.02


@dataclass(frozen=True)
class GPTConfig:
    """Shape of a GPT; the default is the paper's 124M.

    Args:
        vocab_size: rows of the embedding: GPT-2's 50,257 tokens padded to a multiple of 64.
        n_layer: blocks.
        n_head: attention heads per block.
        n_embd: width of the residual stream.
        block_size: tokens of context in training; `GPT.forward` also takes longer sequences.
        tied_embeddings: one matrix for embedding and head. The authors' released checkpoints have two.

    Raises:
        ValueError: for a number below one, or a width that its heads do not divide into an even size.
    """

    vocab_size: int = 50_304
    n_layer: int = 12
    n_head: int = 12
    n_embd: int = 768
    block_size: int = 1024
    tied_embeddings: bool = True

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 1 and name != "tied_embeddings":
                raise ValueError(f"{name} must be at least 1, found {value}")
        if self.n_embd % (2 * self.n_head):
            raise ValueError(
                f"n_embd {self.n_embd} / n_head {self.n_head} = {self.n_embd / self.n_head:g}: "
                "a head must have an even width, since rotary embedding turns its two halves"
            )

    @classmethod
    def named(cls, size: Size, **changes: Any) -> "GPTConfig":
        """A shape by its name, with single numbers changed."""
        if size not in SIZES:
            raise ValueError(f"unknown size {size!r}; known: {', '.join(SIZES)}; or give the numbers")
        return cls(**(SIZES[size] | changes))

    @classmethod
    def from_dict(cls, numbers: dict[str, Any]) -> "GPTConfig":
        """The shape that `dataclasses.asdict` wrote, foreign entries refused."""
        names = {entry.name for entry in fields(cls)}
        if numbers.keys() - names:
            raise ValueError(f"unknown numbers of a GPT: {sorted(numbers.keys() - names)}; known: {sorted(names)}")
        return cls(**numbers)


class GPT(nn.Module):
    """Decoder-only transformer language model. A plain module: it knows neither Lightning nor connectomes.

    Args:
        config: its shape.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer = Trunk(config)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        if config.tied_embeddings:
            self.lm_head.weight = self.transformer.wte.weight
        for name, matrix in self.named_parameters():
            std = INIT_STD / (2 * config.n_layer) ** 0.5 if name.endswith("c_proj.weight") else INIT_STD
            nn.init.normal_(matrix, std=std)

    def hidden(self, tokens: Tensor) -> Tensor:
        """Normalised activations before the head.

        Args:
            tokens: ids, shape `(B, T)`; T may exceed `config.block_size`.

        Returns:
            Shape `(B, T, C)`.
        """
        cos, sin = rotary_tables(tokens.shape[1], self.config.n_embd // self.config.n_head, tokens.device)
        x = self.transformer.wte(tokens)  # (B, T, C)
        for block in self.transformer.h:
            x = block(x, cos, sin)
        return rms_norm(x)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next token, shape `(B, T, V)`, for ids of shape `(B, T)`."""
        return self.lm_head(self.hidden(tokens))


class Trunk(nn.Module):
    """Embedding and blocks, under GPT-2's names."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.h = nn.ModuleList(Block(config) for _ in range(config.n_layer))


class Block(nn.Module):
    """One transformer block: attention, then a multi-layer perceptron, each on the normalised residual stream."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.attn = CausalSelfAttention(config)
        self.mlp = MLP(config)
        self.attention_scale = (2 * config.n_layer) ** -0.5

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attention_scale * self.attn(rms_norm(x), cos, sin)
        return x + self.mlp(rms_norm(x))


class CausalSelfAttention(nn.Module):
    """Multi-head attention to the past, with rotary positions."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.n_head = config.n_head
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=False)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        B, T, C = x.shape
        heads = self.c_attn(x).view(B, T, 3 * self.n_head, C // self.n_head).transpose(1, 2)
        q, k, v = heads.chunk(3, dim=1)  # each (B, H, T, D)
        y = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).reshape(B, T, C))


class MLP(nn.Module):
    """Two linear maps around an exact GELU, four times as wide inside."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=False)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.gelu(self.c_fc(x)))


def rms_norm(x: Tensor) -> Tensor:
    """RMS norm without weights: x / sqrt(mean(x^2) + eps) over the last axis, in float32 (Zhang & Sennrich, 2019)."""
    return F.rms_norm(x.float(), (x.shape[-1],), eps=NORM_EPS).type_as(x)


def rotary_tables(length: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines of t * base^(-2i / width) for positions t and pairs i (Su et al., 2021), each `(T, D / 2)`."""
    frequencies = ROTARY_BASE ** (-torch.arange(0, width, 2, device=device, dtype=torch.float32) / width)
    angles = torch.outer(torch.arange(length, device=device, dtype=torch.float32), frequencies)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the two halves of each head: y1 = x1 cos + x2 sin, y2 = -x1 sin + x2 cos.

    The opposite sense to GPT-NeoX; the authors' released weights need this one.
    """
    x1, x2 = x.chunk(2, dim=-1)  # each (B, H, T, D / 2)
    return torch.cat((x1 * cos + x2 * sin, x2 * cos - x1 * sin), dim=-1).type_as(x)


def next_token_loss(hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy in nats per token, computed in float32.

    Args:
        hidden: normalised activations, shape `(B, T, C)`.
        head: weight of the head, shape `(V, C)`.
        targets: ids of the next tokens, shape `(B, T)`.
    """
    logits = F.linear(hidden, head)
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
