"""The shape of the network: sizes by name, single numbers, and what is refused."""

from dataclasses import asdict
from typing import Any, get_args

import pytest
import torch

from lightning_modules.gpt import GPT, SIZES, GPTConfig, Size

TOY: dict[str, Any] = {"vocab_size": 32, "n_layer": 2, "n_head": 2, "n_embd": 8, "block_size": 6}


@pytest.mark.parametrize(
    ("size", "parameters"),
    [
        ("30M", 29_933_568),
        ("124M", 123_568_128),  # exactly the paper's
        ("354M", 353_501_184),
        ("417M", 417_005_568),  # exactly the paper's
        ("772M", 772_177_920),
    ],
)
def test_a_named_size_has_the_weights_that_it_is_named_after(size: Any, parameters: int) -> None:
    with torch.device("meta"):
        net = GPT(GPTConfig.named(size))
    assert sum(weight.numel() for weight in net.parameters()) == parameters
    assert size == f"{round(parameters / 1e6)}M"


def test_every_size_of_the_table_can_be_asked_for() -> None:
    assert tuple(SIZES) == get_args(Size)


def test_the_default_is_the_124m_model() -> None:
    assert GPTConfig() == GPTConfig.named("124M")
    assert asdict(GPTConfig()) == {
        "vocab_size": 50_304,
        "n_layer": 12,
        "n_head": 12,
        "n_embd": 768,
        "block_size": 1024,
        "tied_embeddings": True,
    }


@pytest.mark.parametrize("name", ["vocab_size", "n_layer", "n_head", "n_embd", "block_size"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_number_below_one_is_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, found {value}"):
        GPTConfig(**(TOY | {name: value}))


@pytest.mark.parametrize(("n_embd", "n_head", "quotient"), [(8, 3, "2.66667"), (6, 2, "3"), (7, 1, "7")])
def test_heads_that_do_not_divide_into_an_even_width_are_refused(n_embd: int, n_head: int, quotient: str) -> None:
    with pytest.raises(ValueError, match=f"n_embd {n_embd} / n_head {n_head} = {quotient}: a head must have an even"):
        GPTConfig(**(TOY | {"n_embd": n_embd, "n_head": n_head}))


def test_single_numbers_of_a_named_size_can_be_changed() -> None:
    assert GPTConfig.named("417M", n_layer=3) == GPTConfig(n_layer=3, n_head=24, n_embd=1536)


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown size '1B'; known: 30M, 124M, 354M, 417M, 772M"):
        GPTConfig.named("1B")  # type: ignore[arg-type]


def test_a_shape_comes_back_from_its_numbers() -> None:
    assert GPTConfig.from_dict(TOY | {"tied_embeddings": True}) == GPTConfig(**TOY)


def test_numbers_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown numbers of a GPT: \['n_kv_head'\]; known: \['block_size'"):
        GPTConfig.from_dict({"n_layer": 2, "n_kv_head": 4})
