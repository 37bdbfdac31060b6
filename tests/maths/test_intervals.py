"""Intervals: published ends, and numbers redrawn from units."""

import random
from collections import Counter
from statistics import fmean

import pytest

from accord.maths.intervals import (
    bootstrap,
    over_seeds,
    proportion,
    quantile,
    redrawn,
    student,
    wilson,
)


def test_wilson_against_published_values() -> None:
    """Newcombe 1998, Statistics in Medicine 17:857, table I, method 3."""
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0.0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    found = proportion(15, 148)
    assert (found.value, found.low, found.high) == pytest.approx(
        (15 / 148, 0.0624, 0.1605), abs=5e-5
    )


def test_students_points() -> None:
    """Against the printed table (Abramowitz and Stegun 1964, table 26.10)."""
    table = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 10: 2.228, 30: 2.042}
    for freedom, point in table.items():
        assert student(freedom) == pytest.approx(point, abs=6e-4)
    assert student(5, 0.99) == pytest.approx(4.032, abs=6e-4)


def test_a_mean_of_seeds() -> None:
    found = over_seeds([1.0, 2.0, 3.0])
    assert (found.value, found.high - found.value) == pytest.approx(
        (2.0, 4.3027 / 3**0.5), abs=1e-3
    )
    assert over_seeds([0.5]).low == -float("inf"), "one seed says nothing of others"


def test_quantiles_lie_between_neighbours() -> None:
    assert quantile([1.0, 2.0, 4.0], 0.75) == 3.0
    assert (quantile([1.0, 2.0, 4.0], 0), quantile([1.0, 2.0, 4.0], 1)) == (1.0, 4.0)


def test_bootstrap_leaves_a_tail_on_both_sides() -> None:
    values = [float(i % 10) for i in range(100)]
    low, high = bootstrap(values)
    assert 3.8 < low < fmean(values) < high < 5.2
    assert bootstrap(values) == (low, high) != bootstrap(values, seed=1)


def test_redrawn_is_the_bootstrap_of_the_mean() -> None:
    """Counting alike units under one key changes nothing but the random stream."""
    rng = random.Random(0)
    values = [rng.choice((0, 1, 5)) for _ in range(200)]
    found = redrawn(Counter(values), lambda c: sum(v * n for v, n in c.items()) / c.total())
    assert found == pytest.approx(bootstrap([float(v) for v in values]), abs=0.08)


def test_a_number_mostly_undefined_has_no_interval() -> None:
    assert redrawn({1: 5, 2: 5}, lambda c: None if c.get(1, 0) > 4 else 1.0) is None
    assert redrawn({1: 99, 2: 1}, lambda c: 1.0) == (1.0, 1.0)
