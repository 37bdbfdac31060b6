"""DPO's family: by definition, by identity, by sign, by gradient, and at the extremes."""

import itertools
import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from accord.maths.answers import Alpha, ForwardKL, JensenShannon
from accord.maths.pairwise import (
    CDPO,
    DPO,
    EXO,
    IPO,
    NCA,
    RDPO,
    RPO,
    SPPO,
    APODown,
    APOZero,
    DiscoPOP,
    Hinge,
    NormDPO,
    PlackettLuce,
    RobustDPO,
)
from direct_fakes import NAN, PAIRED, answers, each, join, slope, some, take
from golden.make_golden import direct_pair, plackett_luce

quick = settings(max_examples=30, deadline=None, derandomize=True, database=None)
sums, ratios, counts = st.floats(-30, -0.5), st.floats(-4, 4), st.integers(1, 40)
BOTH = PAIRED | {"PlackettLuce": PlackettLuce()}
every = pytest.mark.parametrize("loss", [pytest.param(x, id=k) for k, x in BOTH.items()])


def one(loss, a):
    return float(each(loss, a))


def of_h(h, n=None):
    """A pair of this h, a winner's ratio of 0.3 and a loser's of 0.3 - h."""
    return answers([-9.7, -10 + 0.3 - h], [-10, -10], n=n)


# --- by definition ---


@quick
@given(sums, ratios, counts, sums, ratios, counts)
def test_every_loss_by_definition(pw, aw, nw, pl, al, nl):
    """The golden script knows the formulas as odds, on any numbers."""
    want = direct_pair(pw, pw - aw, nw, pl, pl - al, nl)
    for name, loss in PAIRED.items():
        got = one(loss, answers([pw, pl], [pw - aw, pl - al], n=[nw, nl]))
        assert got == pytest.approx(want[name], rel=1e-6, abs=1e-9), name


@pytest.mark.parametrize("beta", [0.05, 0.5])
def test_beta_and_the_other_knobs(beta):
    a, h, aw, al = answers([-9, -12], [-10, -12.5], n=[5, 8]), 0.5, 1.0, 0.5
    z = beta * h

    def ls(x):
        return math.log(1 / (1 + math.exp(-x)))

    def s(x):
        return 1 / (1 + math.exp(-x))

    m = s(z / 0.2)
    want = {
        DPO(beta): -ls(z),
        CDPO(beta, smooth=0.2): -0.8 * ls(z) - 0.2 * ls(-z),
        RobustDPO(beta, smooth=0.2): (-0.8 * ls(z) + 0.2 * ls(-z)) / 0.6,
        IPO(beta): (h - 0.5 / beta) ** 2,
        IPO(beta, "means"): (aw / 5 - al / 8 - 0.5 / beta) ** 2,
        Hinge(beta): max(0, 1 - z),
        NormDPO(beta): -ls(beta * (aw / 5 - al / 8)),
        RPO(beta, alpha=0.3): -ls(z) + 0.3 * 9 / 5,
        RDPO(beta, alpha=0.2): -ls(z + 0.2 * (5 - 8)),
        EXO(beta, smooth=0.01): s(z) * (ls(z) - math.log(0.99)) + s(-z) * (ls(-z) - math.log(0.01)),
        NCA(beta): -ls(beta * aw) - 0.5 * ls(-beta * aw) - 0.5 * ls(-beta * al),
        SPPO(beta): (aw - 0.5 / beta) ** 2 + (al + 0.5 / beta) ** 2,
        APOZero(beta): 1 - s(beta * aw) + s(beta * al),
        APODown(beta): s(beta * aw) + 1 - s(z),
        DiscoPOP(beta, tau=0.2): -ls(z) * (1 - m) + math.exp(-z) * m,
        PlackettLuce(beta): -ls(z),
    }
    for loss, number in want.items():
        assert one(loss, a) == pytest.approx(number), loss
        watch = loss(a).watch
        assert float(watch["rewards/chosen"]) == pytest.approx(beta * aw), loss
        assert float(watch["rewards/margins"]) == pytest.approx(beta * h), loss


@pytest.mark.parametrize("f", [ForwardKL(), JensenShannon(), Alpha(0.5)])
def test_a_divergence_makes_scores_of_ratios(f):
    """Whatever the loss: it is the loss of the scores, had they been the ratios."""
    a = answers([-9, -12], [-10, -12.5], n=[5, 8])
    scores_BK = f(a.a_BK)
    scored = a._replace(logp_BK=scores_BK, ref_BK=scores_BK * 0)
    losses = (DPO, CDPO, RobustDPO, IPO, Hinge, NormDPO, EXO, DiscoPOP)
    for kind, more in [*((k, {}) for k in losses), (IPO, {"lengths": "means"})]:
        assert one(kind(f=f, **more), a) == pytest.approx(one(kind(**more), scored)), kind
        rewards = kind(f=f, **more)(a).watch["rewards/chosen"]
        assert float(rewards) == pytest.approx(kind().beta * 1.0), "a reward is β log π/ρ"


