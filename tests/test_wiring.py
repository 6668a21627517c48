"""The connectome: what it refuses to be, what it tells about itself, and its random control."""

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from connectome import Connectome, Provenance


def matrix(*rows: list[int]) -> Tensor:
    return torch.tensor(rows, dtype=torch.int8)


@pytest.fixture
def little() -> Connectome:
    """Two matrices, 3 of 4 and 1 of 6 weights, two of each sign."""
    return Connectome(
        {"a": matrix([1, 0], [-1, 1]), "b": matrix([0, 0, -1], [0, 0, 0])},
        {"n_layer": 2},
        Provenance(generation=5, seed=3, step=42, data="f00d", tokenizer="bytes"),
    )


@pytest.fixture
def large() -> Connectome:
    """A quarter of 10,000 weights and half of 5,000, in an orderly pattern."""
    return Connectome(
        {
            "z": (torch.arange(10_000) % 4 == 0).to(torch.int8).view(100, 100),
            "y": -(torch.arange(5_000) % 2 == 0).to(torch.int8).view(50, 100),
        }
    )


@pytest.mark.parametrize("value", [2, -2, 127, -128])
def test_values_beyond_minus_one_to_one_are_refused(value: int) -> None:
    with pytest.raises(ValueError, match=r"a: expected values -1, 0 and 1, found"):
        Connectome({"a": matrix([0, value])})


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(2, 2),
        torch.zeros(2, 2, dtype=torch.int64),
        torch.zeros(2, 2, dtype=torch.bool),
        torch.zeros(4, dtype=torch.int8),
        torch.zeros(2, 2, 2, dtype=torch.int8),
        torch.zeros(0, 3, dtype=torch.int8),
    ],
    ids=["float32", "int64", "bool", "vector", "cube", "empty"],
)
def test_anything_but_an_int8_matrix_is_refused(wrong: Tensor) -> None:
    with pytest.raises(ValueError, match="a: expected a non-empty int8 matrix, found"):
        Connectome({"a": wrong})


def test_a_connectome_without_matrices_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one matrix"):
        Connectome({})


def test_matrices_and_architecture_cannot_be_exchanged(little: Connectome) -> None:
    with pytest.raises(TypeError):
        little.matrices["a"] = matrix([1])  # type: ignore[index]
    with pytest.raises(TypeError):
        little.architecture["n_layer"] = 3  # type: ignore[index]
    with pytest.raises(AttributeError):
        little.matrices = {}  # type: ignore[misc]


def test_it_counts_its_weights(little: Connectome) -> None:
    assert (little.n_weights, little.n_kept) == (10, 4)
    assert little.density == 0.4
    assert little.densities == {"a": 3 / 4, "b": 1 / 6}
    assert little.excitatory_share == 0.5


def test_without_weights_there_is_no_excitatory_share() -> None:
    empty = Connectome({"a": matrix([0, 0])})
    assert empty.density == 0.0
    assert math.isnan(empty.excitatory_share)


def test_masks_say_where_a_weight_exists(little: Connectome) -> None:
    assert little.masks()["a"].tolist() == [[True, False], [True, True]]
    assert all(mask.dtype == torch.bool for mask in little.masks().values())


def test_the_next_generation_starts_from_plus_and_minus_two_hundredths(little: Connectome) -> None:
    start = little.weights()["a"]
    assert start.dtype == torch.float32
    assert torch.equal(start, torch.tensor([[0.02, 0.0], [-0.02, 0.02]]))


def test_absent_weights_start_as_positive_zero(little: Connectome) -> None:
    """A negative zero would be written into snapshots and look like a sign."""
    assert not any(weight.signbit()[mask == 0].any() for weight, mask in pairs(little.weights(), little.masks()))


