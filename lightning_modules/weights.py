"""Weights of a GPT on disk: written as safetensors, read from that, a Lightning checkpoint or a published model.

Nothing in a file is ever run: pickles may hold tensors and plain values only, and the code that lies beside a published
model is not looked at.
"""

import json
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch.utilities import rank_zero_warn
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from connectome.atomic_file import atomic_file
from lightning_modules.gpt import GPT, GPTConfig
from lightning_modules.hub_model import fetch_model, is_hub_name
from lightning_modules.published_weights import GPT2_VOCABULARY, recognise

__all__ = ["CheckpointError", "Weights", "read_checkpoint", "read_weights", "write_weights"]

FORMAT = "generational-connectomes/weights/1"
CONFIG = "config.json"


class CheckpointError(ValueError):
    """A checkpoint is damaged, hostile or foreign; the message says which and what to do."""


class Weights(NamedTuple):
    """What a file or folder says about a model.

    Args:
        config: shape of the network.
        tensors: matrices by parameter name of `GPT`; a tied head is left out.
        record: what else is known, for example `step`, `generation`, `seed`, `tokenizer`, `validation_loss`.
    """

    config: GPTConfig
    tensors: dict[str, Tensor]
    record: dict[str, Any]

    def network(self) -> GPT:
        """A GPT of this shape with these weights."""
        net = GPT(self.config)
        tied = {"lm_head.weight": self.tensors["transformer.wte.weight"]} if self.config.tied_embeddings else {}
        net.load_state_dict(self.tensors | tied)
        return net

    def tokenizer(self, asked: str | None = None) -> str:
        """Name of the tokenizer of the tokens that the model knows: recorded, asked for, or told by its vocabulary.

        Raises:
            ValueError: if it is not known, or another one than is asked for.
        """
        known = self.record.get("tokenizer")
        if asked and known and asked != known:
            raise ValueError(f"the model was trained on tokens of {known!r}, not of {asked!r}")
        if not (asked or known or self.config.vocab_size in GPT2_VOCABULARY):
            raise ValueError(
                "the checkpoint does not say with which tokenizer its model was trained: give tokenizer=… to the "
                "harness; on the command line, give --model.tokenizer"
            )
        return asked or known or "gpt2"


def write_weights(path: str | Path, net: GPT, record: dict[str, Any]) -> None:
    """Write the matrices of `net` as one safetensors file, atomically, with its shape and `record` as metadata."""
    tensors = {name: matrix.detach().cpu().contiguous() for name, matrix in net.named_parameters()}
    about = json.dumps({"format": FORMAT, "gpt": asdict(net.config), "record": record}, sort_keys=True)
    content = save(tensors, metadata={"about": about})  # one entry: safetensors writes several in random order
    with atomic_file(path) as file:
        file.write(content)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Content of a Lightning checkpoint; only tensors and plain values are accepted.

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if it is damaged, or a pickle that wants to run code.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is refused: it holds more than tensors and plain values, or is not a checkpoint at all "
            f"({_first_line(error)})"
        ) from error
    except Exception as error:  # torch raises a dozen kinds, by where the damage is
        raise CheckpointError(f"{path} is truncated or damaged ({_first_line(error)}); use an earlier one") from error
    if not isinstance(content, dict):
        raise CheckpointError(
            f"{path} holds a {type(content).__name__}, expected the dictionary of a Lightning checkpoint"
        )
    return content


def read_weights(path: str | Path) -> Weights:
    """Weights of a model, wherever they are.

    Args:
        path: `.safetensors` that `write_weights` wrote; a Lightning checkpoint of a run; or a published model, as a
            folder or by its name on the Hub, `owner/model` or `owner/model@revision`: the authors' released form, or
            what `cli.py export` writes. Its code, if it has any, is never run.

    Raises:
        FileNotFoundError: if there is no such file, folder or model.
        CheckpointError: if it is damaged, hostile, or not one of a GPT of this project.
    """
    name, path = str(path), Path(path)
    if path.is_dir():
        weights = _from_folder(path, name)
    elif is_hub_name(name):
        weights = _from_folder(fetch_model(name), name)
    elif not path.is_file():
        raise FileNotFoundError(
            f"no checkpoint at {path}: give a run's checkpoints/*.ckpt, generations/*.safetensors or "
            "snapshots/*.safetensors, the folder of a published model, or its name on the Hub, owner/model"
        )
    else:
        weights = _read_safetensors(path) if path.suffix == ".safetensors" else _from_lightning(path)
    with torch.device("meta"):
        expected = {name: matrix.shape for name, matrix in GPT(weights.config).named_parameters()}
    found = {name: tensor.shape for name, tensor in weights.tensors.items()}
    if found != expected:
        wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise CheckpointError(
            f"{path} does not hold the GPT that it names ({weights.config}): {len(wrong)} matrices are missing, extra "
            f"or of another shape, {wrong[0]} first"
        )
    return weights


def _from_lightning(path: Path) -> Weights:
    content = read_checkpoint(path)
    if "gpt" not in content or "state_dict" not in content:
        raise CheckpointError(f"{path} is not a checkpoint of this project's LanguageModel: it names no GPT shape")
    try:
        config = GPTConfig.from_dict(content["gpt"])
        tensors = {name.removeprefix("net."): t for name, t in content["state_dict"].items() if name.startswith("net.")}
        if config.tied_embeddings:
            tensors.pop("lm_head.weight", None)
        return Weights(config, tensors, {"step": content["global_step"], **content.get("record", {})})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not a checkpoint of this project's LanguageModel: {error!r}") from error


def _from_folder(folder: Path, name: str) -> Weights:
    """A published model: what `write_weights` wrote says all; else config.json does, or the shapes of the matrices."""
    if (folder / "config.yaml").is_file() and not (folder / CONFIG).is_file():
        raise CheckpointError(f"{name} is the folder of a run: name one of its checkpoints, generations or snapshots")
    safe, pickled = folder / "model.safetensors", folder / "pytorch_model.bin"
    try:
        about = json.loads((folder / CONFIG).read_text()) if (folder / CONFIG).is_file() else {}
        if safe.is_file():
            with safe_open(safe, framework="pt") as file:
                if "about" in (file.metadata() or {}):
                    return _read_safetensors(safe)
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
        elif pickled.is_file():
            tensors = read_checkpoint(pickled)
        else:
            raise CheckpointError(f"{name} is not the folder of a model: it has neither {safe.name} nor {pickled.name}")
        model = recognise(tensors, about)
    except CheckpointError:
        raise
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{name} cannot be read as a GPT of Kotar & Tuckute (2025): {error}") from error
    if model.assumed:
        rank_zero_warn(f"{name} has no {CONFIG} that says so; assumed: {', '.join(model.assumed)}")
    origin = name if is_hub_name(name) else folder.resolve().name  # not a path of this machine
    return Weights(model.config, model.tensors, {**model.record, "origin": origin})


def _read_safetensors(path: Path) -> Weights:
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            if not isinstance(about, dict) or about.get("format") != FORMAT:
                raise CheckpointError(
                    f"{path} has no metadata of this project: expected format {FORMAT!r}. If it belongs to a published "
                    "model, name its folder"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
        return Weights(GPTConfig.from_dict(about["gpt"]), tensors, about["record"])
    except CheckpointError:
        raise
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is truncated or damaged: {error}; copy it again") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
