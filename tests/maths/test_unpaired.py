"""KTO, BCO and AOT: by definition, by sign, and whatever the cut into micro-batches."""

import math

import pytest
import torch

from accord.maths.answers import Answered
from accord.maths.pairwise import CDPO, DPO
from accord.maths.unpaired import AOT, BCO, KTO, extra, others, settle
from direct_fakes import NAN, answers, each, join, ready, slope, some, take

LOSSES = {
    "KTO": KTO(beta=0.3, desirable=1.2, undesirable=0.8),
    "BCO": BCO(),
    "BCO without a shift": BCO(shift=False),
    "AOT": AOT(smooth=0.1),
    "AOT unpaired": AOT(paired=False, smooth=0.1),
}
every = pytest.mark.parametrize("loss", [pytest.param(x, id=k) for k, x in LOSSES.items()])


def t(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def sigma(x):
    return 1 / (1 + math.exp(-x))


def single(a, good, z=0.0):
    """One answer of this log-ratio."""
    row = answers([-10 + a], [-10], rank=[0 if good else 1])
    return row._replace(extra_BE=t([z]))


# --- KTO ---


@pytest.mark.parametrize("z", [0.0, 0.7])
@pytest.mark.parametrize("a", [-2.0, 0.0, 3.0])
def test_kto_by_definition(a, z):
    loss = KTO(beta=0.3, desirable=1.2, undesirable=0.8)
    assert float(loss(single(a, True, z)).each) == pytest.approx(1.2 * (1 - sigma(0.3 * (a - z))))
    assert float(loss(single(a, False, z)).each) == pytest.approx(0.8 * (1 - sigma(0.3 * (z - a))))


def test_kto_measures_from_the_mean_of_other_prompts_and_never_below_0():
    a, loss = some(B=3), KTO()
    assert loss.columns(a, t(0.5, -0.2, 0.9)).tolist() == [[pytest.approx(0.4)]] * 3
    assert loss.columns(a, t(0.5, -0.9)).tolist() == [[0.0]] * 3


def test_every_row_is_shown_the_answer_to_another_prompt():
    assert others("abcd") == [3, 0, 1, 2]
    assert others("aaba") == [2, 2, 1, 2]
    assert others(["x", "y"]) == [1, 0]
    for prompts in ("a", "aaa"):
        with pytest.raises(ValueError, match="other prompts"):
            others(prompts)


def test_kto_takes_no_gradient_through_its_point():
    mismatch_N = t(0.5, 0.3).requires_grad_()
    assert not KTO().columns(some(), mismatch_N).requires_grad


def test_kto_of_one_has_nothing_to_compare_with():
    for a, mismatch_N in ((some(B=1), t(0.5)), (some(B=2), None), (some(B=2), t())):
        with pytest.raises(ValueError, match="at least 2"):
            KTO().columns(a, mismatch_N)


def test_kto_lifts_the_good_and_sinks_the_bad_least_where_it_is_sure():
    def steep(a, good):
        row = single(a, good)
        logp_BK = row.logp_BK.requires_grad_()
        return float(
            torch.autograd.grad(KTO()(row._replace(logp_BK=logp_BK)).each.sum(), logp_BK)[0]
        )

    assert steep(0.0, True) == pytest.approx(-0.025)
    assert steep(0.0, False) == pytest.approx(0.025)
    assert -0.01 < steep(40.0, True) < 0
    assert -0.01 < steep(-40.0, True) < 0, "hopeless answers are left alone too"


# --- BCO ---


def test_bco_by_definition():
    loss = BCO(beta=0.3)
    assert float(loss(single(2.0, True, 0.1)).each) == pytest.approx(-math.log(sigma(0.6 - 0.1)))
    assert float(loss(single(2.0, False, 0.1)).each) == pytest.approx(-math.log(sigma(0.1 - 0.6)))


def test_bco_measures_from_between_good_and_bad():
    a = join(*(answers([-10 + x], [-10], rank=[r]) for x, r in ((1, 0), (3, 0), (-5, 1), (0.5, 0))))
    want = 0.3 * ((1 + 3 + 0.5) / 3 - 5) / 2
    assert BCO(beta=0.3).columns(a)[:, 0].tolist() == pytest.approx([want] * 4)
    assert BCO(shift=False).columns(a).tolist() == [[0.0]] * 4
    assert (BCO().needs_batch, BCO(shift=False).needs_batch) == (True, False)
    good = take(a, torch.tensor([0, 1]))
    assert BCO(beta=0.3).columns(good)[:, 0].tolist() == pytest.approx([0.3 * 2 / 2] * 2)


def test_a_pair_is_its_two_answers():
    for loss in (KTO(beta=0.3, undesirable=1.3), BCO(shift=False)):
        pair = answers([-9, -12], [-10, -12.5])
        alone = [answers([-9], [-10], rank=[0]), answers([-12], [-12.5], rank=[1])]
        z = t([0.2])
        got = loss(pair._replace(extra_BE=z)).each
        parts = [float(loss(a._replace(extra_BE=z)).each) for a in alone]
        assert float(got) == pytest.approx(sum(parts) / 2)


def test_soft_labels_are_partly_good():
    for loss in (KTO(), BCO()):
        for p in (0.0, 0.3, 1.0):
            row = single(1.5, True, 0.2)._replace(p_first_B=t(p))
            good, bad = (float(loss(single(1.5, g, 0.2)).each) for g in (True, False))
            assert float(loss(row).each) == pytest.approx(p * good + (1 - p) * bad)


def test_columns_that_were_forgotten():
    for loss in LOSSES.values():
        with pytest.raises(ValueError, match="columns"):
            loss(some())
    with pytest.raises(ValueError, match="columns"):
        extra(some()._replace(extra_BE=torch.zeros(6, 3)), 2)


# --- AOT ---


def sorted_loss(u, v, beta=0.1, smooth=0.0):
    return sum(
        -(1 - smooth) * math.log(sigma(beta * (x - y))) - smooth * math.log(sigma(beta * (y - x)))
        for x, y in zip(sorted(u), sorted(v))
    )


@pytest.mark.parametrize("smooth", [0.0, 0.2])
@pytest.mark.parametrize("paired", [True, False])
def test_aot_by_definition(paired, smooth):
    a = some(B=9, near=3)
    (w, x), (r, s) = a.logp_BK.T.tolist(), a.ref_BK.T.tolist()
    if paired:
        u, v = [i - j for i, j in zip(w, x)], [i - j for i, j in zip(r, s)]
    else:
        u, v = [i - j for i, j in zip(w, r)], [i - j for i, j in zip(x, s)]
    got = float(each(AOT(0.2, paired, smooth), a).sum())
    assert got == pytest.approx(sorted_loss(u, v, 0.2, smooth))


def test_aot_alone_is_dpo():
    a = answers([-9, -12], [-10, -12.5])
    for paired in (True, False):
        assert float(each(AOT(paired=paired), a)) == pytest.approx(float(DPO()(a).each))
        smooth = AOT(paired=paired, smooth=0.1)
        assert float(each(smooth, a)) == pytest.approx(float(CDPO()(a).each))
        assert torch.allclose(slope(AOT(paired=paired), a), slope(DPO(), a))


def test_aot_knows_the_better_one_wherever_it_stands():
    a = some(B=5)
    turned = a._replace(
        **{k: getattr(a, k).flip(1) for k in ("logp_BK", "ref_BK", "n_BK", "rank_BK")}
    )
    soft = a._replace(p_first_B=torch.full((5,), 0.9))
    for paired in (True, False):
        loss = AOT(paired=paired)
        for other in (turned, soft):
            assert torch.allclose(each(loss, a), each(loss, other))
        assert torch.allclose(slope(loss, a), slope(loss, turned).flip(1))


def test_aot_leaves_out_ties_and_holes():
    a = some(B=5)
    rows = [take(a, slice(b, b + 1)) for b in range(5)]
    odd = [
        answers([-1, -2], [-3, -9], rank=[0, 0]),
        answers([-1, None], [-3, None]),
        answers([-1, -2], [-3, -9], p=0.5)._replace(p_first_B=None, rank_BK=torch.tensor([[1, 1]])),
    ]
    for paired in (True, False):
        loss = AOT(paired=paired)
        mixed = each(loss, join(*rows[:2], *odd, *rows[2:]))
        assert torch.allclose(mixed[[0, 1, 5, 6, 7]], each(loss, a))
        assert mixed[2:5].tolist() == [0, 0, 0]


def test_aot_takes_pairs_only():
    with pytest.raises(ValueError, match="two answers"):
        AOT().columns(some(K=3))


# --- all ---


@every
@pytest.mark.parametrize("cut", [1, 2, 4])
def test_no_cut_into_micro_batches_changes_anything(loss, cut):
    a = ready(loss, some(B=9, near=3))
    whole, whole_slope = loss(a), slope(loss, a)
    parts = [take(a, index) for index in torch.arange(9).split(cut)]
    assert torch.allclose(torch.cat([loss(few).each for few in parts]), whole.each)
    for name, x in whole.watch.items():
        assert torch.allclose(torch.cat([loss(few).watch[name] for few in parts]), x), name
    slopes = []
    for few in parts:
        logp_BK = few.logp_BK.detach().requires_grad_()
        total = loss(few._replace(logp_BK=logp_BK)).each.sum()
        slopes.append(torch.autograd.grad(total, logp_BK)[0])
    assert torch.allclose(torch.cat(slopes), whole_slope)


@every
def test_the_gradient_is_the_slope_of_the_whole_batch(loss):
    """Columns made anew at each point, but what is said to have no gradient: z and δ stay."""
    a = ready(loss, some(B=6, near=3))

    def total(logp_BK):
        moved = a._replace(logp_BK=logp_BK)
        if isinstance(loss, AOT):
            moved = moved._replace(extra_BE=loss.columns(moved))
        return loss(moved).each.sum()

    assert torch.autograd.gradcheck(total, a.logp_BK.clone().requires_grad_())


@every
def test_the_better_rises(loss):
    a = answers([-10, -10], [-10, -10])
    up, down = slope(loss, a)[0].tolist()
    assert up < 0 < down


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extremes_are_finite(loss, dtype):
    far = [-1e4, -50.0, 0.0]
    a = join(*(answers([x, y], [r, -5], dtype=dtype) for x in far for y in far for r in far))
    told = loss(ready(loss, a))
    assert told.each.isfinite().all()
    assert slope(loss, a).isfinite().all()
    assert all(x.isfinite().all() for x in told.watch.values())


@every
def test_one_number_a_row_and_only_the_loss_has_a_gradient(loss):
    a = some(B=4, dtype=torch.float32)
    a = ready(loss, a._replace(p_first_B=torch.full((4,), NAN)))
    told = loss(a._replace(logp_BK=a.logp_BK.requires_grad_()))
    for name, x in {"each": told.each, **told.watch}.items():
        assert (x.shape, x.dtype, x.requires_grad) == ((4,), torch.float32, name == "each"), name


@pytest.mark.parametrize("name", ["KTO", "BCO"])
def test_what_is_not_there_changes_nothing(name):
    loss = LOSSES[name]
    whole = ready(loss, answers([-9, -12], [-10, -12.5]))
    hole = answers([-9, None, -12], [-10, None, -12.5], rank=[0, 0, 1])
    hole = hole._replace(extra_BE=whole.extra_BE)
    assert float(loss(hole).each) == pytest.approx(float(loss(whole).each))
    for key, x in loss(whole).watch.items():
        assert float(loss(hole).watch[key]) == pytest.approx(float(x)), key
    assert loss.width == 1
    if name == "BCO":
        assert torch.allclose(loss.columns(hole), whole.extra_BE)


@pytest.mark.parametrize("name", ["KTO", "BCO"])
def test_every_row_is_the_mean_of_its_own_answers(name):
    rows = [
        answers([-9, -12, -8], [-10, -12.5, -6]),
        answers([-9, None, None], [-10, None, None]),
        answers([None, -3, -5], [None, -4, -5], rank=[0, 0, 0]),
    ]
    loss = LOSSES[name]
    z = t([0.3])
    apart = [float(loss(a._replace(extra_BE=z)).each) for a in rows]
    together = loss(join(*rows)._replace(extra_BE=z.expand(3, 1))).each
    assert together.tolist() == pytest.approx(apart)


def test_what_is_watched_of_good_and_bad_apart():
    rows = [single(1.0, True, 0.5), single(4.0, True, 0.5), single(-2.0, False, 0.5)]
    told = KTO(beta=0.1)(join(*rows, single(3.0, False, 0.5)))
    seen = settle({k: float(x.mean()) for k, x in told.watch.items()})
    assert seen == pytest.approx(
        {
            "share/chosen": 0.5,
            "rewards/chosen": 0.25,
            "rewards/rejected": 0.05,
            "rewards/margins": 0.2,
            "rewards/accuracies": 0.75,
            "logps/chosen": -7.5,
            "logps/rejected": -9.5,
            "kl": 0.5,
        }
    )


def test_of_none_there_is_no_mean():
    told = BCO()(join(single(1.0, True), single(4.0, True)))
    seen = settle({k: float(x.mean()) for k, x in told.watch.items()})
    assert "rewards/rejected" not in seen
    assert "rewards/margins" not in seen
    assert seen["rewards/chosen"] == pytest.approx(0.25)
    pairs = {"rewards/chosen": 0.3, "loss": 1.0}
    assert settle(pairs) == pairs


def test_bco_says_where_it_measures_from():
    a = join(single(1.0, True), single(-3.0, False))
    a = a._replace(extra_BE=t([0.4], [0.4]))
    told = BCO(beta=1.0)(a)
    assert told.watch["shift"].tolist() == [0.4, 0.4]
    assert told.watch["rewards/accuracies"].tolist() == [1, 1]
    assert BCO(beta=1.0)(single(0.3, True, 0.4)).watch["rewards/accuracies"].tolist() == [0]


def test_knobs_and_needs():
    for kind in (KTO, BCO, AOT):
        with pytest.raises(ValueError, match="beta"):
            kind(beta=-1.0)
    for knob in ("desirable", "undesirable"):
        with pytest.raises(ValueError, match=knob):
            KTO(**{knob: 0.0})
    with pytest.raises(ValueError, match="smooth"):
        AOT(smooth=0.5)
    told = [(x.pairs, x.needs_batch, x.needs_mismatch) for x in (KTO(), BCO(), AOT())]
    assert told == [("unpaired", False, True), ("unpaired", True, False), ("pairs", True, False)]
    assert isinstance(some(), Answered)
