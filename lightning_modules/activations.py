"""Activations of a GPT at the last token of each text, layer by layer."""

import torch
from torch import Tensor

from lightning_modules.gpt import GPT, rms_norm, rotary_tables

__all__ = ["last_token_states"]


@torch.inference_mode()
def last_token_states(net: GPT, tokens: Tensor, last: Tensor, *, final_norm: bool = False) -> Tensor:
    """The residual stream at the last token: its embedding, then what it is after each block. In float32.

    The paper does not say whether its last layer is before or after the norm that precedes the head.

    Args:
        net: the network; its blocks may be compiled.
        tokens: ids padded on the right, shape `(B, T)`.
        last: place of the last token of each row, int64, shape `(B,)`.
        final_norm: put the last block's output through the norm that precedes the head.

    Returns:
        Shape `(B, n_layer + 1, C)`.
    """
    rows = torch.arange(len(tokens), device=tokens.device)
    cos, sin = rotary_tables(tokens.shape[1], net.config.n_embd // net.config.n_head, tokens.device)
    with torch.autocast(tokens.device.type, enabled=False):
        x = net.transformer.wte(tokens)  # (B, T, C)
        states = [x[rows, last]]
        for block in net.transformer.h:
            x = block(x, cos, sin)
            states.append(x[rows, last])
        if final_norm:
            states[-1] = rms_norm(states[-1])
    return torch.stack(states, dim=1).float()
