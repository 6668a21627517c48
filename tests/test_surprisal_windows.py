"""Tokens belong to the words that hold them, and windows score every token once."""

import pytest
from small_stories import STORIES

from datamodules.surprisal_windows import story_windows, tokenize_story, whole_story
from datamodules.tokenizer import get_tokenizer

BYTES = get_tokenizer("bytes")


@pytest.mark.parametrize("story", STORIES.values())
def test_each_byte_belongs_to_its_word_and_a_space_to_the_next_one(story: list[str]) -> None:
    ids, word = tokenize_story(story, BYTES)
    assert len(ids) == len(" ".join(story).encode())
    for number, shown in enumerate(story):
        piece = BYTES.decode_bytes(ids[word == number].tolist()).decode()
        assert piece == (shown if number == 0 else " " + shown)


def test_a_token_across_two_words_is_refused() -> None:
    import tiktoken

    ranks = {bytes([byte]): byte for byte in range(256)} | {b"a b": 256, b"a ": 257}
    greedy = tiktoken.Encoding("greedy", pat_str=r"[\s\S]+", mergeable_ranks=ranks, special_tokens={})
    with pytest.raises(ValueError, match="reaches beyond the word 'a'"):
        tokenize_story(["a", "b"], greedy)


@pytest.mark.parametrize("size", [2, 3, 5, 16, 1024])
@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 24, 31, 40, 1155, 1359])
def test_windows_score_every_token_once_after_half_a_window_or_more(length: int, size: int) -> None:
    tokens = [-1, *range(length)]
    scored: list[int] = []
    for (context, continuation), first in story_windows(range(length), beginning=-1, size=size):
        row = [*context, *continuation]
        at = tokens.index(row[0])
        assert row == tokens[at : at + len(row)]  # an unbroken piece of the story
        assert len(row) <= size + 1
        assert first == len(scored) == continuation[0]
        assert at == 0 or len(context) > size // 2  # what is read before the first scored token
        scored += continuation
    assert scored == list(range(length))


def test_the_last_window_ends_with_the_story() -> None:
    windows = story_windows(range(40), beginning=99, size=16)
    assert [window.first for window in windows] == [0, 16, 24, 32]
    request = windows[-1].request
    assert len(request.context) + len(request.continuation) == 17
    assert request.continuation[-1] == 39


def test_a_story_that_fits_is_one_window() -> None:
    [window] = story_windows([5, 6, 7], beginning=99, size=16)
    assert list(window.request.context) == [99]
    assert list(window.request.continuation) == [5, 6, 7]


def test_a_window_of_one_token_is_refused() -> None:
    with pytest.raises(ValueError, match="two tokens or more, found 1"):
        story_windows([1, 2], beginning=0, size=1)


def test_in_one_pass_all_but_the_first_token_are_scored() -> None:
    [window] = whole_story([5, 6, 7])
    assert (window.request.context, window.request.continuation, window.first) == ([5], [6, 7], 1)
    assert whole_story([5]) == []
