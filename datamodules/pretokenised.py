"""Shards that somebody else tokenised, in llm.c's format: copied whole, no shard into two parts."""

import logging
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectome.atomic_file import atomic_file
from datamodules.documents import local_files
from datamodules.manifest import Manifest, shard_entry
from datamodules.parts import PARTS, PartName, SourceTooSmallError
from datamodules.recurring_texts import SEPARATORS, count_recurring, text_hashes
from datamodules.token_shards import open_shard
from datamodules.tokenizer import fingerprint, get_tokenizer

__all__ = ["PretokenisedShards"]

log = logging.getLogger(__name__)


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
        placed = {part: self._take(part, home, sizes, attempts) for part, home in homes.items()}
        texts = {part: text_hashes(paths, SEPARATORS[self.tokenizer]) for part, paths in placed.items()}
        recurring = count_recurring({part: hashes for part, (_, hashes) in texts.items()})
        for pair, count in recurring.items():
            if count:
                log.warning("%s texts are in both %s: these shards were not divided by source document", f"{count:,}", pair)
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
                f"{folder / part} holds something else than {self.name} with {dict(request['sizes'])}; nothing was changed: "
                "choose another --folder, or remove it"
            )
        return folder / UNFINISHED / part

    def _take(self, part: PartName, folder: Path, sizes: Mapping[PartName, int], attempts: int) -> list[Path]:
        """Copy files of one part, in order, until they hold its size; those of the parts before it are left out."""
        taken: list[Path] = []
        tokens, size = 0, sizes[part]
        for file in self._candidates(part):
