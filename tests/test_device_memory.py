"""Which micro-batch a run chooses for its devices."""

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy

from lightning_modules.device_memory import DeviceMemory
from lightning_modules.gpt import GPT, GPTConfig

TOY = GPTConfig(vocab_size=16, n_layer=1, n_head=1, n_embd=4, block_size=8)
WEIGHTS = sum(weight.numel() for weight in GPT(TOY).parameters())


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., DeviceMemory]:
    """Makes that of a toy on as much of a trainer as it looks at, with room for a micro-batch of `room` sequences."""

    def make(room: int, others: int | None = None) -> DeviceMemory:
        strategy = SimpleNamespace(root_device=torch.device("cpu"))
        trainer: Any = SimpleNamespace(precision="32-true", num_devices=1, strategy=strategy)
        memory = DeviceMemory(trainer, TOY, compiled=False, logits_budget=8.0)
        mine, least = (memory.of(number).total for number in (room, room if others is None else others))
        monkeypatch.setattr("lightning_modules.device_memory.usable_memory", lambda *_: mine)
        strategy.reduce = lambda tensor, reduce_op: torch.minimum(tensor, torch.tensor(least))
        return memory

    return make


def test_the_largest_micro_batch_that_fits_is_chosen_and_said(
    on_cpu: Callable[..., DeviceMemory], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="lightning.pytorch"):
        assert on_cpu(4).largest_micro_batch([1, 2, 3, 6]) == 3
    assert re.search(r"micro-batches of 3: \S+ GB \(.*\) expected of \S+ GB usable", caplog.text)


def test_masks_are_counted_before_there_are_any(on_cpu: Callable[..., DeviceMemory]) -> None:
    assert on_cpu(1).of(1).static == 20 * WEIGHTS


def test_with_ddp_its_buckets_are_counted_too(on_cpu: Callable[..., DeviceMemory]) -> None:
    memory = on_cpu(1)
    alone = memory.of(1).static
    memory.trainer.strategy = DDPStrategy()
    assert memory.of(1).static - alone == 4 * WEIGHTS


def test_the_smallest_device_decides(on_cpu: Callable[..., DeviceMemory]) -> None:
    memory = on_cpu(4, others=2)
    assert memory.largest_micro_batch([1, 2, 3, 6]) == 2
    assert memory.fits(2)
    assert not memory.fits(3)


def test_a_model_that_does_not_fit_at_all_is_refused_with_the_arithmetic(on_cpu: Callable[..., DeviceMemory]) -> None:
    with pytest.raises(
        ValueError, match=r"a micro-batch of 2 does not fit: .* GB usable; choose a smaller --model.size"
    ):
        on_cpu(1).largest_micro_batch([2, 4])
