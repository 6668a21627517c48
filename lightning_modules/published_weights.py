"""Models that others published: the authors' released form (Kotar & Tuckute 2025), and our own exported one.

The released models have this project's parameter names, an untied head, and a buffer of rotary frequencies in every
block. Whatever else a file holds is another architecture, and is named.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_modules.gpt import GPTConfig

__all__ = ["EXPORTED", "GPT2_VOCABULARY", "Published", "recognise"]

RELEASED = "GenerationalPruning.GPT"  # model_type in the authors' config.json
EXPORTED = "connectome_gpt"  # model_type in the one that `cli.py export` writes
HEAD_WIDTH = 64  # of every model in the paper
GPT2_VOCABULARY = range(50_257, 50_305)  # 50,257 tokens, padded at most to the next multiple of 64
OURS = re.compile(
    r"transformer\.wte\.weight|lm_head\.weight|transformer\.h\.\d+\.(attn\.c_(attn|proj)|mlp\.c_(fc|proj))\.weight"
)
LAYER = re.compile(r"transformer\.h\.(\d+)\.")
KIN = {  # parts of names by which common architectures are told
    "wpe.weight": "GPT-2 (learned positions)",
    "model.layers.": "Llama or one of its kin",
    "gpt_neox.": "GPT-NeoX",
    "encoder.layer.": "BERT or one of its kin",
}


class Published(NamedTuple):
    """A model as its files describe it.

    Args:
        config: shape of the network.
        tensors: float32 matrices by parameter name of `GPT`; a tied head is left out.
        record: what is known about it.
        assumed: what no file says and was concluded, for example `n_head = 12`.
    """

    config: GPTConfig
    tensors: dict[str, Tensor]
    record: dict[str, Any]
    assumed: list[str]


def recognise(tensors: Mapping[str, Any], about: Mapping[str, Any]) -> Published:
    """The GPT that the files of a published model hold.

    Args:
        tensors: matrices by the names in the file.
        about: content of its config.json; empty where there is none.

    Raises:
        ValueError: if it is another architecture; the message names it.
    """
    kind = about.get("model_type")
    if kind not in (None, RELEASED, EXPORTED):
        raise ValueError(f"it is a model of another architecture, {kind!r} by its config.json")
    known = {n: t for n, t in tensors.items() if not n.endswith("rotary.inv_freq")}
    foreign = sorted(name for name in known if not OURS.fullmatch(name))
    if foreign or "transformer.wte.weight" not in known:
        kin = next((kin for part, kin in KIN.items() if any(part in name for name in known)), "unknown")
        what = f"it has {foreign[0]}" if foreign else "it has no transformer.wte.weight"
        raise ValueError(f"it is a model of another architecture ({kin}): {what}")
    if not all(isinstance(tensor, Tensor) and tensor.dim() == 2 for tensor in known.values()):
        raise ValueError("it is a model of another architecture: not all of its parameters are matrices")
    vocabulary, width = known["transformer.wte.weight"].shape
    layers = {int(found[1]) for name in known if (found := LAYER.match(name))}
    concluded = {
        "vocab_size": vocabulary,
        "n_layer": max(layers, default=-1) + 1,
        "n_embd": width,
        "n_head": max(1, width // HEAD_WIDTH),
        "block_size": GPTConfig().block_size,
    }
    given = {name: about[name] for name in concluded if name in about}
    config = GPTConfig(**(concluded | given), tied_embeddings=_tied(known, about))
    if config.tied_embeddings:
        known.pop("lm_head.weight", None)
    tokenizer = "gpt2" if vocabulary in GPT2_VOCABULARY else None
    return Published(
        config,
        {name: tensor.to(torch.float32) for name, tensor in known.items()},
        {"tokenizer": tokenizer} if tokenizer else {},
        [f"{name} = {asdict(config)[name]}" for name in ("n_head", "block_size") if name not in given],
    )


def _tied(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> bool:
    """Whether embedding and head are one matrix. A pickled file may hold a tied one twice."""
    if "lm_head.weight" not in tensors:
        return True
    if about.get("model_type") == EXPORTED and not about.get("tie_word_embeddings", True):
        return False
    return torch.equal(tensors["lm_head.weight"], tensors["transformer.wte.weight"])
