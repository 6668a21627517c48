"""The GPT of Kotar & Tuckute (2025) for transformers. This file travels with every exported model.

Pre-norm blocks without biases and without learned norms; rotary positions that turn the two halves of a head in the
sense y1 = x1 cos + x2 sin, y2 = -x1 sin + x2 cos; the attention branch scaled by 1 / sqrt(2 n_layer); exact GELU. It
computes what the project's own `lightning_modules/gpt.py` computes, and adds a cache of keys and values, and masks for
padding.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import DynamicCache, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.cache_utils import Cache
from transformers.modeling_outputs import CausalLMOutputWithPast

__all__ = ["ConnectomeGPT", "ConnectomeGPTConfig"]


class ConnectomeGPTConfig(PretrainedConfig):
    """Shape of the network.

    Args:
        vocab_size: rows of the embedding. Those that no token of the tokenizer uses are padding.
        n_layer: blocks.
        n_head: attention heads per block.
        n_embd: width of the residual stream.
        block_size: tokens of context in training. The network takes longer sequences.
        **kwargs: what every configuration of transformers has.
    """

    model_type = "connectome_gpt"
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012 - as transformers declares it
    attribute_map = {  # noqa: RUF012
        "hidden_size": "n_embd",
        "max_position_embeddings": "block_size",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
    }

    def __init__(
        self,
        vocab_size: int = 50_304,
        n_layer: int = 12,
        n_head: int = 12,
        n_embd: int = 768,
        block_size: int = 1024,
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.n_layer = n_layer
        self.n_head = n_head
        self.n_embd = n_embd
        self.block_size = block_size
        super().__init__(**kwargs)


class ConnectomeGPT(PreTrainedModel, GenerationMixin):
    """Decoder-only language model.

    Args:
        config: its shape.
    """

    config_class = ConnectomeGPTConfig
    base_model_prefix = "transformer"
    main_input_name = "input_ids"
    _tied_weights_keys = {"lm_head.weight": "transformer.wte.weight"}  # noqa: RUF012
    _supports_sdpa = True

    def __init__(self, config: ConnectomeGPTConfig) -> None:
        super().__init__(config)
        self.transformer = Trunk(config)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """N(0, 0.02), and 0.02 / sqrt(2 n_layer) for what is added to the residual stream."""
        if isinstance(module, nn.Linear | nn.Embedding):
            scale = (2 * self.config.n_layer) ** -0.5 if isinstance(module, ToStream) else 1
            nn.init.normal_(module.weight, std=0.02 * scale)

    def get_input_embeddings(self) -> nn.Embedding:
        """The embedding."""
        return self.transformer.wte

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Put another embedding in its place."""
        self.transformer.wte = value

    def get_output_embeddings(self) -> nn.Linear:
        """The head."""
        return self.lm_head

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Put another head in its place."""
        self.lm_head = new_embeddings

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        logits_to_keep: int = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast | tuple[Any, ...]:
        """Logits of the next token after each.

        Args:
            input_ids: ids, shape `(B, T)`.
            attention_mask: zero where a token is padding, shape `(B, past + T)`.
            position_ids: positions of the tokens, shape `(B, T)`; by default they are counted on from the cache.
            past_key_values: keys and values of the tokens before.
            inputs_embeds: rows of the embedding in place of ids, shape `(B, T, C)`.
            labels: ids, shape `(B, T)`, as `input_ids`: they are shifted here. -100 is left out of the loss.
            use_cache: whether to return keys and values.
            output_hidden_states: whether to return the embedding and the output of every block; the last one is
                normalised.
            return_dict: False for a tuple.
            logits_to_keep: compute the logits of so many last tokens; 0 for all.
            **kwargs: what other models know is ignored here.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        x = self.transformer.wte(input_ids) if inputs_embeds is None else inputs_embeds  # (B, T, C)
        length = x.shape[1]
        if use_cache is None:
            use_cache = bool(getattr(self.config, "use_cache", True)) and not self.training
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache()
        past = past_key_values.get_seq_length() if past_key_values is not None else 0
        if position_ids is None:
            position_ids = torch.arange(past, past + length, device=x.device)[None]
        cos, sin = rotary_tables(position_ids, self.config.n_embd // self.config.n_head)
        mask = visible(attention_mask, past, length, x.device)
        states = [x]
        for block in self.transformer.h:
            x = block(x, cos, sin, mask, past_key_values)
            states.append(x)
        states[-1] = x = rms_norm(x)
        logits = self.lm_head(x[:, -logits_to_keep:])  # (B, T, V); -0 keeps all
        loss = None
        if labels is not None:
            if logits_to_keep:
                raise ValueError("a loss needs all logits: leave logits_to_keep at 0")
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())
        output = CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=past_key_values if use_cache else None,
            hidden_states=tuple(states) if output_hidden_states else None,
        )
        return output.to_tuple() if return_dict is False else output


