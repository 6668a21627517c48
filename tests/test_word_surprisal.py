"""Words are worth their tokens."""

import numpy as np

from lightning_modules.word_surprisal import word_surprisal


def test_surprisals_of_tokens_are_summed() -> None:
    nats, count = word_surprisal(np.array([1.0, 2.0, 4.0, 8.0]), np.array([0, 0, 1, 2]), 3)
    assert nats.tolist() == [3, 4, 8]
    assert count.tolist() == [2, 1, 1]


def test_a_word_without_a_scored_token_has_none_and_a_partial_one_has_the_rest() -> None:
    nats, count = word_surprisal(np.array([np.nan, 2.0, np.nan]), np.array([0, 0, 1]), 2)
    assert nats[0] == 2
    assert np.isnan(nats[1])
    assert count.tolist() == [1, 0]


def test_sums_over_words_are_sums_over_tokens_in_float64() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.exponential(5, 10_000).astype(np.float32)
    nats, _ = word_surprisal(tokens, np.sort(rng.integers(0, 3_000, len(tokens))), 3_000)
    assert nats.dtype == np.float64
    np.testing.assert_allclose(np.nansum(nats), tokens.astype(np.float64).sum(), rtol=1e-14)