# --- identities ---


@quick
@given(ratios, st.floats(0.01, 2))
def test_without_doubt_they_are_dpo(h, beta):
    a = of_h(h)
    want = one(DPO(beta), a)
    for loss in (CDPO(beta, smooth=0), RobustDPO(beta, smooth=0), PlackettLuce(beta)):
        assert one(loss, a) == pytest.approx(want)
    for loss in (RPO(beta, alpha=0), RDPO(beta, alpha=0)):
        assert one(loss, a) == pytest.approx(want)
    assert one(NormDPO(beta), of_h(h, n=[1, 1])) == pytest.approx(want)


def test_at_the_start_dpo_is_log_two():
    assert one(DPO(), of_h(0.0)) == pytest.approx(math.log(2))
    assert slope(DPO(0.3), of_h(0.0))[0].tolist() == pytest.approx([-0.15, 0.15])


def test_dpo_weighs_pairs_by_how_wrong_they_are():
    for h in (-5.0, 0.0, 5.0):
        weight = 0.3 / (1 + math.exp(0.3 * h))
        assert slope(DPO(0.3), of_h(h))[0].tolist() == pytest.approx([-weight, weight])


@pytest.mark.parametrize("smooth", [0.1, 0.3])
def test_cdpo_stops_where_it_is_as_sure_as_the_labels(smooth):
    h = math.log((1 - smooth) / smooth) / 0.2
    assert slope(CDPO(0.2, smooth), of_h(h))[0].tolist() == pytest.approx([0, 0], abs=1e-12)
    assert (
        slope(CDPO(0.2, smooth), of_h(h - 1))[0][0]
        < 0
        < slope(CDPO(0.2, smooth), of_h(h + 1))[0][0]
    )


@pytest.mark.parametrize("h", [-3.0, 0.2, 6.0])
def test_robust_dpo_is_unbiased(h):
    """Over labels of which a share is flipped, its mean is DPO on the true ones."""
    loss = RobustDPO(smooth=0.2)
    flipped = of_h(h)._replace(rank_BK=torch.tensor([[1, 0]]))
    mean = 0.8 * one(loss, of_h(h)) + 0.2 * one(loss, flipped)
    assert mean == pytest.approx(one(DPO(), of_h(h)))
    assert one(RobustDPO(smooth=0.4), of_h(60.0)) < 0


def test_ipo_asks_for_one_margin():
    for beta in (0.1, 0.5):
        assert one(IPO(beta), of_h(1 / (2 * beta))) == pytest.approx(0)
        assert slope(IPO(beta), of_h(1 / (2 * beta)))[0].tolist() == pytest.approx([0, 0])
        assert slope(IPO(beta), of_h(1 / (2 * beta) + 1))[0].tolist() == pytest.approx([2, -2])


def test_per_token_a_longer_answer_is_the_same_one_twice():
    for loss in (IPO(lengths="means"), NormDPO()):
        once = answers([-9, -12], [-10, -12.5], n=[5, 8])
        twice = answers([-18, -24], [-20, -25], n=[10, 16])
        assert one(loss, once) == pytest.approx(one(loss, twice))
    assert one(IPO(), once) != pytest.approx(one(IPO(), twice))


def test_hinge_learns_nothing_beyond_its_margin():
    assert one(Hinge(0.5), of_h(2.1)) == 0
    assert slope(Hinge(0.5), of_h(2.1))[0].tolist() == [0, 0]
    assert slope(Hinge(0.5), of_h(1.9))[0].tolist() == pytest.approx([-0.5, 0.5])


def test_exo_is_the_other_way_round():
    """Least, at 0, where σ(βh) = 1-ε; its gradient there is 0."""
    h = math.log(0.9 / 0.1) / 0.1
    assert one(EXO(smooth=0.1), of_h(h)) == pytest.approx(0, abs=1e-12)
    assert slope(EXO(smooth=0.1), of_h(h))[0].tolist() == pytest.approx([0, 0], abs=1e-12)


def test_sppo_wants_half_of_one_over_beta_each_way():
    assert one(SPPO(0.1), answers([-5, -15], [-10, -10])) == pytest.approx(0)


