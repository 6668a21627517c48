"""What keeps absent weights absent, without a trainer: packed masks, the right optimizers, one step of AdamW."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from callbacks.sparse_training import SparseTraining, check_updates_are_sparse, pack, unpack
from connectome import Connectome

Optimizer = Callable[..., torch.optim.Optimizer]


@pytest.mark.parametrize("shape", [(1, 1), (2, 4), (3, 3), (5, 13)])
def test_masks_come_back_from_their_bits(shape: tuple[int, int]) -> None:
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.5
    packed = pack(mask.float())
    assert packed.dtype == torch.uint8
    assert packed.numel() == (mask.numel() + 7) // 8
    assert torch.equal(unpack(packed, shape), mask)


def toy(device: str = "cpu") -> tuple[nn.Module, dict[str, Tensor], SparseTraining]:
    """Two matrices of which two thirds exist, and a callback that knows it."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8, bias=False), nn.Linear(8, 6, bias=False)).to(device)
    masks = {name: (torch.arange(w.numel()).view_as(w) % 3 != 0) for name, w in net.named_parameters()}
    signs = {name: torch.where(w < 0, -1, 1).to(torch.int8).cpu() for name, w in net.named_parameters()}
    callback = SparseTraining()
    callback.names, callback.weights = list(masks), list(net.parameters())
    callback.inherit(Connectome({name: signs[name] * mask.to(torch.int8) for name, mask in masks.items()}))
    return net, masks, callback


def train(net: nn.Module, callback: SparseTraining, optimizer: torch.optim.Optimizer, steps: int = 20) -> None:
    device = next(net.parameters()).device
    module: Any = None
    trainer: Any = None
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.randn(16, 6, device=device)).square().mean().sub(1).square().backward()
        callback.on_before_optimizer_step(trainer, module, optimizer)
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()


def check_absent_weights(net: nn.Module, masks: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
    for name, weight in net.named_parameters():
        absent = ~masks[name].to(weight.device)
        assert weight.grad is not None
        tensors = [weight, weight.grad, *(s for s in optimizer.state[weight].values() if s.shape == weight.shape)]
        assert len(tensors) >= 3
        assert all(tensor[absent].eq(0).all() for tensor in tensors)
        assert weight[~absent].ne(0).all()


@pytest.mark.parametrize("options", [{"fused": True}, {"foreach": True}, {"foreach": False}, {"amsgrad": True}])
def test_absent_weights_gradients_and_moments_stay_zero_under_adamw(options: dict[str, Any]) -> None:
    net, masks, callback = toy()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.1, **options)
    train(net, callback, optimizer)
    check_absent_weights(net, masks, optimizer)


@pytest.mark.parametrize(
    "make",
    [lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), lambda p: torch.optim.Adam(p, lr=0.01)],
)
def test_absent_weights_stay_zero_under_the_other_optimizers_that_are_allowed(make: Optimizer) -> None:
    net, masks, callback = toy()
    optimizer = make(net.parameters())
    train(net, callback, optimizer)
    check_absent_weights(net, masks, optimizer)


def test_masking_the_weights_as_well_changes_no_bit() -> None:
    """Why one multiplication, of the gradients, is enough."""
    (once, _, callback), (twice, masks, again) = toy(), toy()
    for net, both, wiring in ((once, False, callback), (twice, True, again)):
        torch.manual_seed(1)
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.1, fused=True)
        for _ in range(10):
            train(net, wiring, optimizer, steps=1)
            for name, weight in net.named_parameters():
                weight.data.mul_(masks[name] if both else 1)
    assert all(torch.equal(a, b) for a, b in zip(once.parameters(), twice.parameters(), strict=True))


def test_without_masks_gradients_are_left_alone() -> None:
    net, _, callback = toy()
    callback.masks = []
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    train(net, callback, optimizer)
    assert all(weight.ne(0).all() for weight in net.parameters())


