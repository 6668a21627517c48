"""Which document goes where, and how tokens become shards."""

import numpy as np
import pytest

from datamodules.preparing.parts import DUPLICATE, PARTS, SourceTooSmallError, divide

SIZES = {"validation": 10, "small": 20, "large": 70}


def divided(keys, *, texts=None, length=10, sizes=SIZES):
    keys = np.array(keys, np.uint64)
    texts = np.arange(keys.size, dtype=np.uint64) if texts is None else np.array(texts, np.uint64)
    return divide(keys, texts, np.full(keys.size, length), sizes)


def names(division):
    return ["".join(["v", "s", "l", "-"][code] for code in division.part)][0]


def test_smallest_keys_validate_the_next_are_small_and_the_rest_large():
    assert names(divided([9, 8, 7, 6, 5, 4, 3, 2, 1, 0])) == "lllllllssv"


def test_documents_of_one_source_stay_together_even_beyond_the_size():
    assert names(divided([1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3])) == "vvssslllllll"


def test_the_part_of_a_source_does_not_depend_on_the_order():
    generator = np.random.default_rng(0)
    keys = generator.integers(0, 30, 100)
    order = generator.permutation(100)
    assert names(divided(keys[order])) == "".join(names(divided(keys))[i] for i in order)


def test_of_equal_texts_the_first_is_kept():
    division = divided([5, 4, 3, 2, 1, 0], texts=[1, 2, 2, 3, 3, 3], sizes={"validation": 10, "small": 10, "large": 10})
    assert names(division) == "ls-v--"
    assert division.repeated_documents == 3


def test_bounds_say_where_each_source_went():
    division = divided(range(10, 20))
    assert division.last_keys == (10, 12)
    assert division.tokens == {"validation": 10, "small": 20, "large": 70}


def test_large_takes_the_rest_when_asked_for_all():
    assert divided(range(50), sizes=SIZES | {"large": -1}).tokens["large"] == 470


@pytest.mark.parametrize("empty", PARTS)
def test_a_part_of_size_zero_gets_nothing_but_large_keeps_what_is_left(empty):
    division = divided(range(10), sizes={"validation": 10, "small": 20, "large": 30} | {empty: 0})
    assert (PARTS.index(empty) in division.part) == (empty == "large")
    assert DUPLICATE not in division.part


def test_hashes_beyond_the_signed_range_are_ordered_as_unsigned():
    keys = [2**64 - 1, 2**63, 1]
    assert names(divided(keys, sizes={"validation": 10, "small": 10, "large": 10})) == "lsv"


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (
            SIZES | {"large": 71},
            "holds 100 tokens in 10 documents .*large 70, small 20, validation 10; .*71 large.*--large -1",
        ),
        (SIZES | {"small": 200}, "--small 10 --validation 1 --large -1"),
        (SIZES | {"small": 90, "large": -1}, "large 0, small 90, validation 10"),
    ],
)
def test_a_source_too_small_says_how_much_there_is_and_how_to_ask_for_less(sizes, message):
    with pytest.raises(SourceTooSmallError, match=message):
        divided(range(10), sizes=sizes)
