"""What a LanguageModel refuses before it trains or validates, and how it counts."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from datamodules.batch import Batch
from datamodules.manifest import Part
from lightning_modules.gpt import GPT, GPTConfig
from lightning_modules.language_model import LanguageModel, count_micro_batches_anew
from lightning_modules.weights import write_weights

TOY = GPTConfig(vocab_size=16, n_layer=1, n_head=1, n_embd=4, block_size=8)


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    """Kept weights of a toy GPT on GPT-2's tokens."""
    write_weights(tmp_path / "0.safetensors", GPT(TOY), {"tokenizer": "gpt2"})
    return str(tmp_path / "0.safetensors")


def setup(model: LanguageModel, part: Part) -> None:
    model._trainer = SimpleNamespace(datamodule=SimpleNamespace(part=part))
    model.setup("validate")


def test_the_shape_is_the_checkpoints(checkpoint: str) -> None:
    assert LanguageModel(checkpoint=checkpoint).config == TOY


def test_a_shape_that_contradicts_the_checkpoint_is_refused(checkpoint: str) -> None:
    with pytest.raises(ValueError, match=r"another architecture.*'n_layer': \(2, 1\)"):
        LanguageModel(checkpoint=checkpoint, n_layer=2, n_head=1)


def test_shards_of_another_tokenizer_are_refused(checkpoint: str) -> None:
    model = LanguageModel(checkpoint=checkpoint)
    setup(model, Part("gpt2", 15, "f"))
    with pytest.raises(ValueError, match="trained on tokens of 'gpt2', the shards hold tokens of 'bytes'"):
        setup(model, Part("bytes", 15, "f"))


def test_a_token_beyond_the_vocabulary_is_refused(checkpoint: str) -> None:
    with pytest.raises(ValueError, match="to at least 17"):
        setup(LanguageModel(checkpoint=checkpoint), Part("gpt2", 16, "f"))


def test_clipping_by_value_is_refused() -> None:
    model = LanguageModel(**{key: value for key, value in vars(TOY).items() if key != "tied_embeddings"})
    with pytest.raises(ValueError, match="clipped by norm"):
        model.configure_gradient_clipping(torch.optim.SGD(model.parameters()), 1.0, "value")


def test_a_zero_eps_is_refused() -> None:
    with pytest.raises(ValueError, match="eps must be positive"):
        LanguageModel(eps=0.0)


@pytest.mark.parametrize(("budget", "chunked"), [(8.0, False), (2048e-9, False), (2047e-9, True)])
def test_logits_beyond_the_budget_go_through_the_head_in_chunks(
    budget: float, chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4 sequences of 8 tokens and 16 words are 2,048 bytes of float32 logits."""
    calls = []
    monkeypatch.setattr(
        "lightning_modules.language_model.chunked_next_token_loss", lambda *_, **__: calls.append(1) or torch.zeros(())
    )
    numbers = {key: value for key, value in vars(TOY).items() if key != "tied_embeddings"}
    tokens = torch.zeros(4, 8, dtype=torch.int64)
    LanguageModel(**numbers, logits_budget=budget).loss(Batch(tokens, tokens))
    assert bool(calls) is chunked


def test_micro_batches_of_a_checkpoint_are_counted_anew() -> None:
    """5 steps of 3: Lightning counts the one in which it saved as processed, not as completed."""
    found = {"ready": 10, "started": 10, "processed": 10, "completed": 9}
    progress = {"total": dict(found), "current": dict(found), "is_last_batch": False}
    checkpoint = {"global_step": 5, "loops": {"fit_loop": {"epoch_loop.batch_progress": progress}}}
    count_micro_batches_anew(checkpoint, 3)
    assert progress["total"] == progress["current"] == {"ready": 15, "started": 15, "processed": 15, "completed": 14}
