"""Anatomy of small matrices, counted by hand, and of random ones, which are what chance makes."""

import math

import pytest
import torch
from torch import Tensor

from connectome import Connectome
from connectome.anatomy import (
    against_chance,
    anatomy,
    degree_spread,
    degrees,
    excitatory_shares,
    head_densities,
    hubs,
    sign_spread,
    silent_units,
    survival,
    token_densities,
)


def matrix(*rows: list[int]) -> Tensor:
    return torch.tensor(rows, dtype=torch.int8)


LITTLE = matrix([1, -1, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0])


def chance(shape: tuple[int, int], seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-1, 2, shape, generator=generator, dtype=torch.int8)


def gpt(**changes: Tensor) -> Connectome:
    """One layer of width 4 with two heads, full but for what is changed."""
    shapes = {"attn.c_attn": (12, 4), "attn.c_proj": (4, 4), "mlp.c_fc": (16, 4), "mlp.c_proj": (4, 16)}
    matrices = {
        f"transformer.h.0.{name}.weight": changes.get(name.replace(".", "_"), torch.ones(shape, dtype=torch.int8))
        for name, shape in shapes.items()
    }
    matrices["transformer.wte.weight"] = matrix([1, -1, 0, 0], [1, 1, 1, 1])
    return Connectome(matrices, {"n_head": 2})


def test_degrees_count_the_weights_of_rows_and_columns() -> None:
    incoming, outgoing = degrees(LITTLE)
    assert incoming.tolist() == [3, 0, 1]
    assert outgoing.tolist() == [1, 2, 1, 0]


def test_units_without_weights_are_silent() -> None:
    rows, columns = silent_units(LITTLE)
    assert (rows.tolist(), columns.tolist()) == ([1], [3])


def test_excitatory_shares_are_of_the_weights_that_exist() -> None:
    shares = excitatory_shares(LITTLE).tolist()
    assert shares[0] == pytest.approx(2 / 3)
    assert math.isnan(shares[1])
    assert shares[2] == 1


@pytest.mark.parametrize("shape", [(400, 300), (2000, 50)])
def test_a_random_matrix_spreads_like_chance(shape: tuple[int, int]) -> None:
    found = chance(shape)
    assert degree_spread(found) == pytest.approx((1, 1), abs=0.35)
    assert sign_spread(found) == pytest.approx(1, abs=0.2)
    assert [len(units) for units in hubs(found)] == [0, 0]


def test_equal_degrees_do_not_spread() -> None:
    assert degree_spread(torch.eye(8, dtype=torch.int8)) == (0, 0)


@pytest.mark.parametrize("value", [0, 1])
def test_where_chance_has_no_variance_there_is_no_spread(value: int) -> None:
    assert all(map(math.isnan, degree_spread(torch.full((3, 5), value, dtype=torch.int8))))


def test_a_unit_with_many_more_weights_than_the_others_is_a_hub() -> None:
    found = torch.zeros(100, 100, dtype=torch.int8)
    found[torch.arange(100), torch.arange(100)] = 1
    found[7] = -1
    rows, columns = hubs(found)
    assert (rows.tolist(), columns.tolist()) == ([7], [])


def test_rows_of_one_sign_spread_as_far_as_signs_can() -> None:
    """Two rows of eight, one all excitatory: surplus of 4 and -4, 32 over 16 / 4."""
    assert sign_spread(matrix([1] * 8, [-1] * 8)) == 8


def test_a_head_is_dead_without_values_or_without_outputs() -> None:
    incoming = torch.ones(12, 4, dtype=torch.int8)
    incoming[8:10] = 0  # the values of head 0
    outgoing = torch.ones(4, 4, dtype=torch.int8)
    outgoing[:, 2] = 0  # half the outputs of head 1
    found = gpt(attn_c_attn=incoming, attn_c_proj=outgoing)
    densities = {part: values.tolist() for part, values in head_densities(found).items()}
    assert densities == {"query": [[1, 1]], "key": [[1, 1]], "value": [[0, 1]], "output": [[1, 0.5]]}
    assert anatomy(found)["dead_heads"] == 1


def test_an_mlp_unit_is_dead_without_input_or_without_output() -> None:
    incoming, outgoing = torch.ones(16, 4, dtype=torch.int8), torch.ones(4, 16, dtype=torch.int8)
    incoming[3] = 0
    outgoing[:, [3, 5]] = 0
    assert anatomy(gpt(mlp_c_fc=incoming, mlp_c_proj=outgoing))["dead_mlp_units"] == 2


def test_tokens_are_the_rows_of_the_embedding() -> None:
    assert token_densities(gpt()).tolist() == [0.5, 1]


def test_a_weight_survives_with_its_sign_only() -> None:
    first = Connectome({"a": matrix([1, 1, -1, -1])})
    second = Connectome({"a": matrix([1, -1, -1, 0])})
    assert survival([first, second]) == {"a": [1, 0.5]}


def test_agreement_stands_beside_chance() -> None:
    one, two = Connectome({"a": matrix([1, 1, 0, 0])}), Connectome({"a": matrix([1, 0, -1, 0])})
    found = against_chance(one, two)["a"]
    assert found == (1 / 3, 1 / 3, 1, 0.5)


def test_random_controls_agree_as_chance_says() -> None:
    connectome = Connectome({"a": chance((200, 300))})
    found = against_chance(connectome.random_like(0), connectome.random_like(1))["a"]
    assert found.jaccard == pytest.approx(found.jaccard_by_chance, rel=0.02)
    assert found.sign_agreement == pytest.approx(found.sign_agreement_by_chance, rel=0.02)


def test_numbers_that_are_not_there_are_left_out() -> None:
    assert anatomy(Connectome({"a": torch.zeros(3, 5, dtype=torch.int8)})) == {"hubs": 0, "silent_rows": 3}
