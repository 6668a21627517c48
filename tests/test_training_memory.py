"""The memory model against what autograd keeps and the allocator hands out on CPU, and what follows for known GPUs."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile

from lightning_modules.chunked_loss import chunked_next_token_loss
from lightning_modules.gpt import GPT, GPTConfig, next_token_loss
from lightning_modules.training_memory import Precision, TrainingMemory, training_memory, usable_memory

PRECISIONS: list[Precision] = ["32-true", "bf16-mixed"]


def toy(**changes: int) -> GPTConfig:
    numbers = {"vocab_size": 4096, "n_layer": 2, "n_head": 2, "n_embd": 64, "block_size": 256}
    return GPTConfig(**(numbers | changes))  # type: ignore[arg-type]


def expected(config: GPTConfig, sequences: int, precision: Precision, **changes: Any) -> TrainingMemory:
    settings: dict[str, Any] = {"compiled": False, "masked": False, "buckets": False, "logits_budget": 8.0}
    return training_memory(config, sequences, precision=precision, **(settings | changes))


def autocast(precision: Precision) -> torch.autocast:
    """As Lightning does it: every use of a weight casts it again."""
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed", cache_enabled=False)


def weights_and_optimizer(config: GPTConfig) -> int:
    return 16 * sum(weight.numel() for weight in GPT(config).parameters())


def kept(config: GPTConfig, sequences: int, precision: Precision) -> int:
    """Bytes that the blocks and the head keep for the backward pass, parameters themselves left out."""
    net = GPT(config)
    own = {weight.untyped_storage().data_ptr() for weight in net.parameters()}
    storages = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own and tensor.shape != (tokens.numel(), config.vocab_size):  # but no logits
            storages[storage.data_ptr()] = storage  # held, or its address would be given away again
        return tensor

    tokens = torch.zeros(sequences, config.block_size, dtype=torch.int64)
    with autocast(precision), saved_tensors_hooks(pack, lambda tensor: tensor):
        next_token_loss(net.hidden(tokens), net.lm_head.weight, tokens)
    return sum(storage.nbytes() for storage in storages.values())


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("n_layer", [1, 3])
@pytest.mark.parametrize("n_embd", [64, 128])
def test_activations_and_casts_are_what_autograd_keeps(n_layer: int, n_embd: int, precision: Precision) -> None:
    config = toy(n_layer=n_layer, n_embd=n_embd)
    memory = expected(config, 4, precision)
    casts = memory.static - weights_and_optimizer(config)
    assert memory.activations + casts == pytest.approx(kept(config, 4, precision), rel=0.02)


def peak(config: GPTConfig, sequences: int, precision: Precision, loss: Any) -> int:
    """Bytes that the allocator hands out at most beside weights, gradients and moments, in one more micro-batch."""
    net = GPT(config)
    tokens = torch.zeros(sequences, config.block_size, dtype=torch.int64)

    def step() -> None:
        with autocast(precision):
            value = loss(net.hidden(tokens), net.lm_head.weight, tokens)
        value.backward()

    step()  # the gradients are there from now on
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step()
    results = recorded.profiler.kineto_results  # type: ignore[union-attr]
    changes = sorted((event.start_ns(), event.nbytes()) for event in results.events() if event.name() == "[memory]")
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "config",
    [toy(), toy(n_layer=4), toy(n_embd=128), toy(n_layer=4, n_embd=128, vocab_size=256)],
    ids=["logits", "deep", "wide", "blocks"],  # what the peak is made of
)
def test_the_peak_is_what_the_allocator_hands_out(config: GPTConfig, precision: Precision) -> None:
    counted = peak(config, 4, precision, next_token_loss)
    memory = expected(config, 4, precision)
    assert memory.total - weights_and_optimizer(config) == pytest.approx(counted, rel=0.02)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("config", [toy(), toy(n_layer=4, n_embd=128)], ids=["narrow", "wide"])
def test_with_the_chunked_loss_it_is_a_close_upper_bound(config: GPTConfig, precision: Precision) -> None:
    counted = peak(config, 8, precision, chunked_next_token_loss)
    memory = expected(config, 8, precision, logits_budget=0.0)
    assert counted <= memory.total - weights_and_optimizer(config) <= 1.15 * counted


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of what torch does while it compiles
@pytest.mark.parametrize("precision", PRECISIONS)
def test_compiled_it_is_an_upper_bound(precision: Precision, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of torch's CPU code; a peak made of logits, then one made of activations.

    Where the processor has instructions for bfloat16, torch keeps half as many bytes of bfloat16 logits as elsewhere.
    """
    torch._dynamo.reset()
    close = 1.35 if precision == "32-true" else 2.1
    forward = GPT.hidden

    def hidden(net: GPT, tokens: torch.Tensor) -> torch.Tensor:
        for block in net.transformer.h:
            block.compile()
        return forward(net, tokens)

    monkeypatch.setattr(GPT, "hidden", hidden)
    for config in (toy(), toy(n_layer=4, n_embd=128, vocab_size=256)):
        counted = peak(config, 4, precision, torch.compile(next_token_loss))
        memory = expected(config, 4, precision, compiled=True)
        assert counted <= 1.01 * (memory.total - weights_and_optimizer(config)) <= close * counted


