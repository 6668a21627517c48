"""The learning rate, at steps whose factor is a fraction one can say."""

from fractions import Fraction

import pytest

from lightning_modules.schedule import learning_rate_factor

OUTER = {"period": 7000, "warmup": 250, "decay": 1750}
INNER = {"period": 2000, "warmup": 250, "decay": 1750}


@pytest.mark.parametrize(
    ("step", "factor"),
    [
        (0, Fraction(1, 250)),
        (124, Fraction(1, 2)),
        (248, Fraction(249, 250)),
        (249, 1),
        (250, 1),
        (5249, 1),
        (5250, 1),
        (5251, Fraction(1749, 1750)),
        (6125, Fraction(1, 2)),
        (6999, Fraction(1, 1750)),
    ],
)
def test_the_outer_loop_warms_up_holds_and_decays(step: int, factor: Fraction) -> None:
    assert learning_rate_factor(step, **OUTER) == pytest.approx(float(factor), rel=1e-12)


@pytest.mark.parametrize(
    ("step", "factor"),
    [(0, Fraction(1, 250)), (249, 1), (250, 1), (251, Fraction(1749, 1750)), (1125, 0.5), (1999, Fraction(1, 1750))],
)
def test_the_inner_loop_does_not_hold(step: int, factor: Fraction) -> None:
    assert learning_rate_factor(step, **INNER) == pytest.approx(float(factor), rel=1e-12)


def test_a_short_schedule_reads_up_hold_down() -> None:
    factors = [learning_rate_factor(step, period=10, warmup=4, decay=4) for step in range(10)]
    assert factors == [0.25, 0.5, 0.75, 1, 1, 1, 1, 0.75, 0.5, 0.25]


@pytest.mark.parametrize("step", [0, 100, 249, 3000, 6999])
@pytest.mark.parametrize("generation", [1, 5])
def test_every_generation_has_the_same_schedule(step: int, generation: int) -> None:
    assert learning_rate_factor(7000 * generation + step, **OUTER) == learning_rate_factor(step, **OUTER)


def test_no_step_is_without_learning() -> None:
    factors = [learning_rate_factor(step, **OUTER) for step in range(7000)]
    assert min(factors) > 0
    assert max(factors) == 1


@pytest.mark.parametrize("step", [0, 3000, 6999])
def test_the_factor_is_a_plain_number(step: int) -> None:
    """A numpy scalar would make the checkpoint unreadable without unpickling."""
    assert type(learning_rate_factor(step, **OUTER)) is float
