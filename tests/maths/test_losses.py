"""PPO's two losses and the likelihood: by definition, by gradient, and where they are flat."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.maths.losses import Clip, Loss, clip, nll, value

quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)
small = st.floats(-2, 2)


def t(*numbers, grad=False):
    return torch.tensor(numbers, dtype=torch.float64, requires_grad=grad)


def slope(loss: Loss, x):
    return torch.autograd.grad(loss.each.sum(), x)[0].tolist()


# --- nll ---


def test_nll_is_minus_the_log_probability():
    logp = t(-0.5, -3.0, grad=True)
    assert nll(logp).each.tolist() == [0.5, 3.0]
    assert slope(nll(logp), logp) == [-1, -1]


# --- clip ---


def clip_slowly(logp, old, adv, eps):
    ratio = math.exp(logp - old)
    return -min(ratio * adv, max(1 - eps, min(1 + eps, ratio)) * adv)


@quick
@given(small, small, small, st.floats(0.05, 0.5))
def test_clip_by_definition(logp, old, adv, eps):
    assert float(clip(t(logp), t(old), t(adv), eps=eps).each) == pytest.approx(
        clip_slowly(logp, old, adv, eps)
    )


def test_clip_at_ratio_one_is_reinforce():
    logp, adv = t(-1.0, -2.0, -0.1, grad=True), t(0.7, -1.3, 0.0)
    loss = clip(logp, logp.detach(), adv, eps=0.2)
    assert loss.each.tolist() == (-adv).tolist()
    assert slope(loss, logp) == pytest.approx((-adv).tolist())  # d(-Â log π)


@pytest.mark.parametrize(
    ("log_ratio", "adv", "flat"),
    [
        (+0.5, +1.0, True),  # good, and already much likelier: enough
        (-0.5, -1.0, True),  # bad, and already much rarer: enough
        (+0.5, -1.0, False),  # bad, yet likelier: go back
        (-0.5, +1.0, False),  # good, yet rarer: go back
        (+0.1, +1.0, False),
        (-0.1, -1.0, False),
        (math.log(1.19), +1.0, False),
        (math.log(1.21), +1.0, True),
        (math.log(0.81), -1.0, False),
        (math.log(0.79), -1.0, True),
    ],
)
def test_where_clip_is_flat_and_says_so(log_ratio, adv, flat):
    logp = t(log_ratio - 1, grad=True)
    loss = clip(logp, t(-1.0), t(adv), eps=0.2)
    assert slope(loss, logp) == [0 if flat else pytest.approx(-adv * math.exp(log_ratio))]
    assert loss.watch["policy/clipfrac"].tolist() == [float(flat)]


@quick
@given(small, small, st.floats(-2, 2).filter(bool))
def test_clip_is_never_below_the_unclipped(logp, old, adv):
    """min is pessimistic: clipping may only take away what the policy would gain."""
    free = -math.exp(logp - old) * adv
    assert float(clip(t(logp), t(old), t(adv), eps=0.2).each) >= free - 1e-12


def test_clip_watches():
    watch = clip(t(-1.0, -2.0), t(-1.2, -2.0), t(1.0, 1.0), eps=0.3).watch
    assert watch["policy/ratio"].tolist() == pytest.approx([math.exp(0.2), 1])
    assert watch["policy/approxkl"].tolist() == pytest.approx([0.02, 0])


# --- value ---


def value_slowly(v, old, ret, eps):
    near = max(old - eps, min(old + eps, v))
    return max((v - ret) ** 2, (near - ret) ** 2) / 2


@quick
@given(small, small, small, st.floats(0.05, 0.5))
def test_value_by_definition(v, old, ret, eps):
    loss = value(t(v), t(old), t(ret), eps=eps)
    assert float(loss.each) == pytest.approx(value_slowly(v, old, ret, eps))
    assert float(value(t(v), t(old), t(ret), eps=None).each) == pytest.approx((v - ret) ** 2 / 2)


@pytest.mark.parametrize(
    ("v", "ret", "flat"),
    [
        (0.5, 1.0, True),  # moved far towards the return: enough
        (-0.5, -1.0, True),
        (0.5, -1.0, False),  # moved far away from it: go back
        (-0.5, 1.0, False),
        (0.1, 1.0, False),  # moved little
        (0.5, 0.4, True),  # nearer than the clipped value: enough
        (0.5, 0.3, False),  # overshot
    ],
)
def test_where_the_value_loss_is_flat_and_says_so(v, ret, flat):
    x = t(v, grad=True)
    loss = value(x, t(0.0), t(ret), eps=0.2)
    assert slope(loss, x) == [0 if flat else pytest.approx(v - ret)]
    assert loss.watch["val/clipfrac"].tolist() == [float(flat)]
    assert slope(value(x, t(0.0), t(ret), eps=None), x) == pytest.approx([v - ret])


def test_value_watches():
    watch = value(t(0.5), t(0.0), t(1.0), eps=0.2).watch
    assert watch["val/error"].tolist() == [0.25]
    assert watch["val/vpred"].tolist() == [0.5]


# --- all ---


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_dtypes_are_kept_and_nothing_watched_has_a_gradient(dtype):
    x = torch.randn(2, 3, dtype=dtype, requires_grad=True)
    y, z = torch.randn(2, 2, 3, dtype=dtype)
    for loss in (nll(x), clip(x, y, z, eps=0.2), value(x, y, z, eps=0.2), value(x, y, z, eps=None)):
        assert loss.each.requires_grad
        for name, number in {"each": loss.each, **loss.watch}.items():
            assert (number.shape, number.dtype) == (x.shape, dtype), name
        assert not any(number.requires_grad for number in loss.watch.values())


def test_each_token_is_its_own():
    """Column t of a loss depends on column t alone."""
    x, y, z = torch.randn(3, 4, 5, dtype=torch.float64)
    for loss in (lambda *a: clip(*a, eps=0.2), lambda *a: value(*a, eps=0.2)):
        whole = loss(x, y, z).each
        assert torch.equal(loss(x[1:3, 2:], y[1:3, 2:], z[1:3, 2:]).each, whole[1:3, 2:])


@pytest.mark.parametrize("bad", [{"eps": 0.0}, {"eps_value": -0.1}, {"stop_kl": 0.0}])
def test_a_clip_that_lets_nothing_move_is_refused(bad):
    assert (Clip(eps_value=None).eps_value, Clip().stop_kl) == (None, None)
    with pytest.raises(ValueError, match="above 0"):
        Clip(**bad)
