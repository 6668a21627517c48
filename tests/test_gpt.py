"""The network: its names and start, and its output against one written down a second time in another way."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.gpt import GPT, GPTConfig, next_token_loss, rms_norm, rotary_tables, rotate

Array = NDArray[np.float64]

BLOCK_NAMES = ["attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight"]


def toy(**changes: Any) -> GPTConfig:
    numbers: dict[str, Any] = {"vocab_size": 32, "n_layer": 2, "n_head": 2, "n_embd": 8, "block_size": 6}
    return GPTConfig(**(numbers | changes))


@pytest.fixture
def net() -> GPT:
    """A toy with large weights, so that every part of it shows in the logits."""
    torch.manual_seed(0)
    net = GPT(toy())
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    return net


@pytest.fixture
def tokens() -> Tensor:
    return torch.randint(0, 32, (3, 6), generator=torch.Generator().manual_seed(1))


# names, initialisation


@pytest.mark.parametrize(
    ("tied", "parameters"), [(True, 32 * 8 + 2 * 12 * 8 * 8), (False, 2 * 32 * 8 + 2 * 12 * 8 * 8)]
)
def test_a_tied_matrix_counts_once(tied: bool, parameters: int) -> None:
    net = GPT(toy(tied_embeddings=tied))
    assert sum(weight.numel() for weight in net.parameters()) == parameters
    assert (net.lm_head.weight is net.transformer.wte.weight) is tied


@pytest.mark.parametrize("tied", [True, False])
def test_matrices_have_the_names_of_gpt_2(tied: bool) -> None:
    blocks = [f"transformer.h.{layer}.{name}" for layer in range(2) for name in BLOCK_NAMES]
    parameters = ["transformer.wte.weight", *blocks] + ([] if tied else ["lm_head.weight"])
    net = GPT(toy(tied_embeddings=tied))
    assert [name for name, _ in net.named_parameters()] == parameters
    assert sorted(net.state_dict()) == sorted({*parameters, "lm_head.weight"})


def test_every_parameter_is_a_matrix_of_the_published_shape() -> None:
    shapes = {name: tuple(weight.shape) for name, weight in GPT(toy(n_layer=1)).named_parameters()}
    assert list(shapes.values()) == [(32, 8), (24, 8), (8, 8), (32, 8), (8, 32)]


@pytest.mark.parametrize("tied", [True, False])
def test_weights_start_with_the_published_spread(tied: bool) -> None:
    """0.02, and 0.02 / sqrt(2 * 8 layers) = 0.005 for what is added to the residual stream."""
    torch.manual_seed(0)
    net = GPT(GPTConfig(vocab_size=512, n_layer=8, n_head=2, n_embd=64, block_size=8, tied_embeddings=tied))
    for name, weight in net.named_parameters():
        expected = 0.005 if name.endswith("c_proj.weight") else 0.02
        assert weight.std().item() == pytest.approx(expected, rel=0.05), name
        assert abs(weight.mean().item()) < 5 * expected / weight.numel() ** 0.5, name


def test_a_seed_starts_the_same_network_again() -> None:
    nets = []
    for _ in range(2):
        torch.manual_seed(3)
        nets.append(GPT(toy()))
    pairs = zip(nets[0].parameters(), nets[1].parameters(), strict=True)
    assert all(torch.equal(first, second) for first, second in pairs)


# what it computes


def reference_logits(net: GPT, tokens: Tensor) -> Array:
    """The forward pass in float64 numpy, a token and a head at a time; rotation as a product of complex numbers."""
    weights = {name: weight.detach().double().numpy() for name, weight in net.state_dict().items()}
    config = net.config
    width = config.n_embd // config.n_head

    def norm(x: Array) -> Array:
        return x / np.sqrt((x**2).mean() + 1e-6)

    def turned(x: Array, position: int) -> Array:
        angles = [position * 10_000 ** (-2 * pair / width) for pair in range(width // 2)]
        product = (x[: width // 2] + 1j * x[width // 2 :]) * np.exp(-1j * np.array(angles))
        return np.concatenate([product.real, product.imag])

    def gelu(x: float) -> float:
        return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))

    logits = []
    for row in tokens.tolist():
        stream = [weights["transformer.wte.weight"][token] for token in row]
        for layer in range(config.n_layer):
            c_attn, attn_proj, c_fc, mlp_proj = (weights[f"transformer.h.{layer}.{name}"] for name in BLOCK_NAMES)
            projected = np.stack([c_attn @ norm(x) for x in stream]).reshape(len(row), 3, config.n_head, width)
            q, k, v = projected.swapaxes(0, 1)
            attended = []
            for t in range(len(row)):
                heads = []
                for h in range(config.n_head):
                    query = turned(q[t][h], t)
                    scores = np.array([query @ turned(k[s][h], s) for s in range(t + 1)]) / math.sqrt(width)
                    attention = np.exp(scores) / np.exp(scores).sum()
                    heads.append(sum(attention[s] * v[s][h] for s in range(t + 1)))
                attended.append(attn_proj @ np.concatenate(heads))
            stream = [x + a / math.sqrt(2 * config.n_layer) for x, a in zip(stream, attended, strict=True)]
            stream = [x + mlp_proj @ np.array([gelu(u) for u in c_fc @ norm(x)]) for x in stream]
        logits.append([weights["lm_head.weight"] @ norm(x) for x in stream])
    return np.array(logits)


@pytest.mark.parametrize("changes", [{}, {"n_head": 1}, {"n_head": 4}, {"n_layer": 3}, {"tied_embeddings": False}])
def test_logits_are_those_of_a_second_implementation(tokens: Tensor, changes: dict[str, Any]) -> None:
    """Logits reach some 5; float32 keeps seven digits, of which a sum of a few hundred products costs one or two."""
    torch.manual_seed(0)
    net = GPT(toy(**changes))
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    expected = reference_logits(net, tokens)
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(net(tokens).detach().numpy(), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("position", range(5))
def test_a_token_changes_no_logit_before_its_own(net: GPT, tokens: Tensor, position: int) -> None:
    changed = tokens.clone()
    changed[:, position] = (changed[:, position] + 1) % 32
    before, after = net(tokens), net(changed)
    assert torch.equal(before[:, :position], after[:, :position])
    assert (before[:, position:] != after[:, position:]).any(dim=-1).all()


def test_sequences_do_not_see_each_other(net: GPT, tokens: Tensor) -> None:
    torch.testing.assert_close(net(tokens)[1:2], net(tokens[1:2]))


def test_a_sequence_may_be_longer_than_the_context_of_training(net: GPT) -> None:
    long = torch.arange(20).unsqueeze(0)
    logits = net(long)
    assert logits.shape == (1, 20, 32)
    torch.testing.assert_close(logits[:, :6], net(long[:, :6]))
    np.testing.assert_allclose(logits.detach().numpy(), reference_logits(net, long), rtol=0, atol=2e-5)


def test_logits_are_the_head_times_the_hidden_activations(net: GPT, tokens: Tensor) -> None:
    hidden = net.hidden(tokens)
    assert hidden.shape == (3, 6, 8)
    torch.testing.assert_close(net(tokens), hidden @ net.lm_head.weight.t())


def test_hidden_activations_are_normalised(net: GPT, tokens: Tensor) -> None:
    torch.testing.assert_close(net.hidden(tokens).square().mean(-1), torch.ones(3, 6), rtol=1e-4, atol=0)


def test_every_matrix_gets_a_gradient(net: GPT, tokens: Tensor) -> None:
    next_token_loss(net.hidden(tokens), net.lm_head.weight, tokens).backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in net.parameters())


# its parts


def test_rotation_has_the_authors_sense() -> None:
    """A head of four: pair (0, 2) turns by 1 radian a token, pair (1, 3) by 10,000 ** -0.5 = 0.01.

    GPT-NeoX turns the other way: there e0 becomes cos e0 + sin e2.
    """
    cos, sin = rotary_tables(2, 4, torch.device("cpu"))
    turned = rotate(torch.eye(4).view(4, 1, 4).expand(4, 2, 4), cos, sin)
    assert torch.equal(turned[:, 0], torch.eye(4))  # position 0 stays
    expected = [
        [0.5403023, 0.0, -0.8414710, 0.0],
        [0.0, 0.9999500, 0.0, -0.0099998],
        [0.8414710, 0.0, 0.5403023, 0.0],
        [0.0, 0.0099998, 0.0, 0.9999500],
    ]
    torch.testing.assert_close(turned[:, 1], torch.tensor(expected), rtol=0, atol=1e-6)


def test_rotary_tables_are_cosines_and_sines_of_position_times_frequency() -> None:
    cos, sin = rotary_tables(3, 4, torch.device("cpu"))
    assert cos.shape == sin.shape == (3, 2)
    angles = torch.tensor([[0.0, 0.0], [1.0, 0.01], [2.0, 0.02]])
    torch.testing.assert_close(torch.atan2(sin, cos), angles, rtol=2e-6, atol=0)


def test_only_the_distance_of_two_positions_counts() -> None:
    torch.manual_seed(0)
    cos, sin = rotary_tables(50, 8, torch.device("cpu"))
    q, k = (rotate(torch.randn(8).expand(50, 8), cos, sin) for _ in range(2))
    products = q @ k.t()
    torch.testing.assert_close(products[3:, :-3].diagonal(), products[3, 0].expand(47))
    assert (products[3, 0] - products[0, 3]).abs() > 0.1


def test_rotation_keeps_lengths() -> None:
    cos, sin = rotary_tables(9, 6, torch.device("cpu"))
    x = torch.randn(2, 3, 9, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rotate(x, cos, sin).norm(dim=-1), x.norm(dim=-1))


def test_rms_norm_divides_by_the_root_of_the_mean_square() -> None:
    x = torch.tensor([[3.0, 4.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])  # mean square 25 / 4
    torch.testing.assert_close(rms_norm(x), torch.tensor([[1.2, 1.6, 0.0, 0.0], [0.0] * 4]), rtol=1e-6, atol=0)


def test_rms_norm_is_computed_in_float32() -> None:
    """The square of 300 would overflow in float16."""
    x = torch.full((1, 4), 300.0, dtype=torch.float16)
    assert torch.equal(rms_norm(x), torch.ones(1, 4, dtype=torch.float16))


def test_equal_logits_cost_the_logarithm_of_the_vocabulary() -> None:
    loss = next_token_loss(torch.zeros(2, 3, 4), torch.ones(8, 4), torch.zeros(2, 3, dtype=torch.int64))
    assert loss.item() == pytest.approx(math.log(8))


def test_the_loss_is_the_mean_over_all_tokens() -> None:
    """Logits (ln 3, 0) give the two tokens probabilities 3/4 and 1/4."""
    hidden = torch.tensor([[[math.log(3)], [math.log(3)]]])
    head = torch.tensor([[1.0], [0.0]])
    loss = next_token_loss(hidden, head, torch.tensor([[0, 1]]))
    assert loss.item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_loss_in_bfloat16_on_a_gpu_is_that_of_the_cpu(net: GPT, tokens: Tensor) -> None:
    """bfloat16 keeps two to three digits of each product; the mean loss of 18 tokens keeps three."""
    targets = tokens.roll(-1, 1)
    expected = next_token_loss(net.hidden(tokens), net.lm_head.weight, targets)
    net.cuda()
    with torch.autocast("cuda", torch.bfloat16):
        loss = next_token_loss(net.hidden(tokens.cuda()), net.lm_head.weight, targets.cuda())
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.cpu(), expected, rtol=5e-3, atol=0)
