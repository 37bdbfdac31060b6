"""The price of KL and the learning rate, step by step."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.maths.control import AdaptiveKL, Constant, Cosine, FixedKL, Linear

quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)


# --- the price of KL ---


def test_a_fixed_price_stays():
    assert FixedKL(0.3).next(0.2, 100.0, 512) == 0.2
    assert FixedKL(0.3).beta == 0.3


@pytest.mark.parametrize(
    ("kl", "factor"),
    [
        (6.0, 1),
        (6.6, 1 + 0.1 * 0.05),
        (5.4, 1 - 0.1 * 0.05),
        (7.2, 1.01),
        (60.0, 1.01),  # the error is clipped
        (4.8, 0.99),
        (0.0, 0.99),
        (-3.0, 0.99),
    ],
)
def test_the_price_follows_the_kl(kl, factor):
    assert AdaptiveKL(target=6.0, horizon=10_000).next(2.0, kl, 500) == pytest.approx(2 * factor)


@quick
@given(st.floats(0, 50), st.integers(1, 1000), st.floats(0.5, 20))
def test_the_price_rises_exactly_when_kl_is_above_target(kl, n, target):
    new = AdaptiveKL(target=target, horizon=5000.0).next(0.1, kl, n)
    assert (new > 0.1) == (kl / target - 1 > 0) or abs(kl - target) < 1e-9
    assert new > 0


def test_the_price_settles_where_the_kl_is_right():
    """A policy whose KL is 1/β, priced until KL is 6, ends at β = 1/6."""
    rule = AdaptiveKL(beta=1.0, target=6.0, horizon=1000.0)
    beta = rule.beta
    for _ in range(500):
        beta = rule.next(beta, 1 / beta, 100)
    assert beta == pytest.approx(1 / 6, rel=1e-6)


@pytest.mark.parametrize("bad", [{"target": 0.0}, {"horizon": -1.0}])
def test_impossible_targets_are_refused(bad):
    with pytest.raises(ValueError, match="above 0"):
        AdaptiveKL(**bad)


# --- the learning rate ---


def factors(schedule, total):
    return [schedule(step, total) for step in range(total)]


def test_by_hand():
    assert factors(Constant(), 3) == [1, 1, 1]
    assert factors(Linear(), 4) == [1, 0.75, 0.5, 0.25]
    assert factors(Cosine(), 4) == pytest.approx([1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2])
    assert factors(Cosine(floor=0.2), 2) == pytest.approx([1, 0.6])
    assert factors(Constant(warmup=1), 3) == [0.5, 1, 1]
    assert factors(Linear(warmup=2), 4) == pytest.approx([1 / 3, 2 / 3, 1, 0.5])
    assert factors(Cosine(warmup=2, floor=0.5), 4) == pytest.approx([1 / 3, 2 / 3, 1, 0.75])


@quick
@given(st.sampled_from([Constant, Linear, Cosine]), st.integers(0, 20), st.integers(1, 40))
def test_up_then_down_never_zero_never_above_one(kind, warmup, total):
    all_ = factors(kind(warmup=warmup), total)
    assert all(0 < f <= 1 for f in all_)
    assert all_[:warmup] == sorted(set(all_[:warmup]))
    assert all_[warmup:] == sorted(all_[warmup:], reverse=True)
    if warmup < total:
        assert all_[warmup] == 1


def test_a_warm_up_may_be_a_share_of_all_steps():
    """Rounded up, so that a share above none is never no step at all."""
    for kind in (Constant, Linear, Cosine):
        assert factors(kind(warmup=0.25), 8) == factors(kind(warmup=2), 8)
        assert factors(kind(warmup=0.03), 10) == factors(kind(warmup=1), 10)
        assert factors(kind(warmup=0.0), 10) == factors(kind(), 10)
        with pytest.raises(ValueError, match="whole number"):
            kind(warmup=1.5)


def test_a_cosine_does_not_go_below_its_floor():
    assert factors(Cosine(floor=0.1), 1000)[-1] == pytest.approx(0.1, abs=1e-4)
    assert math.isclose(min(factors(Cosine(floor=1.0), 10)), 1)


def test_a_negative_warmup_is_refused():
    for kind in (Constant, Linear, Cosine):
        with pytest.raises(ValueError, match="warmup"):
            kind(warmup=-1)


@pytest.mark.parametrize(
    ("share", "total", "steps"), [(0.07, 100, 7), (0.29, 100, 29), (0.55, 100, 55), (0.05, 101, 6)]
)
def test_a_share_of_the_steps_is_what_it_says(share, total, steps):
    """0.07 · 100 is 7.000000000000001 in floats, and still 7 steps."""
    rises = [Constant(share)(step, total) for step in range(total)]
    assert rises[:steps] == [(step + 1) / (steps + 1) for step in range(steps)]
    assert rises[steps] == 1.0
