"""Losses without a reference, and mixtures."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.config import Settings, read
from accord.maths.direct import CPO, NLL, ORPO, Mixture, SimPO, Single
from accord.maths.pairwise import DPO, IPO, PlackettLuce
from accord.maths.unpaired import AOT, BCO, KTO
from direct_fakes import ALONE, EVERY, NAN, answers, each, join, ready, slope, some, take
from golden.make_golden import direct_pair

quick = settings(max_examples=30, deadline=None, derandomize=True, database=None)
sums, counts = st.floats(-30, -0.5), st.integers(1, 40)
alone = pytest.mark.parametrize("loss", [pytest.param(x, id=k) for k, x in ALONE.items()])
every = pytest.mark.parametrize("loss", [pytest.param(x, id=k) for k, x in EVERY.items()])


def one(loss, a):
    return float(each(loss, a))


def without(logp, n, **more):
    """Answers whose reference is not a number."""
    return answers(logp, [NAN] * len(logp), n, **more)


# --- by definition ---


@quick
@given(sums, counts, sums, counts)
def test_by_definition(pw, nw, pl, nl):
    want = direct_pair(pw, pw, nw, pl, pl, nl)
    for name, loss in (ALONE | {"NLL": NLL()}).items():
        assert one(loss, without([pw, pl], [nw, nl])) == pytest.approx(want[name], rel=1e-6), name


def test_their_knobs():
    a = without([-9, -12], [5, 8])

    def ls(x):
        return math.log(1 / (1 + math.exp(-x)))

    w, x = math.exp(-9 / 5), math.exp(-12 / 8)
    odds = math.log(w / (1 - w)) - math.log(x / (1 - x))
    want = {
        ORPO(lam=0.5): (9 / 5 - 0.5 * ls(odds), 0.5 * -9 / 5),
        SimPO(beta=1.5, gamma=0.4): (-ls(1.5 * (-9 / 5 + 12 / 8) - 0.4), 1.5 * -9 / 5),
        SimPO(beta=1.5, gamma=0.0): (-ls(1.5 * (-9 / 5 + 12 / 8)), 1.5 * -9 / 5),
        CPO(beta=0.3, alpha=0.2): (-ls(0.3 * 3) + 0.2 * 9, 0.3 * -9),
        CPO(beta=0.3, alpha=0.2, lengths="means"): (-ls(0.3 * 3) + 0.2 * 9 / 5, 0.3 * -9),
    }
    for loss, (number, reward) in want.items():
        assert one(loss, a) == pytest.approx(number), loss
        assert float(loss(a).watch["rewards/chosen"]) == pytest.approx(reward), loss


def test_cpo_without_imitation_is_dpo_against_nothing():
    a = answers([-9, -12], [0, 0])
    assert one(CPO(alpha=0.0), a) == pytest.approx(one(DPO(), a))


def test_simpo_learns_until_the_margin_is_there():
    """Half of the full pull where the margin is just reached."""
    a = without([-4.0, -8.0], [4, 4])
    assert slope(SimPO(2.0, 2.0), a)[0].tolist() == pytest.approx([-0.25, 0.25])


def test_orpo_near_certainty():
    """Tokens of probability 1 - 1e-9: odds of a thousand million, and no cancellation."""
    got = one(ORPO(lam=1.0), without([-1e-9, -2e-9], [1, 1]))
    assert got == pytest.approx(1e-9 + math.log(1.5), rel=1e-6)


@alone
def test_winners_rise_and_losers_fall(loss):
    up, down = slope(loss, without([-8.0, -8.0], [6, 6]))[0].tolist()
    assert up < 0 < down


# --- imitation ---


def test_nll_imitates_the_good_alone():
    assert one(NLL(), without([-9, -12], [5, 8], rank=[1, 0])) == pytest.approx(1.5)
    assert one(NLL(), without([-9, -12], [5, 8], rank=[0, 0])) == pytest.approx((1.8 + 1.5) / 2)
    assert one(NLL(), without([-9], [5], rank=[1])) == 0
    assert one(NLL(), without([None, -12], [0, 8], rank=[0, 0])) == pytest.approx(1.5)
    soft = one(NLL(), without([-9, -12], [5, 8], p=0.3))
    assert soft == pytest.approx(0.3 * 1.8 + 0.7 * 1.5)
    assert slope(NLL(), without([-9, -12], [5, 8]))[0].tolist() == pytest.approx([-0.2, 0])


# --- mixtures ---

MPO = Mixture((DPO(0.2), BCO(0.3), NLL()), (0.8, 0.2, 1.0))


def test_a_mixture_is_the_sum_of_its_parts():
    for loss in (MPO, EVERY["Mixture"], Mixture((KTO(), AOT(paired=False)), (0.5, 2.0))):
        a = some()
        want = sum(w * each(x, a) for w, x in zip(loss.weights, loss.losses))
        assert torch.allclose(each(loss, a), want)
        want = sum(w * slope(x, a) for w, x in zip(loss.weights, loss.losses))
        assert torch.allclose(slope(loss, a), want)


def test_a_mixture_needs_what_its_parts_need():
    def needs(*losses):
        m = Mixture(losses, (1.0,) * len(losses))
        return m.pairs, m.needs_reference, m.needs_batch, m.needs_mismatch, m.width

    assert needs(SimPO(), NLL()) == ("pairs", False, False, False, 0)
    assert needs(NLL(), KTO()) == ("unpaired", True, False, True, 1)
    assert needs(BCO(), AOT(), SimPO()) == ("pairs", True, True, False, 3)
    assert needs(PlackettLuce(), NLL()) == ("rankings", True, False, False, 0)


def test_a_mixture_tells_one_story_of_rewards():
    """Never the rewards of one with the logs of another, or shares that belong to neither."""
    a = ready(MPO, some())
    seen = MPO(a).watch
    for name, x in DPO(0.2)(a).watch.items():
        assert torch.equal(seen[name], x)
    assert "share/chosen" not in seen
    assert {"shift", "loss/nll"} <= seen.keys()
    turned = Mixture((NLL(), BCO(), DPO()), (1.0, 1.0, 1.0))
    assert torch.equal(turned(a).watch["share/chosen"], BCO()(a).watch["share/chosen"])
    assert "rewards/margins" not in turned(a).watch


def test_a_mixture_without_columns():
    with pytest.raises(ValueError, match="columns"):
        MPO(some())
    a = some()
    plain = Mixture((DPO(), IPO()), (1.0, 0.5))
    assert torch.allclose(plain(a).each, DPO()(a).each + 0.5 * IPO()(a).each)


def test_mixtures_that_cannot_be():
    for losses, weights in (((DPO(),), (1.0, 1.0)), ((), ()), ((DPO(), NLL()), (1.0, 0.0))):
        with pytest.raises(ValueError, match="weight"):
            Mixture(losses, weights)


# --- all losses ---


def test_dpo_rests_at_the_known_optimum():
    """π* ∝ ρ e^(r/β) of three answers, judged in all pairs by people who know r (Rafailov 2023)."""
    rho, r = torch.tensor([[0.7, 0.2, 0.1], [0.0, 1.0, 2.0]], dtype=torch.float64)
    star = (rho.log() + r / 0.5).log_softmax(0)
    pairs = ((0, 1), (0, 2), (1, 2))
    rows = [
        answers(star[[i, j]], rho.log()[[i, j]], p=float((r[i] - r[j]).sigmoid())) for i, j in pairs
    ]
    assert torch.allclose(slope(DPO(0.5), join(*rows)), torch.zeros(3, 2).double(), atol=1e-12)
    assert slope(DPO(0.4), join(*rows)).abs().max() > 0.01


def test_every_loss_is_tried():
    kinds = {type(loss) for loss in EVERY.values()}
    assert kinds == {*Single.__args__, Mixture}


@every
def test_no_cut_into_micro_batches_changes_anything(loss):
    a = ready(loss, some(B=7, near=2))
    parts = [take(a, index) for index in torch.arange(7).split(3)]
    assert torch.allclose(torch.cat([loss(few).each for few in parts]), loss(a).each)
    got = []
    for few in parts:
        logp_BK = few.logp_BK.detach().requires_grad_()
        few = few._replace(logp_BK=logp_BK)
        got.append(torch.autograd.grad(loss(few).each.sum(), logp_BK)[0])
    assert torch.allclose(torch.cat(got), slope(loss, a))


@every
def test_rows_may_stand_in_any_order(loss):
    a, order = some(B=7, near=2), torch.tensor([3, 0, 6, 1, 5, 2, 4])
    assert torch.allclose(each(loss, take(a, order)), each(loss, a)[order])


@alone
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extremes_are_finite(loss, dtype):
    far = [-1e4, -50.0, -1e-9, 0.0]
    a = join(*(without([x, y], [1, 300], dtype=dtype) for x in far for y in far))
    told = loss(a)
    assert told.each.isfinite().all()
    assert slope(loss, a).isfinite().all()
    assert all(x.isfinite().all() for x in told.watch.values())


@alone
def test_the_gradient_is_the_slope(loss):
    a = some(B=3, K=3)

    def total(logp_BK):
        return loss(a._replace(logp_BK=logp_BK)).each

    assert torch.autograd.gradcheck(total, a.logp_BK.clone().requires_grad_())


def test_which_need_a_reference():
    free = {k for k, loss in EVERY.items() if not loss.needs_reference}
    assert free == {*ALONE, "NLL"}


def test_every_loss_looks_at_a_reference_or_says_that_it_does_not():
    a = some(B=4)
    moved = a._replace(ref_BK=a.ref_BK + torch.tensor([[0.7, -0.4]], dtype=torch.float64))
    for name, loss in EVERY.items():
        same = torch.allclose(each(loss, a), each(loss, moved))
        assert same != loss.needs_reference, name


class Has(Settings):
    """Settings with a loss."""

    loss: Single = DPO()
    """what is minimised"""


def test_they_can_be_said_in_words():
    words = ["loss=ipo", "loss.lengths=means", "loss.f=Alpha", "loss.f.alpha=0.3"]
    loss = read(Has, words=words).loss
    assert isinstance(loss, IPO)
    assert (loss.lengths, loss.f.alpha) == ("means", 0.3)


def test_knobs_that_cannot_be():
    for kind, knob in ((ORPO, "lam"), (SimPO, "beta"), (CPO, "beta")):
        with pytest.raises(ValueError, match=knob):
            kind(**{knob: 0.0})
    with pytest.raises(ValueError, match="gamma"):
        SimPO(gamma=-1.0)
