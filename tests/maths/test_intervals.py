"""Intervals: their coverage, and that they are drawn by unit."""

import random
from collections import Counter
from statistics import quantiles

import pytest

from accord.maths.intervals import proportion, quantile, redrawn


def share(units):
    return sum(units.get(u, 0) * u for u in (0, 1)) / sum(units.values())


def test_quantile_is_that_of_the_standard_library():
    values = sorted(random.Random(2).random() for _ in range(37))
    quarters = [quantile(values, q / 4) for q in (1, 2, 3)]
    assert quarters == pytest.approx(quantiles(values, n=4, method="inclusive"))


def test_a_proportion_with_its_interval():
    found = proportion(8, 10)
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)


def test_redrawn_is_close_to_wilson_for_a_share_and_the_same_for_the_same_seed():
    units = {1: 120, 0: 80}
    found = redrawn(units, share, seed=4)
    assert found == redrawn(units, share, seed=4)
    wilson = proportion(120, 200)
    assert found == pytest.approx((wilson.low, wilson.high), abs=0.02)


def test_redrawn_gives_no_interval_where_the_number_is_often_undefined():
    assert redrawn({0: 1, 1: 1}, lambda u: None if len(u) < 2 else 1.0) is None


def test_redrawn_covers_the_truth_about_as_often_as_it_says():
    rng, hits = random.Random(3), 0
    for seed in range(60):
        units = Counter(int(rng.random() < 0.4) for _ in range(80))
        low, high = redrawn(units, share, seed=seed, draws=200)
        hits += low <= 0.4 <= high
    assert hits >= 51
