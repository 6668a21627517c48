"""A tokenizer as transformers loads it without a network, built from tiktoken's own ranks."""

import json
from typing import Any

import tiktoken

from datamodules.tokenizer import get_tokenizer

__all__ = ["SIZES", "tokenizer_files"]

SIZES = {"gpt2": 50_257, "bytes": 257}  # tokens, the last of which is the end of text


def tokenizer_files(name: str, block_size: int) -> dict[str, bytes]:
    """Contents of the files that `AutoTokenizer.from_pretrained` reads, by file name.

    Args:
        name: of the tokenizer, as `get_tokenizer` knows it.
        block_size: tokens of the model's context, beyond which transformers warns.
    """
    encoding = get_tokenizer(name)
    end = "<|endoftext|>"
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": end,
        "eos_token": end,
        "unk_token": end,
        "pad_token": end,
        "model_max_length": block_size,
        "clean_up_tokenization_spaces": False,
    }
    return {
        "tokenizer.json": _json(_tokenizer_json(encoding)),
        "tokenizer_config.json": _json(settings),
    }


def _tokenizer_json(encoding: tiktoken.Encoding) -> dict[str, Any]:
    """The description that the `tokenizers` library reads: byte pairs over GPT-2's printable stand-ins for bytes."""
    pieces = sorted(encoding._mergeable_ranks.items(), key=lambda item: item[1])
    special = sorted(encoding._special_tokens.items(), key=lambda item: item[1])
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    merges = merges_of(encoding._mergeable_ranks)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": bool(merges)}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": rank, "content": text, **flags} for text, rank in special],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {printable(piece): rank for piece, rank in pieces} | dict(special),
            "merges": [[printable(left), printable(right)] for left, right in merges],
        },
    }


def merges_of(ranks: dict[bytes, int]) -> list[tuple[bytes, bytes]]:
    """The pairs that were merged, in order: for each longer piece, the two it falls into under the ranks below its own.

    Raises:
        ValueError: if a piece does not fall into two, so that these are no ranks of byte pairs.
    """
    merges = []
    for piece, rank in sorted(ranks.items(), key=lambda item: item[1]):
        if len(piece) < 2:
            continue
        parts = [piece[at : at + 1] for at in range(len(piece))]
        while len(parts) > 2:
            best, at = min((ranks.get(parts[at] + parts[at + 1], rank), at) for at in range(len(parts) - 1))
            if best >= rank:
                raise ValueError(f"the piece {piece!r} of rank {rank} cannot be put together from lower ones")
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        merges.append((parts[0], parts[1]))
    return merges


def printable(piece: bytes) -> str:
    """GPT-2's stand-ins: a printable Latin-1 character for itself, every other byte for one from 256 on."""
    return "".join(STAND_INS[byte] for byte in piece)


def _stand_ins() -> list[str]:
    plain = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


STAND_INS = _stand_ins()


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"
