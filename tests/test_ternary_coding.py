"""The entropy coder: exact round trips, and sizes that Shannon's bound foretells."""

import numpy as np
import pytest
import torch

from connectome import shannon_bits
from connectome.ternary_coding import TOTAL, decode, encode, n_lanes, quantised


def draw(n: int, shares: list[float]) -> np.ndarray:
    return np.random.default_rng(0).choice(np.arange(3, dtype=np.uint8), n, p=shares)


def coded(symbols: np.ndarray, contexts: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    states, words = encode(symbols, contexts, table)
    return states, np.frombuffer(words, "<u2")


def test_shannon_bits_of_equal_shares_are_the_logarithm_of_their_number() -> None:
    assert shannon_bits(torch.tensor([7, 7, 7, 7])) == 2
    assert shannon_bits(torch.tensor([0, 5, 0])) == 0


def test_a_quarter_of_the_weights_costs_what_the_paper_says() -> None:
    """Kotar & Tuckute 2025, appendix A.1: 1.061 bits at 25 % density."""
    assert shannon_bits(torch.tensor([125, 750, 125])).item() == pytest.approx(1.061, abs=5e-4)


@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 1000, 40_000, 200_001])
@pytest.mark.parametrize("shares", [[0.13, 0.74, 0.13], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.4, 0.2, 0.4]])
def test_what_was_encoded_is_decoded(n: int, shares: list[float]) -> None:
    symbols = draw(n, shares)
    contexts = np.zeros(n, np.uint16)
    table = quantised(np.bincount(symbols, minlength=3)[None])
    assert np.array_equal(decode(*coded(symbols, contexts, table), contexts, table), symbols)


def test_a_symbol_that_the_frequencies_did_not_foresee_is_coded_too() -> None:
    symbols, contexts = draw(5000, [0.3, 0.3, 0.4]), np.zeros(5000, np.uint16)
    table = quantised(np.array([[0, 5000, 0]]))
    assert np.array_equal(decode(*coded(symbols, contexts, table), contexts, table), symbols)


def test_independent_weights_cost_their_bound_and_at_most_a_fifth_of_a_percent() -> None:
    n = 1 << 20
    symbols, contexts = draw(n, [0.131, 0.738, 0.131]), np.zeros(n, np.uint16)
    counts = np.bincount(symbols, minlength=3)
    states, words = coded(symbols, contexts, quantised(counts[None]))
    bound = n * float(shannon_bits(torch.from_numpy(counts)))
    assert 1 < 8 * (states.nbytes + words.nbytes) / bound < 1.002


def test_a_context_in_which_a_symbol_is_certain_costs_next_to_nothing() -> None:
    """Half of the symbols are known by their context, the others are one of two."""
    n = 1 << 18
    contexts = np.tile(np.array([0, 1], np.uint16), n // 2)
    symbols = np.where(contexts == 0, 1, draw(n, [0.5, 0.0, 0.5])).astype(np.uint8)
    table = quantised(np.array([[0, n // 2, 0], [n // 4, 0, n // 4]]))
    states, words = coded(symbols, contexts, table)
    assert 8 * (states.nbytes + words.nbytes) < 1.01 * n / 2
    assert np.array_equal(decode(states, words, contexts, table), symbols)


@pytest.mark.parametrize("counts", [[0, 0, 0], [1, 0, 0], [10**9, 1, 1], [1, 2, 3], [77 * 10**6, 0, 77 * 10**6]])
def test_frequencies_are_positive_and_sum_to_the_total(counts: list[int]) -> None:
    found = quantised(np.array([counts, counts]))
    assert found.min() >= 1
    assert found.sum(1).tolist() == [TOTAL, TOTAL]


@pytest.mark.parametrize("change", ["one word less", "one word more", "other state", "other word"])
def test_a_code_that_does_not_end_where_it_should_is_refused(change: str) -> None:
    n = 10_000
    symbols, contexts = draw(n, [0.2, 0.6, 0.2]), np.zeros(n, np.uint16)
    table = quantised(np.bincount(symbols, minlength=3)[None])
    states, words = coded(symbols, contexts, table)
    words = words.copy()
    if change == "one word less":
        words = words[:-1]
    elif change == "one word more":
        words = np.append(words, words[:1])
    elif change == "other state":
        states[0] ^= 1 << 20
    else:
        words[len(words) // 2] ^= 5
    with pytest.raises(ValueError, match="do not end where they should"):
        decode(states, words, contexts, table)


def test_lanes_grow_with_the_number_of_weights_up_to_a_limit() -> None:
    assert [n_lanes(n) for n in (1, 2**19, 2**20, 2**26, 2**30)] == [32, 32, 64, 4096, 4096]
