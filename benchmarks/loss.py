"""Head and loss alone, forward and backward: the plain form and the one in chunks, turn by turn."""

import statistics
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from benchmarks.meter import Meter, spread, take_turns
from benchmarks.preset import LossSize, Preset
from benchmarks.table import Table
from lightning_modules.chunked_loss import chunked_next_token_loss, logit_gradient, rows_of_a_chunk
from lightning_modules.gpt import next_token_loss

__all__ = ["loss"]

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def loss(preset: Preset) -> Iterator[Table]:
    """A table for every size."""
    for size in preset.loss:
        torch.compiler.reset()
        yield compared(size, preset)


def forms(size: LossSize) -> dict[str, Loss]:
    """The plain loss and the one in chunks, with compiled forms of both; the plain eager one comes first."""
    rows = rows_of_a_chunk(size.tokens)
    compiled = torch.compile(logit_gradient)
    return {
        "plain": next_token_loss,
        f"chunks of {rows} rows, the default": chunked_next_token_loss,
        **{f"chunks of {n} rows": partial(chunked_next_token_loss, rows=n) for n in size.rows},
        "plain, compiled": torch.compile(next_token_loss),
        f"chunks of {rows} rows, their softmax compiled": partial(chunked_next_token_loss, logit_gradient=compiled),
    }


def compared(size: LossSize, preset: Preset) -> Table:
    """Time and memory of every form at one size."""
    torch.manual_seed(0)
    device = preset.device
    hidden = torch.randn(1, size.tokens, size.width, device=device).requires_grad_()
    head = (0.02 * torch.randn(preset.vocab_size, size.width, device=device)).requires_grad_()
    targets = torch.randint(0, preset.vocab_size, (1, size.tokens), device=device)

    def once(form: Loss) -> None:
        hidden.grad = head.grad = None
        with torch.autocast(device, torch.bfloat16, enabled=size.precision == "bf16-mixed"):
            value = form(hidden, head, targets)
        value.backward()
        hidden.grad = head.grad = None

    actions = {name: partial(once, form) for name, form in forms(size).items()}
    what = f"loss, {size.tokens:,} tokens x {size.width} x {preset.vocab_size:,}, {size.precision}"
    taken, peaks = take_turns(actions, Meter(device), rounds=min(preset.rounds, 3), what=what)
    table = Table(
        what.capitalize(),
        ["", "s", "time / plain", "extra MB", "memory of plain / its own"],
        note="Forward and backward, medians [least, most] of the ratios within a round. Goal: at most 1.05 of the "
        "time, at most a third of the memory.",
    )
    for name, seconds in taken.items():
        if not seconds:
            table.add(name, "does not fit", None, None, None)
            continue
        mine, plain = peaks[name], peaks["plain"]
        share = f"{plain / mine:.1f}" if mine and plain else None
        megabytes = None if mine is None else mine / 1e6
        table.add(name, statistics.median(seconds), spread(seconds, taken["plain"]), megabytes, share)
    return table
