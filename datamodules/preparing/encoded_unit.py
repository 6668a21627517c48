"""One unit of a source as tokens on disk, with an index of its documents: what workers hand to the final merge."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tiktoken

from connectome.atomic_file import atomic_file
from datamodules.preparing.documents import Row, Source, Unit, source_key

__all__ = ["EncodedUnit", "drop_tokens", "drop_unit", "encode_unit", "read_tokens", "read_unit"]


@dataclass(frozen=True)
class EncodedUnit:
    """Index of the documents of one unit, in their order.

    Args:
        keys: hash of each document's source key, uint64, `(documents,)`.
        texts: hash of each document's text, uint64, `(documents,)`. Two of 15 million different texts share one with
            a probability of 6e-6; the later one would be lost.
        lengths: tokens of each document with its leading end-of-text token, int64, `(documents,)`.
        skipped: number of documents left out, by reason.
    """

    keys: np.ndarray
    texts: np.ndarray
    lengths: np.ndarray
    skipped: dict[str, int]

    @property
    def tokens(self) -> int:
        """Number of tokens of all its documents."""
        return int(self.lengths.sum())


def encode_unit(source: Source, unit: Unit, encoding: tiktoken.Encoding, folder: Path) -> EncodedUnit:
    """Tokenise one unit into `folder`; the index is written last and says that the unit is complete.

    A document becomes the end-of-text token and its own tokens. Empty ones, and ones that are no string or no valid
    Unicode, are left out and counted.
    """
    keys: list[int] = []
    texts: list[int] = []
    lengths: list[int] = []
    skipped: Counter[str] = Counter()
    with atomic_file(_tokens_path(folder, unit.number)) as file:
        for batch in source.read(unit):
            pieces = []
            for row in batch:
                text, reason = _checked(row)
                if reason:
                    skipped[reason] += 1
                    continue
                tokens = encoding.encode_to_numpy(text, disallowed_special=())
                pieces += [np.array([encoding.eot_token], np.uint32), tokens]
                keys.append(_hash(source_key(text, row.url)))
                texts.append(_hash(text))
                lengths.append(1 + tokens.size)
            if pieces:
                file.write(np.concatenate(pieces).astype("<u2").data)
    encoded = EncodedUnit(np.array(keys, "<u8"), np.array(texts, "<u8"), np.array(lengths, "<i8"), dict(skipped))
    with atomic_file(_index_path(folder, unit.number)) as file:
        reasons, counts = (np.array(list(skipped), "<U40"), np.array(list(skipped.values()), "<i8"))
        np.savez(file, keys=encoded.keys, texts=encoded.texts, lengths=encoded.lengths, reasons=reasons, counts=counts)
    return encoded


def read_unit(folder: Path, number: int) -> EncodedUnit | None:
    """The index of a unit, or None if it is not complete."""
    path = _index_path(folder, number)
    if not path.is_file():
        return None
    with np.load(path) as index:
        skipped = dict(zip(index["reasons"].tolist(), index["counts"].tolist(), strict=True))
        return EncodedUnit(index["keys"], index["texts"], index["lengths"], skipped)


def read_tokens(folder: Path, number: int) -> np.ndarray:
    """The tokens of a complete unit, uint16, `(tokens,)`."""
    return np.fromfile(_tokens_path(folder, number), "<u2")


def drop_tokens(folder: Path, number: int) -> None:
    """Give back the disk of a unit whose tokens are in finished shards; its index stays."""
    _tokens_path(folder, number).unlink(missing_ok=True)


def drop_unit(folder: Path, number: int) -> None:
    """Remove a unit altogether, index first."""
    _index_path(folder, number).unlink(missing_ok=True)
    drop_tokens(folder, number)


def _checked(row: Row) -> tuple[str, str]:
    """The text, or why it is left out."""
    text = row.text
    if isinstance(text, bytes):
        return "", "invalid Unicode"
    if not isinstance(text, str):
        return "", "not a string"
    if not text.strip():
        return "", "empty"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "", "invalid Unicode"
    return text, ""


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _tokens_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.tokens"


def _index_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.index"
