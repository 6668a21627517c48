"""Tokens per second by a clock that is set by hand, and utilisation by the published numbers."""

import time
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch

from callbacks.throughput import Throughput, flops_per_token, peak_flops
from datamodules.batch import Batch
from lightning_modules.gpt import GPT, GPTConfig

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


class Stand:
    """As much of trainer and model as the callback looks at; a clock, and what was logged."""

    def __init__(self, *, ranks: int = 1, accumulation: int = 1, device: torch.device = CPU) -> None:
        with torch.device("meta"):
            net = GPT(GPTConfig())
        self.now = 0.0
        self.logged: dict[int, dict[str, float]] = {}
        self.trainer: Any = SimpleNamespace(
            global_step=0, log_every_n_steps=10, accumulate_grad_batches=accumulation, world_size=ranks
        )
        self.module: Any = SimpleNamespace(net=net, config=net.config, device=device, log_at=self.logged.__setitem__)
        self.callback = Throughput()
        self.callback.on_train_start(self.trainer, self.module)

    def step(self, seconds: float, steps: int = 1) -> None:
        """Optimizer steps of 4 sequences of 25 tokens a micro-batch."""
        tokens = torch.zeros(4, 25, dtype=torch.int64)
        for _ in range(steps):
            self.now += seconds
            self.trainer.global_step += 1
            for micro_batch in range(self.trainer.accumulate_grad_batches):
                self.callback.on_train_batch_end(self.trainer, self.module, None, Batch(tokens, tokens), micro_batch)

    def validate(self, seconds: float) -> None:
        self.callback.on_validation_start(self.trainer, self.module)
        self.now += seconds
        self.callback.on_validation_end(self.trainer, self.module)


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    """One process on a CPU."""
    return standing(monkeypatch)


def standing(monkeypatch: pytest.MonkeyPatch, **options: Any) -> Stand:
    stand = Stand(**options)
    monkeypatch.setattr(time, "perf_counter", lambda: stand.now)
    return stand


def speeds(stand: Stand) -> dict[int, float]:
    return {step: figures["throughput/tokens_per_second"] for step, figures in stand.logged.items()}


def test_ten_steps_of_a_hundred_tokens_in_five_seconds_are_two_hundred_a_second(stand: Stand) -> None:
    stand.step(0.5, steps=30)
    assert speeds(stand) == {20: 200.0, 30: 200.0}  # the first interval holds the start


@pytest.mark.parametrize(("ranks", "accumulation", "expected"), [(4, 1, 800.0), (1, 3, 600.0), (4, 3, 2400.0)])
def test_all_ranks_and_micro_batches_count(
    monkeypatch: pytest.MonkeyPatch, ranks: int, accumulation: int, expected: float
) -> None:
    stand = standing(monkeypatch, ranks=ranks, accumulation=accumulation)
    stand.step(0.5, steps=20)
    assert speeds(stand) == {20: expected}


def test_the_time_of_a_validation_is_left_out(stand: Stand) -> None:
    stand.step(0.5, steps=15)
    stand.validate(1000.0)
    stand.step(0.5, steps=5)
    assert speeds(stand) == {20: 200.0}


def test_a_validation_right_after_a_log_step_is_left_out_too(stand: Stand) -> None:
    stand.step(0.5, steps=10)
    stand.validate(1000.0)
    stand.step(0.5, steps=10)
    assert speeds(stand) == {20: 200.0}


def test_a_validation_before_the_first_step_does_no_harm(stand: Stand) -> None:
    stand.validate(1000.0)
    stand.step(0.5, steps=20)
    assert speeds(stand) == {20: 200.0}


def test_a_change_of_speed_shows_in_its_own_interval(stand: Stand) -> None:
    for seconds in (0.5, 0.5, 0.25):
        stand.step(seconds, steps=10)
    assert speeds(stand) == {20: 200.0, 30: 400.0}


def test_a_resumed_run_does_not_count_the_steps_before(monkeypatch: pytest.MonkeyPatch) -> None:
    stand = standing(monkeypatch)
    stand.trainer.global_step = 1000
    stand.callback.on_train_start(stand.trainer, stand.module)
    stand.step(0.5, steps=20)
    assert speeds(stand) == {1020: 200.0}


def test_on_a_cpu_no_utilisation_is_logged(stand: Stand) -> None:
    stand.step(0.5, steps=20)
    assert list(stand.logged[20]) == ["throughput/tokens_per_second"]


def test_utilisation_is_the_share_of_one_device_s_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two A100s at 400 tokens/s: 200 tokens/s * 854.7 MFLOP on each of 312 TFLOP/s."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA A100-SXM4-80GB")
    stand = standing(monkeypatch, ranks=2, device=CUDA)
    stand.step(0.5, steps=20)
    assert stand.logged[20]["throughput/mfu"] == pytest.approx(200 * 854_654_976 / 312e12)


@pytest.mark.parametrize(
    ("size", "flops"),
    [
        ("124M", 6 * 123_568_128 + 12 * 12 * 768 * 1024),  # 854.7 million
        ("417M", 6 * 417_005_568 + 12 * 12 * 1536 * 1024),
    ],
)
@pytest.mark.parametrize("tied", [True, False])
def test_a_token_costs_six_flops_a_weight_and_twelve_a_layer_width_and_position(
    size: Any, flops: int, tied: bool
) -> None:
    """An untied embedding is looked up, not multiplied: it costs nothing more."""
    with torch.device("meta"):
        net = GPT(GPTConfig.named(size, tied_embeddings=tied))
    module: Any = SimpleNamespace(net=net, config=net.config)
    assert flops_per_token(module) == flops


def test_the_124m_model_costs_854_7_million_flops_a_token() -> None:
    with torch.device("meta"):
        net = GPT(GPTConfig())
    module: Any = SimpleNamespace(net=net, config=net.config)
    assert flops_per_token(module) / 1e6 == pytest.approx(854.7, abs=0.05)


@pytest.mark.parametrize(
    ("name", "teraflops"),
    [
        ("NVIDIA A100-SXM4-40GB", 312),
        ("NVIDIA A100-PCIE-40GB", 312),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200", 989),
        ("NVIDIA GH200 480GB", 989),
        ("NVIDIA L40S", 362),
    ],
)
def test_the_peak_is_that_without_sparsity(monkeypatch: pytest.MonkeyPatch, name: str, teraflops: int) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    assert peak_flops(CUDA) == teraflops * 1e12


@pytest.mark.parametrize("name", ["NVIDIA GeForce RTX 4090", "NVIDIA L40", "AMD Instinct MI300X"])
def test_an_unknown_gpu_has_no_peak(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    assert peak_flops(CUDA) is None


def test_a_cpu_has_no_peak() -> None:
    assert peak_flops(CPU) is None


def test_it_is_a_callback_with_nothing_to_save() -> None:
    callback = Throughput()
    assert isinstance(callback, L.Callback)
    assert callback.state_dict() == {}
