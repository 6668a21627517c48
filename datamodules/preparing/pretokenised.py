"""Shards that somebody else tokenised, in llm.c's format: copied whole, no shard into two parts."""

import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from connectome.atomic_file import atomic_file
from datamodules.manifest import Manifest, shard_entry
from datamodules.preparing.documents import local_files
from datamodules.preparing.parts import PARTS, PartName, SourceTooSmallError
from datamodules.preparing.patience import with_patience
from datamodules.preparing.recurring_texts import SEPARATORS, count_recurring, text_hashes
from datamodules.token_shards import HEADER_BYTES, MAGIC, VERSION, ShardError, open_shard
from datamodules.tokenizer import FINGERPRINTS

__all__ = ["PretokenisedShards"]

log = logging.getLogger(__name__)
UNFINISHED = "unfinished"


@dataclass(frozen=True)
class PretokenisedShards:
    """Token shards here or on the Hub, such as `kjj0/fineweb10B-gpt2`.

    Files with `val` in their name serve as `validation`; the others, in order of name, as `small` and then as `large`.
    Each part takes as many whole files as its size needs (40, 1 and 1 of 100M tokens for the paper's).

    Args:
        files: paths, or `hf://` addresses with a fixed revision.
        name: the source as it was asked for.
        revision: commit of the Hub repository; empty for local files.
        tokenizer: what wrote them; GPT-2's where nothing says otherwise.
    """

    files: tuple[str, ...]
    name: str
    revision: str = ""
    tokenizer: str = "gpt2"

    @classmethod
    def local(cls, place: str, tokenizer: str) -> "PretokenisedShards":
        """Shards of a folder, or those that a glob matches."""
        return cls(tuple(sorted(p for p in local_files(place) if p.endswith(".bin"))), place, "", tokenizer)

    def fetch(self, folder: Path, sizes: Mapping[PartName, int], *, attempts: int = 6) -> dict[PartName, Manifest]:
        """Copy shards into the parts of `folder`, those not there yet, and write the manifests.

        Raises:
            FileExistsError: if the folder holds something else.
            SourceTooSmallError: if the shards run out before the parts are full.
        """
        request = {"name": self.name, "revision": self.revision, "sizes": dict(sizes)}
        homes = {part: self._home(folder, part, request) for part in PARTS if sizes[part]}
        placed: dict[PartName, list[Path]] = {}
        for part, files in self.assign(sizes, attempts=attempts).items():
            placed[part] = [homes[part] / Path(file).name for file in files]
            for file, path in zip(files, placed[part], strict=True):
                if not path.exists():
                    log.info("%s: fetching %s", part, file)
                    with_patience(partial(_copy, file, path), file, attempts=attempts)
        texts = {part: text_hashes(paths, SEPARATORS[self.tokenizer]) for part, paths in placed.items()}
        recurring = count_recurring({part: hashes for part, (_, hashes) in texts.items()})
        for pair, count in recurring.items():
            if count:
                log.warning(
                    "%s texts are in both %s: these shards were not divided by source document", f"{count:,}", pair
                )
        manifests: dict[PartName, Manifest] = {}
        for part, paths in placed.items():
            manifests[part] = Manifest(
                tokenizer=self.tokenizer,
                tokenizer_fingerprint=FINGERPRINTS[self.tokenizer],
                documents=texts[part][0],
                shards=tuple(shard_entry(path) for path in paths),
                source=request | {"part": "whole files of the source", "recurring_texts": recurring},
            )
            manifests[part].write(homes[part])
        for part, home in homes.items():
            if home != folder / part:
                os.rename(home, folder / part)
        shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
        return manifests

    def _home(self, folder: Path, part: PartName, request: Mapping[str, Any]) -> Path:
        """Where the shards of a part are gathered: in `unfinished`, or where they lie finished already."""
        manifest = Manifest.read(folder / part)
        if manifest is not None and all(manifest.source.get(key) == value for key, value in request.items()):
            return folder / part
        if (folder / part).exists():
            raise FileExistsError(
                f"{folder / part} holds something else than {self.name} with {dict(request['sizes'])}; "
                "nothing was changed: choose another --folder, or remove it"
            )
        return folder / UNFINISHED / part

    def assign(self, sizes: Mapping[PartName, int], *, attempts: int = 6) -> dict[PartName, list[str]]:
        """The files of each part; only their headers are read.

        Raises:
            SourceTooSmallError: if the files run out before a part is full.
        """
        training = [file for file in self.files if "val" not in Path(file).name]
        validation = [file for file in self.files if file not in training] or training
        files: dict[PartName, list[str]] = {}
        for part in (part for part in PARTS if sizes[part]):
            left, tokens, size = (validation if part == "validation" else training, 0, sizes[part])
            files[part] = []
            while left and (tokens < size or size == -1):
                files[part].append(left.pop(0))
                tokens += with_patience(partial(_count, files[part][-1]), files[part][-1], attempts=attempts)
            if tokens < max(1, size):
                raise SourceTooSmallError(
                    f"the shards of {self.name} leave {tokens:,} tokens for {part}, asked for were {size:,}; "
                    f"ask for less with --{part} {tokens}"
                )
        return files


def _count(file: str) -> int:
    """Tokens that a shard's header announces."""
    import fsspec

    with fsspec.open(file, "rb") as opened:
        return _announced(opened.read(HEADER_BYTES), file)


def _copy(file: str, path: Path) -> None:
    """Copy one shard and check that it is whole."""
    import fsspec

    with fsspec.open(file, "rb") as there, atomic_file(path) as here:
        shutil.copyfileobj(there, here, 1 << 20)
        here.flush()
        open_shard(here.name)


def _announced(header: bytes, file: str) -> int:
    """Number of tokens in a shard's header.

    Raises:
        ShardError: if the header is foreign.
    """
    magic, version, tokens = np.frombuffer(header[:12].ljust(12, b"\0"), "<i4").tolist()
    if (magic, version) != (MAGIC, VERSION):
        raise ShardError(
            f"{file} is no token shard: its header starts with {[magic, version]}, not [{MAGIC}, {VERSION}]"
        )
    return int(tokens)