@pytest.mark.parametrize(
    ("size", "static", "masks"),
    [("124M", 1.977, 0.494), ("417M", 6.672, 1.668)],  # 16 and 4 bytes x 123,568,128 and 417,005,568 weights
)
def test_static_memory_is_16_bytes_a_weight_and_4_for_its_mask(size: Any, static: float, masks: float) -> None:
    config = GPTConfig.named(size)
    dense, sparse = (expected(config, 1, "32-true", masked=masked).static / 1e9 for masked in (False, True))
    assert dense == pytest.approx(static, abs=0.001)
    assert sparse - dense == pytest.approx(masks, abs=0.001)


def test_buckets_of_ddp_are_4_bytes_a_weight() -> None:
    config = toy()
    without, with_buckets = (expected(config, 1, "32-true", buckets=buckets).static for buckets in (False, True))
    assert with_buckets - without == weights_and_optimizer(config) / 4


def test_an_untied_head_has_a_matrix_of_its_own_and_one_cast() -> None:
    """32 x 8 weights for each token matrix, 2 x 12 x 8 x 8 in the blocks."""
    config = GPTConfig(vocab_size=32, n_layer=2, n_head=2, n_embd=8, block_size=4, tied_embeddings=False)
    assert expected(config, 1, "32-true").static == 16 * (2 * 256 + 1536)
    assert expected(config, 1, "bf16-mixed").static == 16 * (2 * 256 + 1536) + 2 * (256 + 1536)


A100_40, A100_80, H200 = 39.4, 79.1, 139.8  # GiB that CUDA reports


@pytest.mark.parametrize(
    ("size", "sequences", "gib"),
    [("124M", 32, A100_40), ("124M", 64, A100_80), ("124M", 128, H200), ("417M", 16, A100_40), ("417M", 64, A100_80)],
)
def test_what_is_to_fit_a_gpu_does(size: Any, sequences: int, gib: float, monkeypatch: pytest.MonkeyPatch) -> None:
    room = gpu(gib, monkeypatch)
    for compiled in (False, True):
        memory = expected(GPTConfig.named(size), sequences, "bf16-mixed", masked=True, buckets=True, compiled=compiled)
        assert memory.total <= room


def gpu(gib: float, monkeypatch: pytest.MonkeyPatch) -> int:
    """Usable bytes of a GPU of so many GiB."""
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=gib * 2**30))
    return usable_memory(torch.device("cuda", 0), 1)


def test_a_gpu_gives_nine_tenths_of_all_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpu(10, monkeypatch) == 9 * 2**30


V1, V2 = "4:memory:/box/job\n3:cpuset:/\n0::/\n", "0::/box/job\n"


@pytest.mark.parametrize(
    ("groups", "files", "usable"),
    [
        (None, {}, 4_096_000),  # no Linux
        (V2, {"memory.max": "max"}, 4_096_000),
        (V2, {"box/job/memory.max": "1000000\n"}, 1_000_000),
        (V2, {"box/job/memory.max": "max\n", "box/memory.max": "2000000\n"}, 2_000_000),
        (V2, {"memory.max": "3000000\n"}, 3_000_000),  # in a container that sees the path outside
        (V1, {"memory/box/job/memory.limit_in_bytes": "1000000\n"}, 1_000_000),
        (V1, {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 4_096_000),  # no limit
        (V1, {"cpuset/memory.limit_in_bytes": "1\n", "other/memory.max": "1\n"}, 4_096_000),
    ],
)
def test_processes_share_half_of_the_main_memory_that_they_may_take(
    groups: str | None, files: dict[str, str], usable: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}.__getitem__)
    monkeypatch.setattr("lightning_modules.training_memory.CGROUP_OF_THIS_PROCESS", tmp_path / "self")
    monkeypatch.setattr("lightning_modules.training_memory.CGROUPS", tmp_path)
    for name, text in (files | ({"self": groups} if groups else {})).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_memory(torch.device("cpu"), 4) == usable / 2 / 4


def test_another_kind_of_device_asks_for_a_number() -> None:
    with pytest.raises(ValueError, match="this run is on mps: give it a number"):
        usable_memory(torch.device("mps"), 1)


def test_it_says_what_it_is_made_of() -> None:
    text = str(TrainingMemory(2_700_000_000, 25_830_000_000, 2_390_000_000))
    assert text == "30.9 GB (weights and optimizer 2.7, activations 25.8, working 2.4)"