def pairs(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    return [(first[name], second[name]) for name in first]


def test_each_kept_weight_becomes_its_sign_and_an_exact_zero_excites() -> None:
    weights = {"a": torch.tensor([[0.3, -0.2, 0.0, -0.0, 5.0, -5.0]])}
    masks = {"a": torch.tensor([[True, True, True, True, False, False]])}
    assert Connectome.from_weights(weights, masks).matrices["a"].tolist() == [[1, -1, 1, 1, 0, 0]]


def test_a_connectome_does_not_follow_the_weights_it_was_read_from() -> None:
    weights = {"a": torch.tensor([[0.3]])}
    connectome = Connectome.from_weights(weights, {"a": torch.tensor([[True]])})
    weights["a"].neg_()
    assert connectome.matrices["a"].tolist() == [[1]]


def test_from_weights_keeps_architecture_and_provenance(little: Connectome) -> None:
    again = Connectome.from_weights(
        little.weights(), little.masks(), architecture=little.architecture, provenance=little.provenance
    )
    assert again.architecture == {"n_layer": 2}
    assert again.provenance == little.provenance
    assert all(torch.equal(mine, other) for mine, other in pairs(again.matrices, little.matrices))


def test_weights_and_masks_of_different_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"differ in names: \['a', 'b'\]"):
        Connectome.from_weights({"a": torch.ones(1, 1)}, {"b": torch.ones(1, 1, dtype=torch.bool)})


def test_a_mask_of_another_shape_is_refused() -> None:
    """It would be broadcast in silence."""
    with pytest.raises(ValueError, match=r"a: a weight of shape \(3, 2\), a mask of \(1, 2\)"):
        Connectome.from_weights({"a": torch.ones(3, 2)}, {"a": torch.ones(1, 2, dtype=torch.bool)})


def test_the_random_control_has_as_many_weights_in_every_matrix(large: Connectome) -> None:
    random = large.random_like(0)
    assert list(random.matrices) == list(large.matrices)
    assert {name: int(m.count_nonzero()) for name, m in random.matrices.items()} == {"z": 2_500, "y": 2_500}
    assert {name: m.shape for name, m in random.matrices.items()} == {"z": (100, 100), "y": (50, 100)}


def test_the_random_control_has_signs_of_its_own(large: Connectome) -> None:
    """Of 2,500 fair signs between 1,125 and 1,375 are positive: five standard deviations of 25."""
    for drawn in large.random_like(1).matrices.values():
        assert abs(int((drawn > 0).sum()) - 1_250) < 125


def test_the_random_control_overlaps_as_chance_does(large: Connectome) -> None:
    """Chance shares 2,500 * 2,500 / 10,000 + 2,500 * 2,500 / 5,000 = 1,875 weights, with a deviation of some 30."""
    overlap = large.overlap(large.random_like(2))
    assert overlap.expected_shared == 1_875
    assert abs(overlap.shared - 1_875) < 150
    assert abs(overlap.sign_agreement - 0.5) < 0.06


def test_random_positions_are_spread_over_the_matrix(large: Connectome) -> None:
    """Each quarter of the rows gets some 625 of 2,500 weights, with a deviation of about 19."""
    quarters = [int(quarter.count_nonzero()) for quarter in large.random_like(3).matrices["z"].chunk(4)]
    assert all(abs(quarter - 625) < 95 for quarter in quarters)


def test_every_weight_is_drawn_equally_often() -> None:
    """Of 400 draws of one weight in four each of four places gets some 100, with a deviation of 8.7."""
    one = Connectome({"a": matrix([1, 0], [0, 0])})
    hits = torch.stack([one.random_like(seed).matrices["a"] != 0 for seed in range(400)]).sum(0)
    assert all(abs(n - 100) < 44 for n in hits.flatten().tolist())


def test_a_seed_draws_the_same_connectome_again(large: Connectome) -> None:
    first, again = large.random_like(4), large.random_like(4)
    assert all(torch.equal(mine, other) for mine, other in pairs(first.matrices, again.matrices))


def test_seeds_and_matrices_draw_differently() -> None:
    half = (torch.arange(400) % 2).to(torch.int8).view(20, 20)
    both = Connectome({"a": half, "b": half})
    draws = [*both.random_like(0).matrices.values(), *both.random_like(1).matrices.values()]
    assert len({tuple(draw.flatten().tolist()) for draw in draws}) == 4


