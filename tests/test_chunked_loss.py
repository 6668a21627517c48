"""The loss in chunks: the plain loss and its gradients within rounding, in a fraction of its memory."""

import weakref
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_modules.chunked_loss import chunked_next_token_loss, float32_logits, logit_gradient, rows_of_a_chunk
from lightning_modules.gpt import GPT, GPTConfig, next_token_loss

# Relative, of norms. In bfloat16 the plain loss's gradients are themselves 2.4e-3 from those of float64.
ROUNDING = {torch.float32: 3e-7, torch.bfloat16: 2.5e-3}


class PeakBytes(TorchDispatchMode):
    """The most bytes of tensors made inside that were alive together."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = self.peak = 0
        self.known: set[int] = set()  # storages counted, and those from outside

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.known |= {arg.untyped_storage()._cdata for arg in args if isinstance(arg, Tensor)}
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in self.known:
                storage = tensor.untyped_storage()
                key, size = storage._cdata, storage.nbytes()
                self.known.add(key)
                self.alive += size
                weakref.finalize(storage, self.forget, key, size)
                tensor._keeps = storage  # a storage's Python object else ends before the storage
        self.peak = max(self.peak, self.alive)
        return out

    def forget(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.alive -= size


def inputs(*, sequences: int = 4, length: int = 32, width: int = 32, vocab: int = 517) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(sequences, length, width, generator=generator).requires_grad_()
    head = (0.1 * torch.randn(vocab, width, generator=generator)).requires_grad_()
    return hidden, head, torch.randint(0, vocab, (sequences, length), generator=generator)


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [16, 48, 128, 2048])  # 48 leaves a shorter chunk at the end of 128
def test_loss_and_gradients_are_those_of_the_plain_loss(dtype: torch.dtype, rows: int) -> None:
    hidden, head, targets = inputs()
    values, gradients = [], []
    for loss in (next_token_loss, lambda *xs: chunked_next_token_loss(*xs, rows=rows)):
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            value = loss(hidden, head, targets)
        assert value.dtype == torch.float32
        values.append(value.detach())
        gradients.append(torch.autograd.grad(value / 4, [hidden, head]))
    assert relative(values[1], values[0]) <= 3e-7  # the loss itself is computed in float32 from equal logits
    for found, expected in zip(gradients[1], gradients[0], strict=True):
        assert found.dtype == torch.float32
        assert relative(found, expected) <= ROUNDING[dtype]


@pytest.mark.parametrize("length", [32, 50])  # 1/200 is rounded, 1/128 is not
@pytest.mark.parametrize("micro_batches", [1, 3])
def test_in_bfloat16_the_gradients_are_as_good_as_the_plain_loss_s(length: int, micro_batches: int) -> None:
    """Not off by a common factor either, as they would be if 1/3 were rounded to bfloat16."""
    hidden, head, targets = inputs(length=length)
    exact = torch.nn.functional.cross_entropy(hidden.double().flatten(0, 1) @ head.double().t(), targets.flatten())
    truth = torch.autograd.grad(exact / micro_batches, [hidden, head])
    with torch.autocast("cpu", torch.bfloat16):
        losses = next_token_loss(hidden, head, targets), chunked_next_token_loss(hidden, head, targets, rows=48)
    plain, chunked = (torch.autograd.grad(loss / micro_batches, [hidden, head]) for loss in losses)
    for mine, theirs, true in zip(chunked, plain, truth, strict=True):
        assert relative(mine, true) <= 1.1 * relative(theirs, true)
        assert float((mine * true).sum() / (true * true).sum()) == pytest.approx(1, abs=1e-3)


def test_a_target_of_no_probability_has_a_finite_loss() -> None:
    logits = torch.tensor([[0.0, 200.0], [0.0, 0.0]])
    total = logit_gradient(logits, torch.tensor([0, 1]))
    assert float(total) == pytest.approx(-200 - 0.6931472)
    assert torch.equal(logits, torch.tensor([[-1.0, 1.0], [0.5, -0.5]]))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of what torch does while it compiles
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_compiled_softmax_gives_the_same(dtype: torch.dtype) -> None:
    """What `LanguageModel` hands over when it compiles; the last chunk is shorter."""
    hidden, head, targets = inputs()
    values, gradients = [], []
    for softmax in (logit_gradient, torch.compile(logit_gradient)):
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            value = chunked_next_token_loss(hidden, head, targets, rows=64, logit_gradient=softmax)
        values.append(value.detach())
        gradients.append(torch.autograd.grad(value, [hidden, head]))
    assert relative(values[1], values[0]) <= 3e-7
    for found, expected in zip(gradients[1], gradients[0], strict=True):
        assert relative(found, expected) <= ROUNDING[dtype]


def test_a_second_backward_pass_is_refused() -> None:
    hidden, head, targets = inputs()
    loss = chunked_next_token_loss(hidden, head, targets, rows=64)
    loss.backward(retain_graph=True)
    before = hidden.grad.clone()
    with pytest.raises(RuntimeError, match="compute the loss again"):
        loss.backward()
    assert torch.equal(hidden.grad, before)


@pytest.mark.skipif(not hasattr(torch.nn.functional, "linear_cross_entropy"), reason="new in torch 2.13")
def test_in_float32_it_equals_torch_s_own_linear_cross_entropy() -> None:
    hidden, head, targets = inputs()
    theirs = torch.nn.functional.linear_cross_entropy(hidden.flatten(0, 1), head, targets.flatten())
    mine = chunked_next_token_loss(hidden, head, targets, rows=64)
    assert relative(mine.detach(), theirs.detach()) <= 3e-7
    expected = torch.autograd.grad(theirs, [hidden, head])
    for found, true in zip(torch.autograd.grad(mine, [hidden, head]), expected, strict=True):
        assert relative(found, true) <= ROUNDING[torch.float32]


@pytest.mark.parametrize(("tokens", "rows"), [(100, 512), (4096, 512), (12_288, 1536), (12_289, 1537), (65_536, 4096)])
def test_a_chunk_has_an_eighth_of_the_tokens_within_bounds(tokens: int, rows: int) -> None:
    assert rows_of_a_chunk(tokens) == rows


def test_a_repetition_gives_the_same_bits() -> None:
    hidden, head, targets = inputs()
    first, second = (
        torch.autograd.grad(chunked_next_token_loss(hidden, head, targets, rows=64), [hidden, head]) for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_the_numerical_gradient_is_the_gradient() -> None:
    hidden, head, targets = inputs(sequences=1, length=4, width=3, vocab=5)
    direction = torch.ones_like(head) / 7
    (gradient,) = torch.autograd.grad(chunked_next_token_loss(hidden, head, targets, rows=3), [head])
    with torch.no_grad():
        step = 1e-2 * direction
        ends = [chunked_next_token_loss(hidden, head + sign * step, targets, rows=3) for sign in (1, -1)]
    assert float((gradient * direction).sum()) == pytest.approx(float(ends[0] - ends[1]) / 2e-2, abs=1e-4)


@pytest.mark.parametrize("tied", [True, False])
def test_a_tied_matrix_receives_both_gradients(tied: bool) -> None:
    torch.manual_seed(0)
    net = GPT(GPTConfig(vocab_size=61, n_layer=1, n_head=2, n_embd=16, block_size=20, tied_embeddings=tied))
    tokens = torch.randint(0, 61, (3, 20))
    gradients = []
    for loss in (next_token_loss, lambda *xs: chunked_next_token_loss(*xs, rows=7)):
        net.zero_grad()
        loss(net.hidden(tokens), net.lm_head.weight, tokens.roll(-1, 1)).backward()
        gradients.append({name: weight.grad.clone() for name, weight in net.named_parameters()})
    for name, expected in gradients[0].items():
        assert relative(gradients[1][name], expected) <= 1e-6, name


def test_without_gradients_only_the_loss_is_computed() -> None:
    hidden, head, targets = inputs()
    with torch.no_grad(), PeakBytes() as memory:
        loss = chunked_next_token_loss(hidden, head, targets, rows=10)
    assert not loss.requires_grad
    assert memory.peak < 4 * 10 * 517 * 4  # not a gradient of the head, 66 kB, beside the chunk's logits


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_memory_is_a_third_or_less_of_the_plain_loss_s(dtype: torch.dtype) -> None:
    hidden, head, targets = inputs(sequences=8, length=256, width=16, vocab=1024)
    peaks = []
    for loss in (next_token_loss, lambda *xs: chunked_next_token_loss(*xs, rows=256)):
        hidden.grad = head.grad = None
        with PeakBytes() as memory:
            with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
                value = loss(hidden, head, targets)
            value.backward()
            del value
        peaks.append(memory.peak)
    assert peaks[0] >= 2 * float32_logits(8 * 256, 1024)
    assert peaks[0] >= 3 * peaks[1]
