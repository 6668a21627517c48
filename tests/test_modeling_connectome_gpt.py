"""An exported model in transformers: the logits are ours, and generation is right with a cache and without."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from exchange.model_folder import export
from lightning_modules.gpt import GPT, GPTConfig
from lightning_modules.weights import read_weights, write_weights

transformers = pytest.importorskip("transformers")
SHAPE = GPTConfig(vocab_size=320, n_layer=2, n_head=2, n_embd=16, block_size=12)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where transformers puts the code it loads."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def load(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[GPT, Any]]:
    """Exports a toy whose weights are large, so that every part shows; returns ours and what transformers loads."""
    for module in ("transformers.dynamic_module_utils", "transformers.utils.hub"):
        monkeypatch.setattr(f"{module}.HF_MODULES_CACHE", str(home))

    def make(**changes: Any) -> tuple[GPT, Any]:
        torch.manual_seed(0)
        net = GPT(GPTConfig(**(asdict(SHAPE) | changes))).eval()
        for weight in net.parameters():
            torch.nn.init.normal_(weight, std=0.4)
        write_weights(tmp_path / "0.safetensors", net, {"tokenizer": "bytes"})
        export(str(tmp_path / "0.safetensors"), out=str(tmp_path / "out"))
        return net, transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out", trust_remote_code=True)

    return make


def random_tokens(*shape: int) -> Tensor:
    return torch.randint(0, 257, shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("length", [1, 12, 30])
@torch.no_grad()
def test_logits_are_ours_beyond_the_context_too(load: Any, tied: bool, length: int) -> None:
    net, model = load(tied_embeddings=tied)
    tokens = random_tokens(3, length)
    expected = net(tokens)
    assert expected.abs().max() > 1
    assert torch.equal(model(tokens).logits, expected)
    assert (model.lm_head.weight is model.transformer.wte.weight) is tied


@torch.no_grad()
def test_the_loss_is_the_mean_cross_entropy_of_the_next_tokens(load: Any) -> None:
    net, model = load()
    tokens = random_tokens(2, 9)
    labels = tokens.clone()
    labels[0, :4] = -100
    nats = -net(tokens)[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None]).squeeze(-1)
    expected = (nats[0, 3:].sum() + nats[1].sum()) / (5 + 8)
    torch.testing.assert_close(model(tokens, labels=labels).loss, expected)


@torch.no_grad()
def test_what_transformers_expects_is_there(load: Any) -> None:
    net, model = load()
    tokens = random_tokens(2, 5)
    output = model(tokens, output_hidden_states=True)
    assert isinstance(output, transformers.utils.ModelOutput)
    assert len(output.hidden_states) == SHAPE.n_layer + 1
    assert torch.equal(output.hidden_states[0], net.transformer.wte(tokens))
    assert torch.equal(output.hidden_states[-1], net.hidden(tokens))
    assert torch.equal(model(tokens, return_dict=False)[0], output.logits)
    assert torch.equal(model(tokens, logits_to_keep=1).logits, net.lm_head(net.hidden(tokens)[:, -1:]))
    assert torch.equal(model(inputs_embeds=net.transformer.wte(tokens)).logits, output.logits)
    assert model.config.max_position_embeddings == 12
    assert (model.config.hidden_size, model.config.num_hidden_layers, model.config.num_attention_heads) == (16, 2, 2)
    assert sum(weight.numel() for weight in model.parameters()) == sum(weight.numel() for weight in net.parameters())


def greedy(net: GPT, tokens: Tensor, count: int) -> Tensor:
    """Our own model, one whole forward a token, without the ids that no token has."""
    for _ in range(count):
        tokens = torch.cat([tokens, net(tokens)[:, -1:, :257].argmax(-1)], dim=1)
    return tokens


@pytest.mark.parametrize("cache", [True, False], ids=["cache", "no cache"])
@torch.no_grad()
def test_generation_is_our_own_greedy_continuation(load: Any, cache: bool) -> None:
    net, model = load()
    tokens = random_tokens(3, 4)
    expected = greedy(net, tokens, 20)
    options = {"max_new_tokens": 20, "do_sample": False, "use_cache": cache, "eos_token_id": None}
    found = model.generate(tokens, attention_mask=torch.ones_like(tokens), **options)
    assert torch.equal(found, expected)
    assert len(set(found[:, 4:].flatten().tolist())) > 5  # it does not just repeat itself


@pytest.mark.parametrize("cache", [True, False], ids=["cache", "no cache"])
@torch.no_grad()
def test_padding_on_the_left_changes_nothing(load: Any, cache: bool) -> None:
    net, model = load()
    short, long = random_tokens(1, 3), random_tokens(1, 7)
    padded = torch.cat([torch.cat([torch.full((1, 4), 256), short], dim=1), long])
    mask = torch.ones_like(padded)
    mask[0, :4] = 0
    options = {"max_new_tokens": 8, "do_sample": False, "use_cache": cache, "eos_token_id": None}
    found = model.generate(padded, attention_mask=mask, **options)
    assert torch.equal(found[0, 4:], greedy(net, short, 8)[0])
    assert torch.equal(found[1], greedy(net, long, 8)[0])


@torch.no_grad()
def test_a_cache_in_pieces_gives_the_logits_of_one_pass(load: Any) -> None:
    net, model = load()
    tokens = random_tokens(2, 10)
    first = model(tokens[:, :4], use_cache=True)
    second = model(tokens[:, 4:], past_key_values=first.past_key_values)
    torch.testing.assert_close(torch.cat([first.logits, second.logits], dim=1), net(tokens), rtol=0, atol=2e-5)


@torch.no_grad()
def test_ids_that_no_token_has_are_never_generated(load: Any) -> None:
    """All heads rows but those of dead ids are zero, so that a dead one has the highest logit, or all others have."""
    _, model = load(tied_embeddings=False)
    model.lm_head.weight.data[:257] = 0
    for sample in (False, True):
        tokens = random_tokens(8, 3)
        found = model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=8, do_sample=sample)
        assert found.max() <= 256


def test_a_mask_of_another_length_is_refused(load: Any) -> None:
    _, model = load()
    with pytest.raises(ValueError, match="expected an attention mask of 5 columns"):
        model(random_tokens(1, 5), attention_mask=torch.ones(1, 4))


def test_what_transformers_saves_is_read_back(load: Any, tmp_path: Path) -> None:
    net, model = load()
    model.save_pretrained(tmp_path / "saved")
    weights = read_weights(tmp_path / "saved")
    assert weights.config == net.config
    assert all(torch.equal(weights.tensors[name], matrix) for name, matrix in net.named_parameters())


def test_gradients_reach_every_matrix(load: Any) -> None:
    _, model = load()
    model.train()
    tokens = random_tokens(2, 6)
    model(tokens, labels=tokens).loss.backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in model.parameters())


def test_a_new_model_starts_as_ours_does(load: Any) -> None:
    """0.02, and 0.02 / sqrt(2 * 2 layers) = 0.01 for what is added to the residual stream."""
    _, model = load()
    shape = model.config.__class__(vocab_size=320, n_layer=2, n_head=2, n_embd=64, block_size=8)
    new = model.__class__(shape)
    for name, weight in new.named_parameters():
        assert weight.std().item() == pytest.approx(0.01 if "c_proj" in name else 0.02, rel=0.05), name


def test_the_folder_names_its_classes(load: Any, tmp_path: Path) -> None:
    load()
    about = json.loads((tmp_path / "out" / "config.json").read_text())
    assert about["auto_map"]["AutoModelForCausalLM"] == "modeling_connectome_gpt.ConnectomeGPT"
