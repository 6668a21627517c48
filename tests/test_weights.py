"""Weights on disk: what comes back, and that nothing in a file is ever run."""

import os
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from callbacks.checkpoint_io import AtomicCheckpointIO
from lightning_modules.gpt import GPT, GPTConfig
from lightning_modules.weights import CheckpointError, read_checkpoint, read_weights, write_weights

TOY = GPTConfig(vocab_size=16, n_layer=1, n_head=1, n_embd=4, block_size=8)
RECORD = {"generation": 2, "seed": 0, "tokenizer": "gpt2", "validation_loss": 3.5, "arm": None}


class Hostile:
    """Makes a folder when unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def lightning_checkpoint(net: GPT, **changes: Any) -> dict[str, Any]:
    return {
        "gpt": asdict(net.config),
        "state_dict": {f"net.{name}": weight for name, weight in net.state_dict().items()} | {"other": torch.ones(1)},
        "global_step": 42,
        "record": {"seed": 3},
    } | changes


def without(content: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in keys}


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def net(request: pytest.FixtureRequest) -> GPT:
    """A toy GPT, tied and untied."""
    torch.manual_seed(0)
    return GPT(GPTConfig(**(asdict(TOY) | {"tied_embeddings": request.param})))


def check_equal(tensors: dict[str, torch.Tensor], net: GPT) -> None:
    assert sorted(tensors) == sorted(name for name, _ in net.named_parameters())
    assert all(torch.equal(tensors[name], weight) for name, weight in net.named_parameters())


def test_written_weights_come_back(net: GPT, tmp_path: Path) -> None:
    write_weights(tmp_path / "0.safetensors", net, RECORD)
    config, tensors, record = read_weights(tmp_path / "0.safetensors")
    assert config == net.config
    assert record == RECORD
    check_equal(tensors, net)


def test_weights_come_back_from_a_lightning_checkpoint(net: GPT, tmp_path: Path) -> None:
    torch.save(lightning_checkpoint(net), tmp_path / "step.ckpt")
    config, tensors, record = read_weights(tmp_path / "step.ckpt")
    assert config == net.config
    assert record == {"step": 42, "seed": 3}
    check_equal(tensors, net)


def test_a_checkpoint_without_a_record_tells_its_step(net: GPT, tmp_path: Path) -> None:
    torch.save(without(lightning_checkpoint(net), "record"), tmp_path / "step.ckpt")
    assert read_weights(tmp_path / "step.ckpt").record == {"step": 42}


def test_any_safetensors_reader_reads_the_matrices(net: GPT, tmp_path: Path) -> None:
    write_weights(tmp_path / "0.safetensors", net, RECORD)
    check_equal(load_file(tmp_path / "0.safetensors"), net)


def test_equal_weights_give_equal_bytes(net: GPT, tmp_path: Path) -> None:
    contents = set()
    for index in range(8):
        write_weights(tmp_path / f"{index}.safetensors", net, dict(reversed(RECORD.items())) if index % 2 else RECORD)
        contents.add((tmp_path / f"{index}.safetensors").read_bytes())
    assert len(contents) == 1


def test_writing_replaces_the_old_file_at_once(net: GPT, tmp_path: Path) -> None:
    for step in (1, 2):
        write_weights(tmp_path / "0.safetensors", net, {"step": step})
    assert os.listdir(tmp_path) == ["0.safetensors"]
    assert read_weights(tmp_path / "0.safetensors").record == {"step": 2}


@pytest.mark.parametrize("name", ["0.safetensors", "step.ckpt"])
def test_a_missing_file_is_named_and_where_to_look(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=rf"no checkpoint at .*{name}: give a run's checkpoints/\*\.ckpt"):
        read_weights(tmp_path / name)


@pytest.mark.parametrize("place", ["record", "gpt", "state_dict"])
def test_a_checkpoint_that_would_run_code_is_refused(place: str, tmp_path: Path) -> None:
    content = lightning_checkpoint(GPT(TOY), **{place: Hostile(tmp_path / "trace")})
    torch.save(content, tmp_path / "step.ckpt")
    with pytest.raises(CheckpointError, match=r"step\.ckpt is refused: it holds more than tensors and plain values"):
        read_weights(tmp_path / "step.ckpt")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("name", ["step.ckpt", "0.safetensors"])
def test_a_bare_pickle_that_would_run_code_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Hostile(tmp_path / "trace")))
    with pytest.raises(CheckpointError, match=name):
        read_weights(tmp_path / name)
    assert not (tmp_path / "trace").exists()


def test_the_trainer_s_reader_refuses_it_too_whatever_it_is_asked(tmp_path: Path) -> None:
    torch.save({"record": Hostile(tmp_path / "trace")}, tmp_path / "step.ckpt")
    with pytest.raises(CheckpointError, match="is refused"):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "step.ckpt", weights_only=False)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.7, 0.999])
@pytest.mark.parametrize("name", ["step.ckpt", "0.safetensors"])
def test_a_truncated_file_is_refused(name: str, share: float, tmp_path: Path) -> None:
    write_weights(tmp_path / "0.safetensors", GPT(TOY), RECORD)
    torch.save(lightning_checkpoint(GPT(TOY)), tmp_path / "step.ckpt")
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=name):
        read_weights(tmp_path / name)


@pytest.mark.filterwarnings("ignore")  # torch warns about some kinds of damage before it fails
@pytest.mark.parametrize("name", ["step.ckpt", "0.safetensors"])
def test_damage_anywhere_is_refused_or_harmless(name: str, tmp_path: Path) -> None:
    """No other kind of exception; some bytes are padding, and those of a safetensors matrix carry no checksum."""
    write_weights(tmp_path / "0.safetensors", GPT(TOY), RECORD)
    torch.save(lightning_checkpoint(GPT(TOY)), tmp_path / "step.ckpt")
    content = (tmp_path / name).read_bytes()
    refused = 0
    for position in range(0, len(content), 17):
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        (tmp_path / name).write_bytes(damaged)
        try:
            read_weights(tmp_path / name)
        except CheckpointError as error:
            assert name in str(error)  # noqa: PT017 - it need not be raised
            refused += 1
    assert refused > 10


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": {}, "global_step": 1},
        {"gpt": asdict(TOY), "global_step": 1},
        {"gpt": asdict(TOY), "state_dict": {}},
        {"gpt": {"n_kv_head": 4}, "state_dict": {}, "global_step": 1},
        {"gpt": asdict(TOY) | {"n_layer": 0}, "state_dict": {}, "global_step": 1},
        {"gpt": asdict(TOY) | {"n_layer": "two"}, "state_dict": {}, "global_step": 1},
        {"gpt": None, "state_dict": {}, "global_step": 1},
        {"gpt": asdict(TOY), "state_dict": [], "global_step": 1},
    ],
)
def test_a_checkpoint_of_another_project_is_refused(content: dict[str, Any], tmp_path: Path) -> None:
    torch.save(content, tmp_path / "step.ckpt")
    with pytest.raises(CheckpointError, match=r"step\.ckpt is not a checkpoint of this project's LanguageModel"):
        read_weights(tmp_path / "step.ckpt")


@pytest.mark.parametrize("content", [[1, 2], torch.ones(3), "text"])
def test_a_checkpoint_must_be_a_dictionary(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "step.ckpt")
    with pytest.raises(CheckpointError, match="expected the dictionary of a Lightning checkpoint"):
        read_checkpoint(tmp_path / "step.ckpt")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"about": "{}"}, {"about": "[]"}, {"about": '"x"'}])
def test_safetensors_of_another_project_are_refused(metadata: dict[str, str] | None, tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "model.safetensors", metadata=metadata)
    with pytest.raises(CheckpointError, match=r"model\.safetensors has no metadata of this project"):
        read_weights(tmp_path / "model.safetensors")


def test_a_full_checkpoint_is_written_whole_and_removed_quietly(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "step.ckpt"
    AtomicCheckpointIO().save_checkpoint({"a": torch.arange(3), "b": "c"}, path)
    assert os.listdir(path.parent) == ["step.ckpt"]
    loaded = AtomicCheckpointIO().load_checkpoint(path)
    assert loaded["a"].tolist() == [0, 1, 2]
    for _ in range(2):
        AtomicCheckpointIO().remove_checkpoint(path)
    assert not path.exists()


def test_weights_of_another_shape_than_the_file_names_are_refused(tmp_path: Path) -> None:
    net = GPT(TOY)
    content = lightning_checkpoint(net, gpt=asdict(TOY) | {"n_layer": 2})
    torch.save(content, tmp_path / "step.ckpt")
    with pytest.raises(CheckpointError, match="4 matrices are missing"):
        read_weights(tmp_path / "step.ckpt")