@pytest.mark.parametrize("p", [0.2, 0.7])
def test_soft_sppo_pulls_like_the_paper(p):
    """∇ of (a₁ - η(P-½))² + (a₂ + η(P-½))² with the P that was said."""
    a, eta = answers([-9, -12], [-10, -12.5], p=p), 10.0
    want = [2 * (1.0 - eta * (p - 0.5)), 2 * (0.5 + eta * (p - 0.5))]
    assert slope(SPPO(0.1), a)[0].tolist() == pytest.approx(want)


def test_a_longer_winner_teaches_less_where_length_has_a_price():
    short, long = (answers([-9, -12], [-10, -12.5], n=[n, 5]) for n in (5, 50))
    assert slope(RDPO(alpha=0.05), short)[0, 0] < slope(RDPO(alpha=0.05), long)[0, 0] < 0
    assert slope(RDPO(alpha=-0.05), short)[0, 0] > slope(RDPO(alpha=-0.05), long)[0, 0]


def test_discopop_is_logistic_on_the_left_and_exponential_on_the_right():
    for h, want in ((-60.0, math.log1p(math.exp(6))), (60.0, math.exp(-6))):
        assert one(DiscoPOP(), of_h(h)) == pytest.approx(want, rel=1e-6)


def test_soft_labels_of_dpo_are_a_cross_entropy():
    a = answers([-9, -12], [-10, -12.5], p=0.9)
    assert one(DPO(), a) == pytest.approx(one(CDPO(smooth=0.1), a._replace(p_first_B=None)))


# --- signs ---

UP = ["DPO", "DPO ForwardKL", "DPO JensenShannon", "DPO Alpha", "CDPO", "RobustDPO", "IPO"]
UP += ["IPO means", "Hinge", "NormDPO", "RPO", "RDPO", "EXO", "NCA", "SPPO", "APOZero"]


@pytest.mark.parametrize("name", [*UP, "PlackettLuce"])
def test_winners_rise_and_losers_fall(name):
    """Where the margin is still small: at the start, and when it is wrong."""
    for h in (0.0, -2.0):
        up, down = slope(BOTH[name], answers([-10 + h / 2, -10 - h / 2], [-10, -10]))[0].tolist()
        assert up < 0 < down


def test_apo_down_lets_both_fall_and_losers_more():
    up, down = slope(APODown(), answers([-10, -10], [-10, -10]))[0].tolist()
    assert down > 0
    assert up == pytest.approx(0), "at the start the winner is left where it is"
    up, down = slope(APODown(), answers([-8, -12], [-10, -10]))[0].tolist()
    assert up > 0
    assert down > up


def test_discopop_pulls_the_right_way_when_it_is_wrong():
    up, down = slope(DiscoPOP(), answers([-13, -10], [-10, -10]))[0].tolist()
    assert up < 0 < down


@pytest.mark.parametrize("name", ["NCA", "SPPO", "RPO"])
def test_some_keep_answers_likely(name):
    """Both lower by the same: DPO does not mind, these pull the two up together."""
    lower = answers([-14, -14], [-10, -10])
    assert float(slope(DPO(), lower).sum()) == pytest.approx(0)
    assert float(slope(PAIRED[name], lower).sum()) < -1e-3


# --- rankings ---


@quick
@given(st.lists(st.floats(-3, 3), min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_plackett_luce_by_definition(scores, random):
    rank = list(range(len(scores)))
    random.shuffle(rank)
    a = answers(scores, [0] * len(scores), rank=rank)
    assert one(PlackettLuce(1.0), a) == pytest.approx(plackett_luce(scores, rank), abs=1e-9)


def test_plackett_luce_is_a_distribution_over_orders():
    for K in (2, 3, 4):
        score = [0.3, -1.0, 2.0, 0.5][:K]
        losses = [
            one(PlackettLuce(1.0), answers(score, [0] * K, rank=list(order)))
            for order in itertools.permutations(range(K))
        ]
        assert sum(math.exp(-loss) for loss in losses) == pytest.approx(1)


def test_plackett_luce_with_ties():
    def pl(score, rank, **more):
        return one(PlackettLuce(1.0), answers(score, [0] * len(score), rank=rank, **more))

    assert pl([1.0, -1.0], [0, 0]) == pytest.approx((pl([1, -1], [0, 1]) + pl([1, -1], [1, 0])) / 2)
    e = [math.exp(x) for x in (1.0, -1.0, 0.5)]
    both = math.log(sum(e))
    assert pl([1.0, -1.0, 0.5], [0, 0, 1]) == pytest.approx(2 * both - 1.0 + 1.0)
    last = math.log(e[1] + e[2])
    assert pl([1.0, -1.0, 0.5], [0, 1, 1]) == pytest.approx(both - 1 + last - (-1 + 0.5) / 2)


@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1.0, NAN])
def test_plackett_luce_of_two_with_a_soft_label_is_dpo(p):
    a = answers([-9, -12], [-10, -12.5], rank=[1, 0], p=p)
    assert one(PlackettLuce(), a) == pytest.approx(one(DPO(), a))


