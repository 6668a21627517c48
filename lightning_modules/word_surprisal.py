"""Surprisal of words from that of their tokens."""

import numpy as np

__all__ = ["word_surprisal"]


def word_surprisal(nats: np.ndarray, word_of_token: np.ndarray, words: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum of -ln p over the tokens of each word, in float64.

    The paper's text says that perplexities are summed; its code sums surprisals, and so does this.

    Args:
        nats: -ln p of each token, NaN where a token was not scored, shape `(tokens,)`.
        word_of_token: number of the word of each token, shape `(tokens,)`.
        words: how many there are.

    Returns:
        Nats, NaN for a word of which no token was scored, and how many of its tokens were; both of shape `(words,)`.
    """
    scored = np.isfinite(nats)
    count = np.bincount(word_of_token[scored], minlength=words)
    sums = np.bincount(word_of_token[scored], nats[scored].astype(np.float64), minlength=words)
    return np.where(count > 0, sums, np.nan), count
