"""Everything that the manifests of a prepared folder claim, read again from end to end."""

from pathlib import Path

from datamodules.manifest import Manifest, ShardEntry, shard_entry
from datamodules.preparing.parts import PARTS, PartName
from datamodules.preparing.recurring_texts import SEPARATORS, count_recurring, text_hashes
from datamodules.token_shards import ShardError, find_shards

__all__ = ["verify_folder"]


def verify_folder(folder: Path) -> dict[PartName, Manifest]:
    """Check every shard of `folder` against its part's manifest, and that no text is in two parts.

    Raises:
        FileNotFoundError: if no part has a manifest.
        ShardError: with one line for everything that disagrees.
    """
    manifests = {part: manifest for part in PARTS if (manifest := Manifest.read(folder / part))}
    if not manifests:
        raise FileNotFoundError(
            f"no {', '.join(PARTS)} with a manifest in {folder}; write them with `python cli.py prepare`"
        )
    faults: list[str] = []
    hashes = {}
    for part, manifest in manifests.items():
        found = find_shards(folder, part)
        stated = {entry.file: entry for entry in manifest.shards}
        faults += [
            f"{folder / part / name} is missing" for name in sorted(stated.keys() - {path.name for path in found})
        ]
        faults += [f"{path} is not in the manifest" for path in found if path.name not in stated]
        wrong = [fault for path in found if path.name in stated for fault in _faults(path, stated[path.name])]
        faults += wrong
        if wrong or manifest.tokenizer not in SEPARATORS:
            continue
        documents, hashes[part] = text_hashes(found, SEPARATORS[manifest.tokenizer])
        if documents != manifest.documents:
            faults.append(f"{folder / part} holds {documents:,} documents, its manifest says {manifest.documents:,}")
    known = {
        text: n for manifest in manifests.values() for text, n in manifest.source.get("recurring_texts", {}).items()
    }
    for pair, count in count_recurring(hashes).items():
        if count != known.get(pair, 0):
            faults.append(f"{count:,} texts are in both {pair}; the manifest says {known.get(pair, 0):,}")
    if faults:
        raise ShardError(
            "\n".join(faults) + "\nprepare the folder again, or copy what is damaged from where it is whole"
        )
    return manifests


def _faults(path: Path, stated: ShardEntry) -> list[str]:
    try:
        found = shard_entry(path)
    except ShardError as error:
        return [str(error)]
    return [
        f"{path}: {name} is {getattr(found, name)}, its manifest says {getattr(stated, name)}"
        for name in ("tokens", "largest_token", "sha256")
        if getattr(found, name) != getattr(stated, name)
    ]
