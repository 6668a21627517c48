"""What a folder of token shards holds: `manifest.json`, written by `prepare`, checked before every run."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from connectome.atomic_file import atomic_file
from datamodules.token_shards import HEADER_BYTES, ShardError, open_shard

__all__ = ["MANIFEST", "Manifest", "Part", "ShardEntry", "describe_part", "part_of", "shard_entry"]

MANIFEST = "manifest.json"
SCANNED = ".largest_tokens.json"
SAMPLE = 4096  # tokens at either end of a shard that enter the fingerprint
PIECE_BYTES = 32 << 20


@dataclass(frozen=True)
class ShardEntry:
    """One shard as the manifest states it.

    Args:
        file: name of the file in the manifest's folder.
        tokens: number of tokens in it.
        largest_token: the largest id among them.
        sha256: checksum of the whole file.
    """

    file: str
    tokens: int
    largest_token: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What one part (`large`, `small` or `validation`) is made of.

    Args:
        tokenizer: name of the tokenizer, for example `gpt2`.
        documents: number of documents.
        shards: the shards in order.
        source: where the text came from, whatever is known: name, revision, configuration, licence.
        tokenizer_fingerprint: SHA-256 of the tokenizer's pattern, ranks and special tokens; empty if not known.
    """

    tokenizer: str
    documents: int
    shards: tuple[ShardEntry, ...]
    source: Mapping[str, Any] = field(default_factory=dict)
    tokenizer_fingerprint: str = ""

    @property
    def tokens(self) -> int:
        """Number of tokens in all shards."""
        return sum(entry.tokens for entry in self.shards)

    @classmethod
    def read(cls, folder: str | Path) -> "Manifest | None":
        """The manifest of `folder`, or None where there is none, as beside public pre-tokenised shards."""
        path = Path(folder) / MANIFEST
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text())
            shards = tuple(ShardEntry(**entry) for entry in content.pop("shards"))
            return cls(shards=shards, **content)
        except (KeyError, TypeError, ValueError) as error:
            raise ShardError(
                f"{path} is not a manifest that this program wrote: {error}; prepare the folder again"
            ) from error

    def write(self, folder: str | Path) -> None:
        """Write `manifest.json` into `folder`, atomically."""
        with atomic_file(Path(folder) / MANIFEST) as file:
            file.write(json.dumps(asdict(self), indent=1, sort_keys=True).encode() + b"\n")


@dataclass(frozen=True)
class Part:
    """What training must know of the shards it reads.

    Args:
        tokenizer: name of the tokenizer that wrote them.
        largest_token: the largest token id in them.
        fingerprint: a short hash of their counts and of the tokens at both ends of every shard.
    """

    tokenizer: str
    largest_token: int
    fingerprint: str


def shard_entry(path: Path) -> ShardEntry:
    """Read one shard from end to end: its count, its largest token and its checksum. Holds 32 MiB of it at a time.

    Raises:
        ShardError: if it is no whole shard.
    """
    tokens, largest = open_shard(path).size, 0
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        digest.update(file.read(HEADER_BYTES))
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            largest = max(largest, int(np.frombuffer(piece, "<u2").max()))
    return ShardEntry(path.name, tokens, largest, digest.hexdigest())


def part_of(trainer: Any) -> Part | None:
    """What a trainer's DataModule read, if it has one that knows."""
    return getattr(getattr(trainer, "datamodule", None), "part", None)


def describe_part(paths: Sequence[Path], tokenizer: str = "gpt2") -> Part:
    """Check shards against the manifest beside them and return what training must know.

    A shard that no manifest names is scanned once for its largest token; the result is remembered beside it.

    Args:
        paths: the shards of one part.
        tokenizer: assumed where there is no manifest; llm.c's format is GPT-2's by definition.

    Raises:
        ShardError: if a shard's size or count disagrees with its manifest, or a shard that it names is missing.
    """
    digest = hashlib.sha256()
    tokenizers, largest = set(), 0
    for folder in dict.fromkeys(path.parent for path in paths):
        here = [path for path in paths if path.parent == folder]
        manifest = Manifest.read(folder)
        tokenizers.add(manifest.tokenizer if manifest else tokenizer)
        largest = max(largest, *(_largest_tokens(here, manifest)))
    for path in paths:
        shard = open_shard(path)
        digest.update(shard.size.to_bytes(8, "little") + shard[:SAMPLE].tobytes() + shard[-SAMPLE:].tobytes())
    if len(tokenizers) > 1:
        raise ShardError(f"the shards were written by different tokenizers: {', '.join(sorted(tokenizers))}")
    return Part(tokenizers.pop(), largest, digest.hexdigest()[:16])


def _largest_tokens(paths: list[Path], manifest: Manifest | None) -> list[int]:
    folder = paths[0].parent
    if manifest is None:
        return _scanned(paths)
    stated = {entry.file: entry for entry in manifest.shards}
    missing = sorted(name for name in stated if not (folder / name).exists())
    extra = sorted({path.name for path in paths} - stated.keys())
    if missing or extra:
        raise ShardError(
            f"{folder} and its manifest disagree: {missing or 'none'} missing, {extra or 'none'} not in it; "
            "prepare the folder again, or remove the manifest if the shards are right"
        )
    for path in paths:
        found, expected = open_shard(path).size, stated[path.name].tokens
        if found != expected:
            raise ShardError(f"{path} holds {found:,} tokens, its manifest says {expected:,}; prepare the folder again")
    return [stated[path.name].largest_token for path in paths]


def _scanned(paths: list[Path]) -> list[int]:
    memory = paths[0].parent / SCANNED
    try:
        known = json.loads(memory.read_text())
    except (OSError, ValueError):
        known = {}
    keys = {path: f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in paths}
    largest = {key: known[key] if key in known else int(open_shard(path).max()) for path, key in keys.items()}
    if largest.keys() - known.keys():
        try:
            with atomic_file(memory) as file:
                file.write(json.dumps(known | largest).encode())
        except OSError:
            pass  # a read-only folder is scanned again next time
    return list(largest.values())
