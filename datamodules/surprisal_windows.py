"""Which token belongs to which word, and the windows in which a long story is scored."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tiktoken

from datamodules.scoring_batches import Request

__all__ = ["StoryTokens", "Window", "story_windows", "tokenize_story", "whole_story"]


class StoryTokens(NamedTuple):
    """A story as a model reads it.

    Args:
        ids: of the tokens, int64, shape `(tokens,)`.
        word: number within the story of the word that each token belongs to, int64, shape `(tokens,)`.
    """

    ids: np.ndarray
    word: np.ndarray


class Window(NamedTuple):
    """A part of a story to score.

    Args:
        request: what is read and what is scored.
        first: number within the story of the first token that is scored.
    """

    request: Request
    first: int


def tokenize_story(words: Sequence[str], encoding: tiktoken.Encoding) -> StoryTokens:
    """Tokens of the words joined by single spaces. A space counts for the word that follows it.

    A token belongs to the word that holds its first byte other than a space. Offsets are counted in bytes: a token may
    end within a character.

    Raises:
        ValueError: if a token reaches over two words, or a word has none; then the rule says nothing.
    """
    ids = encoding.encode_ordinary(" ".join(words))
    pieces = [encoding.decode_single_token_bytes(token) for token in ids]
    ends = np.cumsum([len(piece) for piece in pieces])
    starts = ends - [len(piece.lstrip(b" ")) for piece in pieces]  # of a lone space: where the next word begins
    lengths = np.array([len(word.encode()) for word in words])
    word_starts = np.r_[0, np.cumsum(lengths + 1)[:-1]]
    word = np.searchsorted(word_starts, starts, side="right") - 1
    if (over := np.flatnonzero(ends > (word_starts + lengths)[word])).size and pieces[over[0]].strip(b" "):
        raise ValueError(f"the token {pieces[over[0]]!r} reaches beyond the word {words[word[over[0]]]!r}")
    if (bare := np.setdiff1d(np.arange(len(words)), word)).size:
        raise ValueError(f"the word {words[bare[0]]!r} has no token")
    return StoryTokens(np.array(ids), word)


def whole_story(ids: Sequence[int]) -> list[Window]:
    """The story in one pass, however long, with nothing before it: its first token is not scored (the paper's rule)."""
    return [Window(Request(ids[:1], ids[1:]), 1)] if len(ids) > 1 else []


def story_windows(ids: Sequence[int], *, beginning: int, size: int) -> list[Window]:
    """Windows that overlap by half, every token scored once.

    The first begins with the token `beginning` and scores all it can; each later one scores what is left, after half a
    window of context or more; the last ends with the story.

    Args:
        ids: tokens of the story.
        beginning: end of text, which goes before the story as it goes before every document in training.
        size: tokens that the model reads at a time.

    Raises:
        ValueError: if a window holds fewer than two tokens.
    """
    if size < 2:
        raise ValueError(f"windows that overlap by half need two tokens or more, found {size}")
    tokens = [beginning, *ids]
    last = max(0, len(ids) - size)  # of the starts: what is read there ends one token before the story's end
    windows: list[Window] = []
    scored = 0
    for start in [*range(0, last, size // 2), last]:
        end = min(start + size, len(ids))  # the window reads tokens[start:end] and predicts those after each
        windows.append(Window(Request(tokens[start : scored + 1], tokens[scored + 1 : end + 1]), scored))
        scored = end
    return windows