class Trunk(nn.Module):
    """Embedding and blocks, under GPT-2's names."""

    def __init__(self, config: ConnectomeGPTConfig) -> None:
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.h = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))


class ToStream(nn.Linear):
    """A map whose output is added to the residual stream."""


class Block(nn.Module):
    """One transformer block."""

    def __init__(self, config: ConnectomeGPTConfig, layer: int) -> None:
        super().__init__()
        self.attn = Attention(config, layer)
        self.mlp = MLP(config)
        self.attention_scale = (2 * config.n_layer) ** -0.5

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: Cache | None) -> Tensor:
        x = x + self.attention_scale * self.attn(rms_norm(x), cos, sin, mask, cache)
        return x + self.mlp(rms_norm(x))


class Attention(nn.Module):
    """Multi-head attention to the past."""

    def __init__(self, config: ConnectomeGPTConfig, layer: int) -> None:
        super().__init__()
        self.n_head, self.layer = config.n_head, layer
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=False)
        self.c_proj = ToStream(config.n_embd, config.n_embd, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: Cache | None) -> Tensor:
        B, T, C = x.shape
        heads = self.c_attn(x).view(B, T, 3 * self.n_head, C // self.n_head).transpose(1, 2)
        q, k, v = heads.chunk(3, dim=1)  # each (B, H, T, D)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if cache is not None:
            k, v = cache.update(k, v, self.layer)  # (B, H, past + T, D)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.c_proj(y.transpose(1, 2).reshape(B, T, C))


class MLP(nn.Module):
    """Two linear maps around an exact GELU."""

    def __init__(self, config: ConnectomeGPTConfig) -> None:
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=False)
        self.c_proj = ToStream(4 * config.n_embd, config.n_embd, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.gelu(self.c_fc(x)))


def visible(attention_mask: Tensor | None, past: int, length: int, device: torch.device) -> Tensor | None:
    """Which keys each token sees, bool, shape `(B or 1, 1, T, past + T)`; None where that is simply all before it.

    Padding sees itself: a row without any key would be NaN, and spread.
    """
    if attention_mask is not None and (attention_mask.dim() != 2 or attention_mask.shape[1] != past + length):
        raise ValueError(
            f"expected an attention mask of {past + length} columns, one for each token so far, found the shape "
            f"{tuple(attention_mask.shape)}"
        )
    padded = attention_mask is not None and not bool(attention_mask.all())
    if past == 0 and not padded:
        return None
    queries = torch.arange(past, past + length, device=device)[:, None]
    keys = torch.arange(past + length, device=device)[None]
    mask = (keys <= queries)[None, None]
    if padded and attention_mask is not None:
        mask = (mask & attention_mask[:, None, None].to(device).bool()) | (keys == queries)
    return mask


def rms_norm(x: Tensor) -> Tensor:
    """RMS norm without weights, x / sqrt(mean(x^2) + 1e-6) over the last axis, in float32."""
    return F.rms_norm(x.float(), (x.shape[-1],), eps=1e-6).type_as(x)


def rotary_tables(positions: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of t * 10000^(-2i / width), each `(B, 1, T, D / 2)`, for positions t of shape `(B, T)`."""
    pairs = torch.arange(0, width, 2, device=positions.device, dtype=torch.float32)
    angles = positions[:, None, :, None].float() * 10_000.0 ** (-pairs / width)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the two halves of each head: y1 = x1 cos + x2 sin, y2 = -x1 sin + x2 cos."""
    x1, x2 = x.chunk(2, dim=-1)  # each (B, H, T, D / 2)
    return torch.cat((x1 * cos + x2 * sin, x2 * cos - x1 * sin), dim=-1).type_as(x)