# --- all ---


@every
def test_what_is_not_there_changes_nothing(loss):
    whole = answers([-9, -12], [-10, -12.5], n=[5, 8])
    for hole in range(3):
        logp, ref, n = [-9, -12], [-10, -12.5], [5, 8]
        rank = [0, 1]
        for xs, x in ((logp, None), (ref, None), (n, 0), (rank, -hole)):
            xs.insert(hole, x)
        a = answers(logp, ref, n, rank)
        assert one(loss, a) == pytest.approx(one(loss, whole))
        got = slope(loss, a)[0].tolist()
        assert got.pop(hole) == 0
        assert got == pytest.approx(slope(loss, whole)[0].tolist())


@every
def test_the_order_of_the_answers_does_not_matter(loss):
    a = some(B=1, K=3)
    for order in itertools.permutations(range(3)):
        moved = a._replace(
            **{k: getattr(a, k)[:, list(order)] for k in ("logp_BK", "ref_BK", "n_BK", "rank_BK")}
        )
        assert one(loss, moved) == pytest.approx(one(loss, a))


@every
def test_rows_do_not_mix(loss):
    """Whatever the cut into micro-batches, the sum is the same."""
    a = some(B=7, K=3)
    a = a._replace(p_first_B=torch.full((7,), NAN))
    together = each(loss, a)
    for cut in (1, 2, 5):
        index = torch.arange(7).split(cut)
        assert torch.allclose(torch.cat([each(loss, take(a, i)) for i in index]), together)
    watch = loss(a).watch
    parts = [loss(take(a, i)).watch for i in torch.arange(7).split(3)]
    for name, x in watch.items():
        assert torch.allclose(torch.cat([p[name] for p in parts]), x), name


@every
@pytest.mark.parametrize("K", [2, 3])
def test_the_gradient_is_the_slope(loss, K):
    a = some(B=3, K=K, seed=3)
    a = a._replace(p_first_B=torch.tensor([NAN, 0.3, NAN])) if K == 2 else a

    def total(logp_BK):
        return loss(a._replace(logp_BK=logp_BK)).each

    assert torch.autograd.gradcheck(total, a.logp_BK.clone().requires_grad_())


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extremes_are_finite(loss, dtype):
    far = [-1e4, -100.0, -1e-6, 0.0]
    rows = [
        answers([x, y], [r, s], n=[1, 1000], dtype=dtype)
        for x, y in itertools.product(far, far)
        for r, s in itertools.product((-1e4, 0.0), (-1e4, 0.0))
    ]
    a = join(*rows)
    assert each(loss, a).isfinite().all()
    assert slope(loss, a).isfinite().all()
    assert all(x.isfinite().all() for x in loss(a).watch.values())


@every
def test_the_reference_and_the_labels_get_no_say_beyond_their_own(loss):
    """Half precision of one model against another would be a bias: no dtype is mixed in."""
    a = some(dtype=torch.float32)
    told = loss(a)
    assert told.each.dtype == torch.float32
    assert {x.dtype for x in told.watch.values()} == {torch.float32}
    assert {x.shape for x in told.watch.values()} == {(6,)}


def test_knobs_that_cannot_be():
    for kind in {type(loss) for loss in BOTH.values()}:
        with pytest.raises(ValueError, match="beta"):
            kind(beta=0.0)
    for kind in (CDPO, RobustDPO, EXO):
        with pytest.raises(ValueError, match="smooth"):
            kind(smooth=0.5)
    with pytest.raises(ValueError, match="smooth"):
        EXO(smooth=0.0)
    with pytest.raises(ValueError, match="tau"):
        DiscoPOP(tau=0.0)


def test_what_they_need():
    for loss in PAIRED.values():
        assert (loss.pairs, loss.needs_reference) == ("pairs", True)
        assert (loss.needs_batch, loss.needs_mismatch, loss.width) == (False, False, 0)
    assert PlackettLuce().pairs == "rankings"


@quick
@given(ratios, ratios, st.floats(0, 1))
def test_a_soft_label_is_the_mean_of_the_hard_ones(aw, al, p):
    assume(abs(aw - al) > 1e-3)
    a = answers([-10 + aw, -10 + al], [-10, -10], n=[3, 5])
    other = a._replace(rank_BK=torch.tensor([[1, 0]]))
    soft = a._replace(p_first_B=torch.tensor([p], dtype=torch.float64))
    for loss in BOTH.values():
        want = p * one(loss, a) + (1 - p) * one(loss, other)
        assert one(loss, soft) == pytest.approx(want)