def test_a_draw_depends_on_names_not_on_their_order(large: Connectome) -> None:
    turned = Connectome(dict(reversed(large.matrices.items())))
    assert list(turned.random_like(5).matrices) == ["y", "z"]
    assert all(torch.equal(m, o) for m, o in pairs(turned.random_like(5).matrices, large.random_like(5).matrices))


def test_shuffled_signs_lie_on_the_same_weights_and_agree_by_chance(large: Connectome) -> None:
    """A random connectome has as many of each sign, but for some 50, so chance makes half of 5,000 agree."""
    evolved = large.random_like(0)
    dealt = evolved.shuffled_signs(3)
    for mine, theirs in pairs(evolved.matrices, dealt.matrices):
        assert torch.equal(mine != 0, theirs != 0)
        assert mine.sum() == theirs.sum()
    assert abs(evolved.overlap(dealt).sign_agreement - 0.5) < 0.04
    assert "signs shuffled" in dealt.provenance.note
    assert all(torch.equal(m, o) for m, o in pairs(dealt.matrices, evolved.shuffled_signs(3).matrices))
    assert any(not torch.equal(m, o) for m, o in pairs(dealt.matrices, evolved.shuffled_signs(4).matrices))


def test_a_draw_is_pinned_for_every_machine() -> None:
    """A change of these numbers makes random controls of earlier runs impossible to draw again."""
    quarter = Connectome({"a": matrix([1, 1, 0, 0], [0, 0, 0, 0])})
    assert quarter.random_like(7).matrices["a"].tolist() == [[0, 0, 0, 0], [1, 0, 0, 1]]


def test_drawing_leaves_the_global_generator_alone(large: Connectome) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    large.random_like(6)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_random_control_says_what_it_was_drawn_to_match(little: Connectome) -> None:
    random = little.random_like(9)
    assert random.architecture == little.architecture
    assert random.provenance.generation is None
    assert random.provenance.seed == 9
    assert random.provenance.tokenizer == "bytes"
    assert "generation 5 of seed 3" in random.provenance.note


def test_overlap_counts_shared_weights_and_signs() -> None:
    mine = Connectome({"a": matrix([1, 1, -1, 0, 0, 0])})
    other = Connectome({"a": matrix([1, -1, 0, 1, 0, 0])})
    assert mine.overlap(other) == (2, 2 / 4, 1 / 2, 3 * 3 / 6)


def test_a_connectome_overlaps_with_itself_entirely(little: Connectome) -> None:
    overlap = little.overlap(little)
    assert overlap[:3] == (4, 1.0, 1.0)


def test_connectomes_that_share_nothing_have_no_sign_agreement() -> None:
    overlap = Connectome({"a": matrix([1, 0])}).overlap(Connectome({"a": matrix([0, 1])}))
    assert overlap[:2] == (0, 0.0)
    assert math.isnan(overlap.sign_agreement)


def test_a_matching_model_fits(little: Connectome) -> None:
    little.check_fits({"b": (2, 3), "a": (2, 2)})


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"a": (2, 2), "b": (3, 2)}, r"1 matrices differ \(b: \(2, 3\) here, \(3, 2\) in the model\)"),
        ({"a": (2, 2)}, r"b: \(2, 3\) here, None in the model"),
        ({"a": (2, 2), "b": (2, 3), "c": (1, 1)}, r"c: None here, \(1, 1\) in the model"),
    ],
)
def test_a_model_of_another_architecture_is_refused(
    little: Connectome, shapes: dict[str, tuple[int, ...]], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        little.check_fits(shapes)
    assert "'n_layer': 2" in str(caught.value)


def test_overlap_of_different_architectures_is_refused(little: Connectome) -> None:
    with pytest.raises(ValueError, match="another architecture than the other connectome"):
        little.overlap(Connectome({"a": matrix([1, 0])}))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_weights_on_a_gpu_give_the_same_connectome_on_the_cpu(little: Connectome) -> None:
    weights = {name: weight.cuda() for name, weight in little.weights().items()}
    found = Connectome.from_weights(weights, little.masks())
    assert all(torch.equal(mine, other) for mine, other in pairs(found.matrices, little.matrices))
