"""Which document goes into which part: a function of a hash of its source, so that no source is ever in two parts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["PARTS", "Division", "PartName", "SourceTooSmallError", "divide"]

PartName = Literal["validation", "small", "large"]
PARTS: tuple[PartName, ...] = ("validation", "small", "large")
DUPLICATE = len(PARTS)


class SourceTooSmallError(ValueError):
    """The documents do not fill the parts; the message says how much there is and how to ask for less."""


@dataclass(frozen=True)
class Division:
    """The part of every document.

    Args:
        part: index into `PARTS`, or `DUPLICATE`, of each document, int8, `(documents,)`.
        last_keys: the largest key hash that goes into `validation`, and the largest that goes into `small`; a part
            that was asked to be empty has the bound of the one before it, and -1 stands before all.
        tokens: tokens of each part, before the last document is cut at the size asked for.
        repeated_documents: documents dropped because their text occurred before.
    """

    part: np.ndarray
    last_keys: tuple[int, int]
    tokens: Mapping[PartName, int]
    repeated_documents: int


def divide(keys: np.ndarray, texts: np.ndarray, lengths: np.ndarray, sizes: Mapping[PartName, int]) -> Division:
    """Divide documents among the parts.

    A text that occurred before is dropped. Sources with the smallest key hashes fill `validation` until it has its
    size, the next ones `small`; all others are `large`.

    Args:
        keys: hash of each document's source, uint64, `(documents,)`, in canonical order.
        texts: hash of each document's text, uint64, `(documents,)`.
        lengths: tokens of each document, `(documents,)`.
        sizes: tokens that each part must have; -1 for `large` takes whatever is left.

    Raises:
        SourceTooSmallError: if they are too few.
    """
    part = np.full(len(keys), DUPLICATE, np.int8)
    first = np.unique(texts, return_index=True)[1]  # the first occurrence of every text
    by_key = first[np.argsort(keys[first], kind="stable")]
    ordered, so_far = keys[by_key], np.concatenate([[0], np.cumsum(lengths[by_key])])
    tokens: dict[PartName, int] = {}
    start, bounds = 0, [-1]
    for number, name in enumerate(PARTS):
        stop = len(by_key)
        if name != "large":
            stop = max(start, int(np.searchsorted(so_far, so_far[start] + sizes[name])))
            if start < stop <= len(by_key):  # to the end of the last source
                stop = int(np.searchsorted(ordered, ordered[stop - 1], side="right"))
                bounds.append(int(ordered[stop - 1]))
            else:
                stop = min(stop, len(by_key))
                bounds.append(bounds[-1])
        part[by_key[start:stop]] = number
        tokens[name] = int(so_far[stop] - so_far[start])
        start = stop
    if any(tokens[name] < sizes[name] for name in PARTS) or (sizes["large"] == -1 and not tokens["large"]):
        raise SourceTooSmallError(_shortage(int(so_far[-1]), len(first), len(keys) - len(first), tokens, sizes))
    return Division(part, (bounds[1], bounds[2]), tokens, len(keys) - len(first))


def _shortage(
    total: int, documents: int, repeated: int, tokens: Mapping[PartName, int], sizes: Mapping[PartName, int]
) -> str:
    asked = " + ".join(f"{max(0, sizes[name]):,} {name}" for name in PARTS)
    rest = max(0, total - sizes["small"] - sizes["validation"])
    less = (
        "--large -1, which takes all that the other two leave,"
        if rest > sizes["small"]
        else f"--small {total // 10} --validation {total // 100} --large -1"
    )
    return (
        f"the source holds {total:,} tokens in {documents:,} documents ({repeated:,} repeated ones left out), which "
        f"gives {', '.join(f'{name} {tokens[name]:,}' for name in reversed(PARTS))}; asked for were {asked}. "
        f"Ask for less with {less} or smaller --large, --small, --validation: what is tokenised is kept"
    )
