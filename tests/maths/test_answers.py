"""Pairs of answers, their labels, and how log-ratios become scores."""

import math

import pytest
import torch

from accord.maths.answers import (
    Alpha,
    Direct,
    ForwardKL,
    JensenShannon,
    ReverseKL,
    above_0,
    doubt,
    duels,
    exp,
    log1mexp,
)
from direct_fakes import NAN, answers, some

SCORES = [ReverseKL(), ForwardKL(), JensenShannon(), Alpha(0.3), Alpha(1.0)]


def t(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def mean(a, of):
    """Of a number of each pair, as the row's mean."""
    d = duels(a)
    return float(d.mean(of(d)))


def gap(d):
    return d.win.logp_BN - d.lose.logp_BN


# --- pairs ---


def test_the_better_one_wins_wherever_it_stands():
    assert mean(answers([-1, -3], [0, 0], rank=[0, 1]), gap) == 2
    assert mean(answers([-1, -3], [0, 0], rank=[1, 0]), gap) == -2
    assert mean(answers([-1, -3], [0, 0], rank=[1, 0]), lambda d: d.win.logp_BN) == -3


def test_ratios_and_means_are_of_the_same_answer():
    a = answers([-1, -3], [-2, -5], n=[2, 3], rank=[1, 0])
    assert mean(a, lambda d: d.win.a_BN) == 2
    assert mean(a, lambda d: d.lose.a_BN) == 1
    assert mean(a, lambda d: d.h_BN()) == 1
    assert mean(a, lambda d: d.win.mean_BN) == -1
    assert mean(a, lambda d: d.lose.mean_BN) == -0.5
    assert mean(a, lambda d: d.h_BN(ForwardKL())) == pytest.approx(math.exp(-1) - math.exp(-2))


def test_a_ranking_is_all_its_pairs_with_the_same_weight():
    a = answers([-1, -3, -7], [0, 0, 0], rank=[1, 2, 0])
    assert mean(a, gap) == pytest.approx(((-7 + 1) + (-7 + 3) + (-1 + 3)) / 3)
    assert float(duels(a).weight_BN.sum()) == pytest.approx(1)


def test_ties_are_both_ways_round():
    a = answers([-1, -3], [0, 0], rank=[4, 4])
    assert mean(a, gap) == 0
    assert mean(a, lambda d: gap(d) ** 2) == 4


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_soft_labels_are_the_mean_over_hard_ones(p):
    a = answers([-1, -3], [0, 0], rank=[1, 0], p=p)
    assert mean(a, gap) == pytest.approx(2 * p - 2 * (1 - p))
    assert mean(a, lambda d: gap(d).exp()) == pytest.approx(p * math.e**2 + (1 - p) / math.e**2)


def test_an_unsaid_soft_label_leaves_it_to_the_places():
    assert mean(answers([-1, -3], [0, 0], rank=[1, 0], p=NAN), gap) == -2


def test_what_is_not_there_is_in_no_pair():
    whole = answers([-1, -3], [-2, -2], n=[2, 3])
    for a in (
        answers([None, -1, -3], [None, -2, -2], n=[0, 2, 3], rank=[0, 1, 2]),
        answers([-1, None, -3], [-2, None, -2], n=[2, 0, 3], rank=[0, 1, 2]),
    ):
        for of in (gap, lambda d: d.h_BN(), lambda d: d.win.mean_BN):
            assert mean(a, of) == mean(whole, of)
        assert [float(x) for x in duels(a).loss(gap(duels(a))).watch.values()] == pytest.approx(
            [float(x) for x in duels(whole).loss(gap(duels(whole))).watch.values()]
        )
    alone = answers([-1, None], [-2, None], n=[2, 0])
    assert mean(alone, lambda d: gap(d) + 1) == 0


def test_rows_of_one_answer_have_no_pair():
    with pytest.raises(ValueError, match="no pair"):
        duels(answers([-1], [-2]))


def test_no_gradient_goes_to_what_has_no_weight():
    logp_BK = t([-1.0, -3.0, NAN]).requires_grad_()
    a = answers([-1, -3, None], [0, 0, None])._replace(logp_BK=logp_BK)
    grad = torch.autograd.grad(duels(a).mean(gap(duels(a)).exp()).sum(), logp_BK)[0]
    assert grad[0].tolist() == pytest.approx([math.e**2, -(math.e**2), 0])


def watched(a, **more):
    d = duels(a)
    return {k: float(x) for k, x in d.loss(gap(d), **more).watch.items()}


def test_what_is_watched():
    a = answers([-1, -3], [-2, -7], n=[2, 4], rank=[0, 1])
    assert watched(a, beta=0.5) == {
        "rewards/chosen": 0.5,
        "rewards/rejected": 2.0,
        "rewards/accuracies": 0.0,
        "rewards/margins": -1.5,
        "logps/chosen": -1.0,
        "logps/rejected": -3.0,
    }
    for by, want in (("sum", (-0.5, -1.5)), ("mean", (-0.25, -0.375))):
        seen = watched(a, beta=0.5, by=by)
        assert (seen["rewards/chosen"], seen["rewards/rejected"]) == want
        assert seen["rewards/accuracies"] == 1


def test_at_the_start_nothing_is_preferred():
    """Policy and reference alike: rewards 0, and accuracy is neither 0 nor 1."""
    seen = watched(answers([-1, -3], [-1, -3]))
    assert seen["rewards/accuracies"] == 0.5
    assert seen["rewards/margins"] == 0


def test_accuracy_is_the_share_of_judges_agreed_with():
    assert watched(answers([-1, -3], [-2, -2], p=0.2))["rewards/accuracies"] == pytest.approx(0.2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_keep_their_dtype_and_only_the_loss_a_gradient(dtype):
    a = some(K=3, dtype=dtype)
    a = a._replace(logp_BK=a.logp_BK.requires_grad_(), p_first_B=torch.full((6,), NAN).double())
    d = duels(a)
    told = d.loss(d.h_BN())
    for name, x in {"each": told.each, **told.watch}.items():
        assert (x.shape, x.dtype, x.requires_grad) == ((6,), dtype, name == "each")


def test_good_answers():
    def good(*args, **more):
        return answers(*args, **more).good_BK()[0].tolist()

    assert good([-1, -2, -3], [0, 0, 0], rank=[1, 0, 0]) == [0, 1, 1]
    assert good([None, -2], [0, 0], rank=[0, 0]) == [0, 1]
    assert good([-1, -2], [0, 0], rank=[0, 1], p=0.25) == [0.25, 0.75]
    assert good([-1, -2], [0, 0], rank=[1, 0], p=NAN) == [0, 1]
    assert good([-1], [0], rank=[1], p=0.9) == [0.9]
    assert good([-1, -2, -3], [0, 0, 0], rank=[2, 1, 0], p=NAN) == [0, 0, 1]


def test_the_ratio_of_an_absent_answer_is_nothing():
    assert answers([-1, None], [-3, None]).a_BK[0].tolist() == [2, 0]


def test_a_loss_that_says_nothing_else_needs_pairs_and_a_reference():
    plain = Direct()
    assert (plain.pairs, plain.needs_reference, plain.needs_batch) == ("pairs", True, False)
    assert plain.columns(some()).shape == (6, 0)


# --- scores ---


@pytest.mark.parametrize("u", [0.01, 0.5, 1.0, 3.0, 50.0])
def test_scores_by_definition(u):
    a = t(u).log()
    want = [
        math.log(u),
        1 - 1 / u,
        math.log(2 * u / (1 + u)),
        (1 - u**-0.3) / 0.3,
        1 - 1 / u,
    ]
    for f, score in zip(SCORES, want):
        assert float(f(a)) == pytest.approx(score, abs=1e-12), f


@pytest.mark.parametrize("f", SCORES)
def test_scores_rise_with_the_ratio_from_0_at_1(f):
    a = torch.linspace(-40, 10, 201, dtype=torch.float64)
    score = f(a)
    assert (score.diff() > 0).all()
    assert float(f(t(0.0))) == pytest.approx(0, abs=1e-12)


def test_alpha_goes_from_reverse_to_forward():
    a = t(-1.0, 0.5, 2.0)
    assert torch.allclose(Alpha(1e-9)(a), a, atol=1e-7)
    assert torch.allclose(Alpha(1.0)(a), ForwardKL()(a))
    for alpha in (0.0, 1.1):
        with pytest.raises(ValueError, match="alpha"):
            Alpha(alpha)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("f", [*SCORES, exp])
def test_scores_are_finite_wherever_ratios_go(f, dtype):
    a = torch.tensor([-1e5, -1e3, -50.0, 0.0, 50.0, 1e3, 1e5], dtype=dtype).requires_grad_()
    score = f(a)
    (grad,) = torch.autograd.grad(score.sum(), a)
    assert score.isfinite().all()
    assert grad.isfinite().all()
    assert (grad >= 0).all()


def test_the_exponential_bends_into_its_tangent():
    x = t(-3.0, 1.0, 4.0)
    assert exp(x, bend=2.0)[:2].tolist() == pytest.approx(x.exp()[:2].tolist())
    assert float(exp(x, bend=2.0)[2]) == pytest.approx(math.exp(2) * 3)


@pytest.mark.parametrize("x", [-1e-15, -1e-9, -1e-3, -0.5, -0.7, -5.0, -40.0, -700.0])
def test_log1mexp_is_exact_near_0_and_far_away(x):
    exact = math.log(-math.expm1(x)) if x > -1 else math.log1p(-math.exp(x))
    y = t(x).requires_grad_()
    got = log1mexp(y)
    assert float(got.detach()) == pytest.approx(exact, rel=1e-12, abs=0)
    (grad,) = torch.autograd.grad(got.sum(), y)
    assert float(grad) == pytest.approx(-1 / math.expm1(-x) if x > -600 else 0, rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log1mexp_is_finite_at_0(dtype):
    x = torch.zeros(1, dtype=dtype, requires_grad=True)
    got = log1mexp(x)
    assert torch.isfinite(got)
    assert float(got.detach()) < -15
    assert torch.autograd.grad(got.sum(), x)[0].isfinite()


def test_knobs():
    above_0(beta=0.1)
    doubt(0.0)
    with pytest.raises(ValueError, match="beta must be above 0"):
        above_0(gamma=1.0, beta=0.0)
    for smooth in (-0.1, 0.5):
        with pytest.raises(ValueError, match="smooth"):
            doubt(smooth)
