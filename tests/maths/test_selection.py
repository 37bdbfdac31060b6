"""Scales, thresholds and ranks against their definitions; the best of n, enumerated."""

import itertools
import math
from statistics import fmean, pstdev

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.maths.selection import (
    Best,
    Everything,
    Fixed,
    Interpolated,
    Percentile,
    Range,
    Sigmoid,
    best_of_n_bound,
    best_of_n_kl,
)

quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)
levels = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
rows = st.lists(st.tuples(levels | st.floats(0, 1), st.integers(0, 4)), min_size=1, max_size=20)
share = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0])


def t(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def asked(told):
    return t(*(r for r, _ in told)), torch.tensor([3 * s for _, s in told])


def own(told, k):
    """The rewards of the answers to the prompt of answer k, rising."""
    return sorted(r for r, s in told if s == told[k][1])


# --- scales ---


def test_a_range_is_measured_once_and_cuts():
    scale = Range().frozen(t(1, 3, 2))
    assert scale == Range(1, 3) == scale.frozen(t(-9, 9)), "frozen"
    assert scale(t(0, 1, 1.5, 3, 9)).tolist() == [0, 0, 0.25, 1, 1]
    assert Range(0, None).frozen(t(1, 4)) == Range(0, 4)
    assert Range(None, 9).frozen(t(1, 4)) == Range(1, 9)


def test_a_sigmoid_is_measured_once():
    raw = (1.0, 3.0, 2.0, 6.0)
    scale = Sigmoid().frozen(t(*raw))
    assert scale == scale.frozen(t(-9, 9))
    assert (scale.centre, scale.width) == pytest.approx((fmean(raw), pstdev(raw)))
    want = [1 / (1 + math.exp(-(r - fmean(raw)) / pstdev(raw))) for r in raw]
    assert scale(t(*raw)).tolist() == pytest.approx(want)
    assert Sigmoid(2, None).frozen(t(*raw)).centre == 2
    assert Sigmoid(None, 2).frozen(t(*raw)).width == 2


@pytest.mark.parametrize("scale", [Range(), Sigmoid()])
def test_equal_rewards_give_no_scale_and_no_numbers_no_reading(scale):
    with pytest.raises(ValueError, match=r"they give no scale; say scale\.\w+"):
        scale.frozen(t(2, 2, 2))
    with pytest.raises(TypeError, match="no numbers yet"):
        scale(t(1))
    with pytest.raises(ValueError, match="no scale"):
        Range(5, None).frozen(t(1, 5))


@pytest.mark.parametrize("how", [{"low": 1.0, "high": 1.0}, {"low": 2.0, "high": 1.0}])
def test_an_odd_range_is_refused(how):
    with pytest.raises(ValueError, match="must be below"):
        Range(**how)


def test_an_odd_sigmoid_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        Sigmoid(0, 0)


# --- filters, against their definitions ---


@quick
@given(rows, share)
def test_fixed(told, at):
    kept = Fixed((at,))(*asked(told))
    assert kept.mask_N.tolist() == [r > at for r, _ in told]
    assert kept.threshold_N.tolist() == [at] * len(told)


@quick
@given(rows, share)
def test_percentile(told, at):
    kept = Percentile((at,))(*asked(told))
    for k, (r, _) in enumerate(told):
        mine = own(told, k)
        place = at * (len(mine) - 1)
        low, high = mine[math.floor(place)], mine[math.ceil(place)]
        want = low + (place - math.floor(place)) * (high - low)
        assert float(kept.threshold_N[k]) == pytest.approx(want, abs=1e-12)
        if abs(r - want) > 1e-9:
            assert bool(kept.mask_N[k]) == (r > want)
    assert _all_have_data(told, kept.mask_N)


@quick
@given(rows, share)
def test_interpolated(told, at):
    kept = Interpolated((at,))(*asked(told))
    for k, (r, _) in enumerate(told):
        want = at * max(own(told, k)) + (1 - at) * fmean(own(told, k))
        assert float(kept.threshold_N[k]) == pytest.approx(want, abs=1e-12)
        if abs(r - want) > 1e-9:
            assert bool(kept.mask_N[k]) == (r > want)
    assert _all_have_data(told, kept.mask_N)


@quick
@given(rows, st.integers(1, 4))
def test_best(told, count):
    kept = Best(count)(*asked(told))
    for source in {s for _, s in told}:
        mine = [k for k, (_, s) in enumerate(told) if s == source]
        best = sorted(mine, key=lambda k: (-told[k][0], k))[:count]
        assert [k for k in mine if kept.mask_N[k]] == sorted(best)
        last = told[best[-1]][0]
        assert kept.threshold_N[mine].tolist() == [last] * len(mine)


def _all_have_data(told, mask_N) -> bool:
    return {s for _, s in told} == {s for (_, s), kept in zip(told, mask_N) if kept}


def test_equal_answers_are_kept_by_their_prompt_whatever_rounding_does():
    """The mean of three 0.1s is a little more than 0.1."""
    for at in (0.0, 0.3, 1.0):
        for keep in (Interpolated((at,)), Percentile((at,))):
            assert keep(t(*[0.1] * 3), torch.zeros(3).long()).mask_N.all()


def test_everything():
    kept = Everything()(t(0, 1), torch.tensor([0, 0]))
    assert kept.mask_N.tolist() == [True, True]
    assert kept.threshold_N.tolist() == [0, 0]


@pytest.mark.parametrize("kind", [Fixed, Percentile, Interpolated])
def test_numbers_rise_within_their_limits(kind):
    assert kind((0.0, 0.5, 1.0)).steps == 3
    assert kind((0.0, 0.5, 1.0)).only(2) == kind((0.5,))
    for at in [(), (0.5, 0.5), (0.9, 0.5), (-0.1,), (0.5, 1.1)]:
        with pytest.raises(ValueError, match="one number or more that rise, from 0 to 1"):
            kind(at)


def test_one_step_filters_have_one_step():
    for keep in (Best(3), Everything()):
        assert keep.steps == 1
        assert keep.only(1) == keep
    with pytest.raises(ValueError, match="count=0"):
        Best(0)


# --- the best of n ---


def enumerated(share_K, n) -> float:
    """KL by listing every draw of n."""
    best = dict.fromkeys(range(len(share_K)), 0.0)
    for draw in itertools.product(range(len(share_K)), repeat=n):
        best[max(draw)] += math.prod(share_K[k] for k in draw)
    return sum(p * math.log(p / share_K[k]) for k, p in best.items() if p)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("share_K", [(1.0,), (0.5, 0.5), (0.2, 0.5, 0.3), (0.9, 0.0, 0.1)])
def test_the_kl_of_the_best_of_n(share_K, n):
    got = best_of_n_kl(t(*share_K), n)
    assert got == pytest.approx(enumerated(share_K, n), abs=1e-12)
    assert best_of_n_kl(7 * t(*share_K), n) == pytest.approx(got)
    assert got <= best_of_n_bound(n) + 1e-12


@pytest.mark.parametrize("n", [2, 4, 16])
def test_without_ties_the_bound_is_met(n):
    assert best_of_n_kl(torch.full((100_000,), 1e-5).double(), n) == pytest.approx(
        best_of_n_bound(n), abs=1e-3
    )


def test_the_bound():
    assert best_of_n_bound(1) == 0
    assert best_of_n_bound(4) == pytest.approx(math.log(4) - 0.75)
    with pytest.raises(ValueError, match="best of 0"):
        best_of_n_bound(0)
