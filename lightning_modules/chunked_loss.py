"""The next-token loss without all logits at once, for micro-batches whose logits would not fit beside the rest.

The plain loss holds about 10 bytes a logit in eager bf16 (logits, float32 copy, log-probabilities, their gradient): at
64 sequences of 1,024 tokens and 50,304 words 33 GB. Here a few rows go through the head at a time, and their part of
both gradients is formed at once, while the logits are there: nothing is kept for the backward pass but the finished
gradients, and nothing is computed twice.

Letters in shapes: N rows (tokens of all sequences), C width, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["ROWS", "chunked_next_token_loss", "float32_logits"]

ROWS = 2048  # 0.4 GB of float32 logits at 50,304 words, and still a matrix product large enough for a GPU


def float32_logits(tokens: int, vocab_size: int) -> int:
    """Bytes of the float32 logits of so many tokens."""
    return 4 * tokens * vocab_size


def chunked_next_token_loss(hidden: Tensor, head: Tensor, targets: Tensor, *, rows: int = ROWS) -> Tensor:
    """Mean cross entropy in nats per token, computed in float32, from `rows` rows of logits at a time.

    Equal to `next_token_loss` but for the order in which rows are summed; so are its gradients, where the head's is
    summed in float32 also under autocast. Left outside compiled regions: its loop is of a few large kernels.

    Args:
        hidden: normalised activations, shape `(B, T, C)`.
        head: weight of the head, shape `(V, C)`.
        targets: ids of the next tokens, shape `(B, T)`.
        rows: rows whose logits exist at a time.
    """
    device = hidden.device.type
    flat = hidden.flatten(0, 1)  # (N, C)
    if torch.is_autocast_enabled(device):
        flat = flat.to(torch.get_autocast_dtype(device))
    gradients = torch.is_grad_enabled()
    with torch.autocast(device, enabled=False):
        return ChunkedLoss.apply(flat, head, targets.flatten(), rows, gradients)


class ChunkedLoss(torch.autograd.Function):
    """Loss and gradients of the head, chunk by chunk, in one forward pass."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, rows: int, gradients: bool) -> Tensor:
        """The loss; with `gradients`, those of `hidden`, `(N, C)`, and `head`, `(V, C)`, wait for the backward pass."""
        weight = head.to(hidden.dtype)  # once: Lightning's autocast keeps no casts
        scale = 1.0 / len(targets)
        loss = torch.zeros((), device=hidden.device)
        hidden_gradient = torch.empty_like(hidden) if gradients else hidden.new_empty(0)
        head_gradient = torch.zeros_like(head, dtype=torch.float32) if gradients else hidden.new_empty(0)
        for first in range(0, len(targets), rows):
            x, y = hidden[first : first + rows], targets[first : first + rows]
            log_p = log_probabilities(x, weight)
            loss -= log_p[torch.arange(len(y), device=y.device), y].sum()
            if gradients:
                g = logit_gradient(log_p, y, scale).to(hidden.dtype)
                torch.mm(g, weight, out=hidden_gradient[first : first + rows])
                if g.dtype == torch.float32:
                    head_gradient.addmm_(g.t(), x)
                else:
                    head_gradient.add_(g.t() @ x)
                del g
            del log_p  # or two chunks would be alive while the next is computed
        ctx.save_for_backward(hidden_gradient, head_gradient)
        return loss * scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        """Both gradients, times that of the loss."""
        hidden_gradient, head_gradient = ctx.saved_tensors
        return hidden_gradient * gradient.to(hidden_gradient.dtype), head_gradient * gradient, None, None, None


def log_probabilities(x: Tensor, weight: Tensor) -> Tensor:
    """Float32 logarithms of the softmax of `x weight^T`, shape `(rows, V)`."""
    return torch.log_softmax(x @ weight.t(), dim=-1, dtype=torch.float32)


def logit_gradient(log_p: Tensor, targets: Tensor, scale: float) -> Tensor:
    """(p - onehot) times `scale`: the gradient of the mean cross entropy with respect to the logits; in place."""
    p = log_p.exp_().mul_(scale)
    p[torch.arange(len(targets), device=targets.device), targets] -= scale
    return p
