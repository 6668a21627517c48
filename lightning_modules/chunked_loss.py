"""The next-token loss without all logits at once, for micro-batches whose logits would not fit beside the rest.

The plain loss holds about 10 bytes a logit in eager bf16 (logits, float32 copy, log-probabilities, their gradient): at
64 sequences of 1,024 tokens and 50,304 words 33 GB. Here a few rows go through the head at a time, and their part of
both gradients is formed at once, while the logits are there: nothing is kept for the backward pass but the finished
gradients, and nothing is computed twice.

Letters in shapes: N rows (tokens of all sequences), C width, V vocabulary.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["chunked_next_token_loss", "float32_logits", "logit_gradient", "rows_of_a_chunk"]

FEWEST, MOST = 512, 4096  # with fewer rows adding up the head's gradient costs time; with more only memory grows


def float32_logits(tokens: int, vocab_size: int) -> int:
    """Bytes of the float32 logits of so many tokens."""
    return 4 * tokens * vocab_size


def rows_of_a_chunk(tokens: int) -> int:
    """An eighth of the tokens, at most 4,096: 0.8 GB of float32 logits at 50,304 words."""
    return min(max(FEWEST, -(-tokens // 8)), MOST)


def logit_gradient(logits: Tensor, targets: Tensor) -> Tensor:
    """Sum of the targets' log-probabilities, in float32; `logits` become softmax(logits) - onehot(targets).

    Args:
        logits: shape `(rows, V)`, overwritten.
        targets: ids, shape `(rows,)`.
    """
    log_p = torch.log_softmax(logits, dim=-1, dtype=torch.float32)  # (rows, V)
    found = log_p.gather(1, targets[:, None]).squeeze(1)  # (rows,)
    torch.exp(log_p, out=logits)
    rows = torch.arange(len(targets), device=targets.device)
    logits[rows, targets] = torch.expm1(found).to(logits.dtype)  # p - 1 without cancellation where p is near one
    return found.sum()


def chunked_next_token_loss(
    hidden: Tensor,
    head: Tensor,
    targets: Tensor,
    *,
    rows: int | None = None,
    logit_gradient: Callable[[Tensor, Tensor], Tensor] = logit_gradient,
) -> Tensor:
    """Mean cross entropy in nats per token, computed in float32, from `rows` rows of logits at a time.

    Equal to `next_token_loss` but for the order in which rows are summed; so are its gradients, where the head's is
    summed in float32 also under autocast. Left outside compiled regions: its loop is of a few large kernels.

    Args:
        hidden: normalised activations, shape `(B, T, C)`.
        head: weight of the head, shape `(V, C)`.
        targets: ids of the next tokens, shape `(B, T)`.
        rows: rows whose logits exist at a time; `rows_of_a_chunk` if left out.
        logit_gradient: what turns logits into their gradient, to be given a compiled one.
    """
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    rows = rows or rows_of_a_chunk(targets.numel())
    gradients = torch.is_grad_enabled()
    with torch.autocast(device, enabled=False):
        flat = hidden.flatten(0, 1)  # (N, C)
        return ChunkedLoss.apply(flat, head, targets.flatten(), dtype, rows, gradients, logit_gradient)


class ChunkedLoss(torch.autograd.Function):
    """Loss and gradients of the head, chunk by chunk, in one forward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        head: Tensor,
        targets: Tensor,
        dtype: torch.dtype,
        rows: int,
        gradients: bool,
        logit_gradient: Callable[[Tensor, Tensor], Tensor],
    ) -> Tensor:
        """The loss; with `gradients`, those of `hidden`, `(N, C)`, and `head`, `(V, C)`, wait for the backward pass."""
        inputs, weight = hidden.to(dtype), head.to(dtype)  # once: Lightning's autocast keeps no casts
        scale = 1.0 / len(targets)
        total = torch.zeros((), device=hidden.device)
        buffer = inputs.new_empty(min(rows, len(targets)), len(head))  # one for all chunks: fresh pages cost time
        if gradients:
            hidden_gradient = torch.empty_like(inputs)
            head_gradient = torch.zeros_like(head, dtype=torch.float32)
            product = torch.empty_like(weight) if dtype != torch.float32 else None
        for first in range(0, len(targets), rows):
            x, y = inputs[first : first + rows], targets[first : first + rows]
            logits = torch.mm(x, weight.t(), out=buffer[: len(y)])  # (rows, V)
            total += logit_gradient(logits, y)
            if gradients:
                part = hidden_gradient[first : first + rows]
                torch.addmm(part, logits, weight, beta=0, alpha=scale, out=part)
                if product is None:
                    head_gradient.addmm_(logits.t(), x, alpha=scale)
                else:
                    head_gradient.add_(torch.mm(logits.t(), x, out=product), alpha=scale)
        ctx.gradients = (hidden_gradient, head_gradient) if gradients else None
        return total * -scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None, None, None]:
        """Both gradients, times that of the loss, in place: for one backward pass only."""
        if ctx.gradients is None:
            raise RuntimeError(
                "the chunked loss forms its gradients once and gives them away in the first backward pass: "
                "compute the loss again for a second one"
            )
        hidden_gradient, head_gradient = ctx.gradients
        ctx.gradients = None
        # Times a float32 number in float32: rounded to bfloat16, 1/3 would be wrong by 0.1 % everywhere.
        return hidden_gradient.float().mul_(gradient), head_gradient.mul_(gradient), None, None, None, None, None
