"""Labels from log-probabilities: against probabilities, at the ends, and in both orders."""

import math
import random

import pytest

from accord.maths.feedback import by_place, clamped, preferred, unswapped


def test_as_the_specification_computes_it() -> None:
    q = preferred(-1.2, -2.3)
    assert q == pytest.approx(0.7502601056, abs=1e-10)
    assert clamped(q, 0.4, 0.6) == 0.6


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_share_of_the_first(seed: int) -> None:
    rng = random.Random(seed)
    one, two = rng.uniform(-9, 0), rng.uniform(-9, 0)
    q = preferred(one, two)
    assert q == pytest.approx(math.exp(one) / (math.exp(one) + math.exp(two)))
    assert preferred(two, one) == pytest.approx(1 - q)
    assert preferred(one - 700, two - 700) == pytest.approx(q), "however unlikely both are"


def test_at_the_ends() -> None:
    assert preferred(0.0, -2000.0) == 1.0
    assert preferred(-2000.0, 0.0) == 0.0
    assert preferred(-math.inf, -1.0) == 0.0
    assert preferred(-1.0, -math.inf) == 1.0
    assert preferred(-3.0, -3.0) == 0.5
    for both in (-math.inf, math.nan):
        with pytest.raises(ValueError, match="neither option has any probability"):
            preferred(both, both)


def test_limits() -> None:
    told = [clamped(q, 0.4, 0.6) for q in (0.0, 0.39, 0.45, 0.61, 1.0)]
    assert told == [0.4, 0.4, 0.45, 0.6, 0.6]
    assert clamped(0.15, 0.2, 0.9) == 0.2
    assert clamped(0.95, 0.2, 0.9) == 0.9


def test_both_orders() -> None:
    assert unswapped(0.75, 0.5) == 0.625
    assert by_place(0.75, 0.5) == 0.125
    assert unswapped(1.0, 1.0) == 0.5, "it takes whatever stands first"
    assert by_place(1.0, 1.0) == 0.5
    assert by_place(0.0, 0.0) == -0.5
    assert unswapped(0.75, 0.25) == 0.75
    assert by_place(0.75, 0.25) == 0.0


@pytest.mark.parametrize("bias", [-1.5, 0.0, 0.7, 3.0])
def test_a_liking_for_a_place_does_not_turn_a_label(bias: float) -> None:
    """Logits gap + bias: whoever is better by either order's own merit stays better."""
    for gap in (-2.0, -0.1, 0.1, 2.0):
        q = unswapped(preferred(gap + bias, 0.0), preferred(-gap + bias, 0.0))
        assert (q > 0.5) == (gap > 0)
    assert unswapped(preferred(bias, 0.0), preferred(bias, 0.0)) == pytest.approx(0.5)
    assert by_place(preferred(bias, 0.0), preferred(bias, 0.0)) == pytest.approx(
        preferred(bias, 0.0) - 0.5
    )