def test_inheriting_writes_into_the_same_tensors() -> None:
    net, masks, callback = toy()
    places = [weight.data_ptr() for weight in net.parameters()]
    callback.inherit(Connectome({name: mask.to(torch.int8) for name, mask in masks.items()}))
    assert [weight.data_ptr() for weight in net.parameters()] == places
    for name, weight in net.named_parameters():
        assert torch.equal(weight.detach(), 0.02 * masks[name])


def test_density_is_that_of_all_matrices_together() -> None:
    """Two thirds of 48 weights twice."""
    assert toy()[2].density == pytest.approx(64 / 96)


def test_a_connectome_of_another_network_is_refused() -> None:
    with pytest.raises(ValueError, match="another architecture"):
        toy()[2].inherit(Connectome({"0.weight": torch.ones(2, 2, dtype=torch.int8)}))


def test_a_callback_s_state_holds_packed_masks() -> None:
    _, masks, callback = toy()
    state = callback.state_dict()
    assert state["steps_per_generation"] == 7000
    assert {name: bits.numel() for name, bits in state["masks"].items()} == {"0.weight": 6, "1.weight": 6}
    assert all(torch.equal(unpack(state["masks"][name], mask.shape), mask) for name, mask in masks.items())


def test_a_dense_run_saves_no_masks() -> None:
    callback = SparseTraining(steps_per_generation=5)
    assert callback.state_dict() == {"steps_per_generation": 5, "masks": {}}


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.Adagrad(p),
        lambda p: torch.optim.RMSprop(p),
        lambda p: torch.optim.Muon(p),
    ],
    ids=["Adagrad", "RMSprop", "Muon"],
)
def test_an_optimizer_of_unknown_updates_is_refused(make: Optimizer, request: pytest.FixtureRequest) -> None:
    optimizer = make([nn.Parameter(torch.ones(2, 2))])
    with pytest.raises(ValueError, match=rf"{request.node.callspec.id} may move .*: use one of Adam, AdamW, SGD"):
        check_updates_are_sparse(optimizer)


def test_muon_would_indeed_move_absent_weights() -> None:
    net, masks, callback = toy()
    train(net, callback, torch.optim.Muon(net.parameters(), lr=0.1), steps=2)
    assert any(weight[~masks[name]].ne(0).any() for name, weight in net.named_parameters())


def test_an_eps_of_zero_is_refused() -> None:
    optimizer = torch.optim.AdamW([{"params": [nn.Parameter(torch.ones(1, 1))], "eps": 0.0}])
    with pytest.raises(ValueError, match="eps=0 turns absent weights into NaN"):
        check_updates_are_sparse(optimizer)


def test_an_eps_of_zero_would_indeed_make_nan() -> None:
    net, _, callback = toy()
    train(net, callback, torch.optim.AdamW(net.parameters(), eps=0.0), steps=1)
    assert any(weight.isnan().any() for weight in net.parameters())


@pytest.mark.parametrize("steps", [0, -1])
def test_a_generation_of_no_steps_is_refused(steps: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1, found {steps}"):
        SparseTraining(steps_per_generation=steps)


def fitting(strategy: object, net: nn.Module) -> tuple[Any, Any]:
    return SimpleNamespace(strategy=strategy), SimpleNamespace(net=net)


def test_a_strategy_that_shards_parameters_is_refused() -> None:
    class FSDPStrategy:
        pass

    with pytest.raises(ValueError, match=r"FSDPStrategy flattens or shards parameters.*--trainer\.strategy ddp"):
        SparseTraining().setup(*fitting(FSDPStrategy(), toy()[0]), "fit")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_absent_weights_stay_zero_under_fused_adamw_on_a_gpu() -> None:
    net, masks, callback = toy("cuda")
    assert all(mask.is_cuda for mask in callback.masks)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.1, fused=True)
    with torch.autocast("cuda", torch.bfloat16):
        train(net, callback, optimizer)
    check_absent_weights(net, masks, optimizer)
