"""From a source's documents to the folders `large`, `small` and `validation`, across interruptions.

While it lasts, everything lies in `FOLDER/unfinished`: first the tokens of each unit of the source, with an index of
its documents, then the shards. A part appears in `FOLDER` when it is whole. Which units count is decided by their
canonical order alone (the fewest first ones that fill the parts), so neither interruptions nor the number of workers
show in the result.
"""

import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from connectome.atomic_file import atomic_file, fsync_folder
from datamodules.manifest import Manifest
from datamodules.preparing.documents import Source, Unit
from datamodules.preparing.encoded_unit import drop_unit
from datamodules.preparing.encoding_progress import EncodingProgress
from datamodules.preparing.encoding_workers import EncodingJob, encode_units
from datamodules.preparing.part_writer import PartWriter
from datamodules.preparing.parts import PARTS, Division, PartName, SourceTooSmallError, divide
from datamodules.preparing.unit_index import UnitIndex
from datamodules.preparing.work_lock import wait_for
from datamodules.tokenizer import fingerprint, get_tokenizer

__all__ = ["Preparation"]

log = logging.getLogger(__name__)
UNFINISHED = "unfinished"
BYTES_PER_TOKEN = {"gpt2": 5.0, "bytes": 1.0}  # English web text has 4.4 to 4.7; one array task cannot see the others


