"""The surrogate and the prices of KL against their definitions, identities and signs."""

import itertools

import pytest
import torch

from accord.maths import divergence
from accord.maths.advantages import LeaveOneOut
from accord.maths.losses import Loss, clip
from accord.maths.surrogate import LossKL, RewardKL, Surrogate, Truncated, mean_BT
from accord.maths.weights import weigh

NAN = float("nan")
FREE = Surrogate(low=None, high=None)


def noise(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


def ragged():
    """(logp, old, adv, mask): three answers behind prompts of other lengths."""
    mask = torch.zeros(3, 7, dtype=torch.bool)
    for b, (first, last) in enumerate([(1, 7), (3, 5), (2, 6)]):
        mask[b, first:last] = True
    adv_BT = noise(3, 1, seed=2).expand(3, 7)
    return [torch.where(mask, x, 0.0) for x in (noise(3, 7), noise(3, 7, seed=1), adv_BT)] + [mask]


def slope(loss, logp, old, adv, mask, weight=None):
    """d loss / d logp, tokens weighed."""
    logp = logp.clone().requires_grad_()
    each = loss(logp, old, adv, mask).each
    w = mask.double() if weight is None else weight
    return torch.autograd.grad((each * w).sum(), logp)[0]


LOSSES = [
    Surrogate(ratio, low, high)
    for ratio in ("token", "sequence")
    for low, high in ((0.2, 0.2), (0.2, 0.28), (None, None), (0.1, None), (None, 0.1))
]


@pytest.mark.parametrize("loss", [*LOSSES, Surrogate(dual=3.0)], ids=str)
def test_at_ratio_one_the_gradient_is_that_of_reinforce(loss):
    """-A log π: Williams 1992.  Of a sequence's ratio the gradient is shared by its tokens."""
    logp, _, adv, mask = ragged()
    got = slope(loss, logp, logp, adv, mask)
    assert torch.allclose(got, -adv, atol=1e-12)
    told = loss(logp, logp, adv, mask)
    assert torch.equal(told.watch["policy/ratio"][mask], torch.ones(int(mask.sum())).double())
    assert not told.watch["policy/clipfrac"].any()


@pytest.mark.parametrize("by", ["token", "sequence"])
@pytest.mark.parametrize("ratio", ["token", "sequence"])
def test_weighed_by_answer_both_ratios_have_one_gradient_at_first(ratio, by):
    logp, _, adv, mask = ragged()
    weight = weigh(mask, by).double()
    got = slope(Surrogate(ratio), logp, logp, adv, mask, weight)
    assert torch.allclose(got, -adv * weight, atol=1e-8)


def test_of_equal_sides_it_is_ppo():
    logp, old, adv, mask = ragged()
    told, want = Surrogate(low=0.2, high=0.2)(logp, old, adv, mask), clip(logp, old, adv, eps=0.2)
    assert torch.equal(told.each, want.each)
    for key in want.watch:
        assert torch.equal(told.watch[key], want.watch[key]), key


@pytest.mark.parametrize(("adv", "log"), [(1.0, 0.5), (1.0, -0.5), (-1.0, 0.5), (-1.0, -0.5)])
def test_each_side_has_a_limit_of_its_own(adv, log):
    """A limit stops what goes on in its direction, never what comes back."""
    one = torch.ones(1, 1, dtype=torch.float64)
    mask = one > 0
    for low, high in ((0.1, None), (None, 0.1), (0.1, 0.1), (None, None)):
        loss = Surrogate(low=low, high=high)
        got = float(slope(loss, log * one, 0 * one, adv * one, mask))
        stopped = (log > 0 and adv > 0 and high) or (log < 0 and adv < 0 and low)
        assert got == pytest.approx(0 if stopped else -adv * float((log * one).exp()))
        watch = loss(log * one, 0 * one, adv * one, mask).watch
        assert bool(watch["policy/clipfrac"]) == bool(stopped)
        assert bool(watch["policy/clipfrac_high"]) == bool(stopped and log > 0)
        assert bool(watch["policy/clipfrac_low"]) == bool(stopped and log < 0)


def test_the_second_clip_bounds_the_loss_of_bad_answers_alone():
    one = torch.ones(1, 1, dtype=torch.float64)
    loss, mask = Surrogate(dual=3.0), one > 0
    for log, adv, each, grad in ((2.0, -1.0, 3.0, 0.0), (0.5, -1.0, 1.6487, 1.6487)):
        assert float(loss(log * one, 0 * one, adv * one, mask).each) == pytest.approx(each, 1e-4)
        assert float(slope(loss, log * one, 0 * one, adv * one, mask)) == pytest.approx(grad, 1e-4)
    far = loss(2 * one, 0 * one, -one, mask)
    assert float(far.watch["policy/clipfrac"]) == 1
    free = Surrogate()(2 * one, 0 * one, one, mask)
    assert torch.equal(loss(2 * one, 0 * one, one, mask).each, free.each)


def test_a_sequence_has_the_geometric_mean_of_its_ratios():
    logp, old, adv, mask = ragged()
    told = Surrogate("sequence", None, None)(logp, old, adv, mask)
    for b in range(3):
        ratios = [float(x) for x in (logp[b] - old[b])[mask[b]].exp()]
        mean = torch.tensor(ratios).double().prod() ** (1 / len(ratios))
        assert torch.allclose(told.watch["policy/ratio"][b][mask[b]], mean)
        assert torch.allclose(told.each[b][mask[b]], -adv[b][mask[b]] * mean)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_what_is_masked_is_never_seen(loss):
    logp, old, adv, mask = ragged()
    want = loss(logp, old, adv, mask).each[mask]
    got = loss(*(torch.where(mask, x, NAN) for x in (logp, old, adv)), mask).each[mask]
    assert torch.equal(got, want)


def test_a_mean_over_tokens_is_of_the_answer_alone():
    x, _, _, mask = ragged()
    for b in range(3):
        assert torch.allclose(mean_BT(x, mask)[b], x[b][mask[b]].mean())


# --- KL ---


@pytest.mark.parametrize("by", ["k1", "k3"])
def test_a_token_pays_for_what_comes_after_it(by):
    logp, ref, _, mask = ragged()
    price = RewardKL(0.3, by).charge(torch.where(mask, logp, NAN), ref, mask)
    k = getattr(divergence, by)(logp, ref)
    for b in range(3):
        at = mask[b].nonzero()[:, 0].tolist()
        for i, t in enumerate(at):
            assert float(price[b, t]) == pytest.approx(0.3 * float(k[b, at[i:]].sum()))
    assert not price[~mask].any()


def test_no_gradient_flows_through_a_price_or_a_weight():
    logp, ref, _, mask = ragged()
    logp.requires_grad_()
    assert not RewardKL().charge(logp, ref, mask).requires_grad
    assert not Truncated()(logp, ref, mask).requires_grad


@pytest.mark.parametrize("by", ["k2", "k3"])
def test_kl_in_the_loss_draws_towards_the_reference(by):
    """Its gradient is d for k2 and 1 - e⁻ᵈ for k3: both vanish at the reference, with d's sign."""
    logp, ref, _, _ = ragged()
    logp.requires_grad_()
    told = LossKL(2.0, by).add(Loss(torch.ones_like(ref)), logp, ref)
    (got,) = torch.autograd.grad(told.each.sum(), logp)
    d = (logp - ref).detach()
    assert torch.allclose(got, 2 * (d if by == "k2" else 1 - (-d).exp()))
    assert torch.allclose(told.each.detach() - 1, 2 * told.watch["policy/kl"])
    assert not told.watch["policy/kl"].requires_grad


def test_kl_in_the_reward_of_leave_one_out_is_the_gradient_of_both():
    """Of all answers of a small world, the estimate's mean is the gradient of E[r] - β KL exactly.

    With two independent answers and every pair weighed by its probability.
    """
    logits = noise(4).requires_grad_()
    ref, r, beta = noise(4, seed=5).log_softmax(0), noise(4, seed=6), 0.7
    logp = logits.log_softmax(0)
    aim = (logp.exp() * (r - beta * (logp - ref))).sum()
    (want,) = torch.autograd.grad(aim, logits, retain_graph=True)
    total = torch.zeros(())
    for i, j in itertools.product(range(4), repeat=2):
        pair = torch.tensor([i, j])
        lp = logp[pair][:, None]
        mask = torch.ones(2, 1, dtype=torch.bool)
        price = RewardKL(beta).charge(lp, ref[pair][:, None], mask)
        adv = LeaveOneOut()((r[pair] - price[:, 0])[None])[0][:, None]
        each = FREE(lp, lp.detach(), adv, mask).each
        total = total + (logp[i] + logp[j]).exp().detach() * each.mean()
    (got,) = torch.autograd.grad(-total, logits)
    assert torch.allclose(got, want, atol=1e-12)


# --- stale answers ---


def test_weights_are_cut_above_and_never_below():
    now, old, _, mask = ragged()
    weight = Truncated(1.5)(now, old, mask)
    assert torch.allclose(weight[mask], (now - old).exp().clamp(max=1.5)[mask])
    assert not weight[~mask].any()
    assert (weight[mask] < 0.2).any()
    assert (weight[mask] == 1.5).any()
    whole = Truncated(1.5, "sequence")(torch.where(mask, now, NAN), old, mask)
    for b in range(3):
        product = float((now - old)[b][mask[b]].sum().exp())
        assert torch.allclose(whole[b][mask[b]], torch.tensor(min(product, 1.5)).double())


def test_uncut_weights_make_stale_answers_unbiased():
    """E_μ[min(π/μ, ∞) f] = E_π[f], of a whole answer; of single tokens it is not."""
    mu, pi, f = noise(5).log_softmax(0), noise(5, seed=1).log_softmax(0), noise(5, seed=2)
    one = torch.ones(5, 1, dtype=torch.bool)
    weight = Truncated(1e9, "sequence")(pi[:, None], mu[:, None], one)[:, 0]
    assert float((mu.exp() * weight * f).sum()) == pytest.approx(float((pi.exp() * f).sum()))


@pytest.mark.parametrize(
    ("kind", "told", "says"),
    [
        (Surrogate, {"low": 0.0}, "above 0"),
        (Surrogate, {"high": -1.0}, "above 0"),
        (Surrogate, {"dual": 1.1}, "above 1 \\+ high"),
        (RewardKL, {"beta": -0.1}, "negative"),
        (LossKL, {"beta": -0.1}, "negative"),
        (Truncated, {"most": 0.5}, "at least 1"),
    ],
)
def test_odd_numbers_are_refused(kind, told, says):
    with pytest.raises(ValueError, match=says):
        kind(**told)