class Preparation:
    """One source becoming the parts of one folder.

    Args:
        folder: where the parts go.
        source: the documents.
        tokenizer: name of the tokenizer.
        sizes: tokens of each part; 0 leaves a part out, -1 for `large` takes all that the others leave.
        shard_tokens: tokens of a shard.

    Raises:
        FileExistsError: if the folder holds something else.
    """

    def __init__(
        self, folder: Path, source: Source, *, tokenizer: str, sizes: Mapping[PartName, int], shard_tokens: int
    ) -> None:
        self.folder, self.source, self.tokenizer = folder, source, tokenizer
        self.sizes, self.shard_tokens = dict(sizes), shard_tokens
        self.wanted = [part for part in PARTS if sizes[part]]
        self.work = folder / UNFINISHED
        self.tokenizer_fingerprint = fingerprint(get_tokenizer(tokenizer))
        self.request = {"source": source.identity(), "tokenizer": self.tokenizer_fingerprint}
        self.cut = {"sizes": self.sizes, "shard_tokens": shard_tokens}

    def finished(self) -> bool:
        """Whether the folder holds exactly this already.

        Raises:
            FileExistsError: if it holds something else.
        """
        manifests = {part: Manifest.read(self.folder / part) for part in self.wanted}
        asked = json.loads(json.dumps(self.request | self.cut))
        for part, manifest in manifests.items():
            found = {key: manifest.source.get(key) for key in asked} if manifest else asked
            if found != asked:
                raise FileExistsError(
                    f"{self.folder / part} holds other tokens than asked for ({_differing(found, asked)}); "
                    "nothing was changed: choose another --folder, or remove this one"
                )
        if not all(manifests.values()):
            here = [part for part in PARTS if (self.folder / part).exists()]
            if here and not self.work.exists():
                raise FileExistsError(
                    f"{self.folder} already holds {', '.join(here)}, not from this `prepare`; nothing was changed: "
                    "choose another --folder, or remove them"
                )
            return False
        shutil.rmtree(self.work, ignore_errors=True)  # what a kill in the last moment left
        return True

    def encode(self, *, workers: int, task: int | None = None, tasks: int = 1) -> int:
        """Tokenise the units that are needed and not there yet; returns how many first units fill the parts.

        Args:
            workers: processes.
            task: take only each `tasks`-th unit, from this one on; what is returned means nothing then.
            tasks: number of tasks that share the work.
        """
        self.work.mkdir(parents=True, exist_ok=True)
        self._claim("source.json", self.request)
        self._refuse_other("sizes.json", self.cut)
        job = EncodingJob(self.source, self.tokenizer, self.work)
        units: Iterable[Unit] = self.source.units() if task is None else self._share(task, tasks)
        goal = None if self.sizes["large"] == -1 else sum(self.sizes.values())
        source_bytes = 0
        if goal is None:  # the whole source: its size is worth knowing
            units = listed = list(units)
            source_bytes = sum(unit.size for unit in listed)
        with EncodingProgress(goal and goal // tasks, self.shard_tokens, source_bytes) as progress:
            results = encode_units(job, units, workers=workers)
            done: dict[int, int] = {}
            first, tokens = 0, 0  # units complete from the first on, and their tokens
            for unit, totals in results:
                progress.update(unit, totals)
                done[unit.number] = totals.tokens
                while task is None and first in done:
                    tokens, first = tokens + done[first], first + 1
                    if goal is not None and tokens >= goal and self._filled_by(first):
                        results.close()
                        return first
        return first

    def write(self, count: int) -> dict[PartName, Manifest]:
        """Write the parts from the first `count` units; returns their manifests.

        Raises:
            SourceTooSmallError: if the units do not fill the parts.
        """
        index = UnitIndex(self.work, count)
        division = divide(index.keys, index.texts, index.lengths, self.sizes)
        self._claim("sizes.json", self.cut)  # from here on the sizes are fixed
        self._drop_units_from(count)
        manifests: dict[PartName, Manifest] = {}
        for part in self.wanted:
            manifests[part] = Manifest.read(self.folder / part) or self._write_part(part, index, division)
        shutil.rmtree(self.work)
        return manifests

    def _write_part(self, part: PartName, index: UnitIndex, division: Division) -> Manifest:
        shards = self.work / part
        chosen = division.part == PARTS.index(part)
        writer = PartWriter(self.work, index, chosen, self.sizes[part], self.shard_tokens)
        log.info("writing %s: %s tokens of %s documents", part, f"{writer.tokens:,}", f"{writer.documents:,}")
        manifest = Manifest(
            tokenizer=self.tokenizer,
            tokenizer_fingerprint=self.tokenizer_fingerprint,
            documents=writer.documents,
            shards=tuple(writer.write(shards, part, drop=part == "large")),
            source=self.request
            | self.cut
            | {
                "part": "by BLAKE2b-64 of the source key: validation up to the first bound, small up to the second",
                "bounds": list(division.last_keys),
                "repeated_documents": division.repeated_documents,
                "skipped_documents": dict(sorted(index.skipped.items())),
                "tokens_cut_off": division.tokens[part] - writer.tokens,
            },
        )
        manifest.write(shards)
        os.rename(shards, self.folder / part)
        fsync_folder(self.folder)
        return manifest

    def _claim(self, name: str, content: Mapping[str, Any]) -> None:
        """Record in `unfinished` what is being made there."""
        self._refuse_other(name, content)
        with wait_for(self.folder / ".prepare.claim.lock"):  # the tasks of an array start together
            if not (self.work / name).exists():
                with atomic_file(self.work / name) as record:
                    record.write(json.dumps(content, indent=1).encode())

    def _refuse_other(self, name: str, content: Mapping[str, Any]) -> None:
        """Raise FileExistsError if something else is being made there."""
        path = self.work / name
        asked = json.loads(json.dumps(content))
        found = json.loads(path.read_text()) if path.exists() else asked
        if found != asked:
            raise FileExistsError(
                f"{self.work} holds the unfinished work of another preparation ({_differing(found, asked)}); "
                "run that command again to go on with it, choose another --folder, or remove it"
            )

    def _share(self, task: int, tasks: int) -> Iterator[Unit]:
        """Units of one array task: every `tasks`-th of those that will be needed, going by their size."""
        enough = sum(self.sizes.values()) * BYTES_PER_TOKEN[self.tokenizer]
        so_far = 0
        for unit in self.source.units():
            if unit.number % tasks == task:
                yield unit
            so_far += unit.size
            if self.sizes["large"] != -1 and so_far > enough:
                return

    def _filled_by(self, count: int) -> bool:
        index = UnitIndex(self.work, count)
        try:
            divide(index.keys, index.texts, index.lengths, self.sizes)
        except SourceTooSmallError:
            return False
        return True

    def _drop_units_from(self, count: int) -> None:
        """Remove units that were tokenised ahead and are not needed."""
        for number in sorted(int(path.stem) for path in self.work.glob("*.index")):
            if number >= count:
                drop_unit(self.work, number)


def _differing(found: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{key}: {found.get(key)} there, {asked[key]} asked" for key in asked if found.get(key) != asked[key]
    )
