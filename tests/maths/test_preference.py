"""Losses of comparisons: by definition, by gradient, and blind to everything that is not there."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.maths.preference import BestOfK, BradleyTerry, Compared, Davidson, RaoKupper

NAN = float("nan")
quick = settings(max_examples=50, deadline=None, derandomize=True, database=None)
scores = st.floats(-4, 4)
rankings = st.lists(st.tuples(scores, st.integers(0, 3)), min_size=2, max_size=5)
LOSSES = [BradleyTerry(), BradleyTerry(margin=True, centre=0.1), BestOfK(), Davidson(nu=0.7)]
LOSSES += [BradleyTerry(smooth=0.2), RaoKupper(theta=1.7)]


def row(score, rank, strength=NAN, p=NAN, grad=False):
    """One comparison; a score of None is an answer that is not there."""
    there = [s is not None for s in score]
    score_K = torch.tensor([s if s is not None else NAN for s in score], dtype=torch.float64)
    return Compared(
        score_K[None].requires_grad_(grad),
        torch.tensor([there]),
        torch.tensor([rank]),
        torch.tensor([strength], dtype=torch.float64),
        torch.tensor([p], dtype=torch.float64),
    )


def each(loss, *args, **more):
    return float(loss(row(*args, **more)).each)


def slope(loss, *args, **more):
    c = row(*args, **more, grad=True)
    return torch.autograd.grad(loss(c).each.sum(), c.score_BK)[0][0].tolist()


def watched(*args, loss=LOSSES[0], **more):
    watch = loss(row(*args, **more)).watch
    return float(watch["rewards/accuracies"]), float(watch["rewards/margins"])


def sigma(z):
    return 1 / (1 + math.exp(-z))


# --- Bradley-Terry ---


@quick
@given(rankings)
def test_bradley_terry_is_the_mean_over_all_pairs(ranked):
    losses = []
    for (s, a), (t, b) in itertools.combinations(ranked, 2):
        if a == b:
            losses.append(-0.5 * math.log(sigma(s - t)) - 0.5 * math.log(sigma(t - s)))
        else:
            losses.append(-math.log(sigma(s - t) if a < b else sigma(t - s)))
    assert each(BradleyTerry(), *zip(*ranked)) == pytest.approx(sum(losses) / len(losses))


def test_equal_scores_cost_log_two():
    for rank in ([0, 1], [1, 0], [0, 0]):
        assert each(BradleyTerry(), [3.0, 3.0], rank) == pytest.approx(math.log(2))


def test_bradley_terry_pulls_the_better_up_and_stops_when_it_is_sure():
    assert slope(BradleyTerry(), [0.0, 1.0], [0, 1]) == pytest.approx([-sigma(1), sigma(1)])
    assert slope(BradleyTerry(), [0.0, 1.0], [1, 0]) == pytest.approx([sigma(-1), -sigma(-1)])
    assert slope(BradleyTerry(), [40.0, 0.0], [0, 1]) == pytest.approx([0, 0])


def test_a_tie_pulls_together():
    down, up = slope(BradleyTerry(), [1.0, 0.0], [0, 0])
    assert down == -up == pytest.approx(sigma(1) - 0.5)
    assert slope(BradleyTerry(), [1.0, 1.0], [0, 0]) == [0, 0]


@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_a_soft_label_is_a_cross_entropy_least_at_its_own_odds(p):
    want = -p * math.log(sigma(0.8)) - (1 - p) * math.log(sigma(-0.8))
    assert each(BradleyTerry(), [1.0, 0.2], [1, 0], p=p) == pytest.approx(want)
    if 0 < p < 1:
        odds = math.log(p / (1 - p))
        assert slope(BradleyTerry(), [odds, 0.0], [0, 1], p=p) == pytest.approx([0, 0], abs=1e-12)


def test_certain_soft_labels_are_hard_ones_and_half_is_a_tie():
    for p, rank in ((1.0, [0, 1]), (0.0, [1, 0]), (0.5, [0, 0])):
        for loss in (BradleyTerry(margin=True), BestOfK()):
            soft = each(loss, [0.4, -0.7], [0, 1], p=p, strength=1.3)
            assert soft == pytest.approx(each(loss, [0.4, -0.7], rank, strength=1.3))


def test_the_margin_is_asked_for_where_it_was_said():
    asks = BradleyTerry(margin=True)
    for rank, gap in (([0, 1], 0.5), ([1, 0], -0.5)):
        want = -math.log(sigma(gap - 2))
        assert each(asks, [0.5, 0.0], rank, strength=2.0) == pytest.approx(want)
        plain = each(BradleyTerry(), [0.5, 0.0], rank)
        assert each(asks, [0.5, 0.0], rank) == pytest.approx(plain)
        assert each(BradleyTerry(), [0.5, 0.0], rank, strength=2.0) == pytest.approx(plain)
    tie = each(BradleyTerry(), [0.5, 0.0], [0, 0])
    assert each(asks, [0.5, 0.0], [0, 0], strength=2.0) == pytest.approx(tie)


def test_centring_prices_the_sum():
    for score in ([1.0, 2.0], [-1.0, 1.0]):
        extra = each(BradleyTerry(centre=0.1), score, [0, 1]) - each(BradleyTerry(), score, [0, 1])
        assert extra == pytest.approx(0.1 * sum(score) ** 2)
    assert each(BradleyTerry(centre=0.1), [1.0, 2.0, 4.0], [0, 0, 0]) - each(
        BradleyTerry(), [1.0, 2.0, 4.0], [0, 0, 0]
    ) == pytest.approx(0.1 * (9 + 25 + 36) / 3)


def test_without_centring_only_differences_count():
    for loss in (BradleyTerry(), BestOfK(), Davidson(), RaoKupper()):
        score, rank = [0.3, -1.0, 2.0], [1, 0, 1]
        moved = each(loss, [s + 5 for s in score], rank)
        assert moved == pytest.approx(each(loss, score, rank))
        assert sum(slope(loss, score, rank)) == pytest.approx(0, abs=1e-12)


# --- best of k ---


@quick
@given(st.lists(scores, min_size=2, max_size=6), st.data())
def test_best_of_k_is_the_softmax_of_the_best(score, data):
    best = data.draw(st.integers(0, len(score) - 1))
    rank = [int(k != best) for k in range(len(score))]
    p = [math.exp(s) / sum(map(math.exp, score)) for s in score]
    assert each(BestOfK(), score, rank) == pytest.approx(-math.log(p[best]))
    want = [p_k - (k == best) for k, p_k in enumerate(p)]
    assert slope(BestOfK(), score, rank) == pytest.approx(want, abs=1e-9)


def test_those_who_share_the_first_place_share_the_target():
    score, rank = [0.3, -1.0, 2.0], [0, 1, 0]
    halves = each(BestOfK(), score, [0, 1, 1]) + each(BestOfK(), score, [1, 1, 0])
    assert each(BestOfK(), score, rank) == pytest.approx(halves / 2)


def test_best_of_k_ignores_the_order_of_the_others():
    score = [0.3, -1.0, 2.0, 0.1]
    assert each(BestOfK(), score, [0, 1, 2, 3]) == each(BestOfK(), score, [0, 3, 1, 1])


@quick
@given(scores, scores, st.integers(0, 1), st.integers(0, 1))
def test_of_two_best_of_k_is_bradley_terry(s, t, a, b):
    assert each(BestOfK(), [s, t], [a, b]) == pytest.approx(each(BradleyTerry(), [s, t], [a, b]))


# --- ties ---


@quick
@given(scores, scores, st.floats(0.01, 5))
def test_davidson_by_definition(s, t, nu):
    a, b = math.exp(s), math.exp(t)
    total = a + b + nu * math.sqrt(a * b)
    for rank, part in (([0, 1], a), ([1, 0], b), ([2, 2], nu * math.sqrt(a * b))):
        want = -math.log(part / total)
        assert each(Davidson(nu), [s, t], rank) == pytest.approx(want, abs=1e-9)


def test_davidson_is_a_distribution_and_equals_tie_in_nu_of_nu_plus_two():
    for nu in (0.5, 1.0, 3.0):
        losses = [each(Davidson(nu), [0.4, 1.0], rank) for rank in ([0, 1], [1, 0], [0, 0])]
        assert sum(math.exp(-loss) for loss in losses) == pytest.approx(1)
        assert math.exp(-each(Davidson(nu), [1.0, 1.0], [0, 0])) == pytest.approx(nu / (nu + 2))


def test_where_nobody_says_equal_davidson_is_bradley_terry():
    got = each(Davidson(1e-12), [0.4, 1.0, -2.0], [2, 0, 1])
    assert got == pytest.approx(each(BradleyTerry(), [0.4, 1.0, -2.0], [2, 0, 1]))


def test_davidson_with_a_soft_label_takes_both_sides():
    first, second = (each(Davidson(), [0.4, 1.0], rank) for rank in ([0, 1], [1, 0]))
    for p in (0.0, 0.3, 0.5, 1.0):
        for rank in ([0, 1], [0, 0]):
            got = each(Davidson(), [0.4, 1.0], rank, p=p)
            assert got == pytest.approx(p * first + (1 - p) * second)


@quick
@given(scores, scores, st.floats(1.01, 5))
def test_rao_kupper_by_definition(s, t, theta):
    a, b = math.exp(s), math.exp(t)
    first, second = a / (a + theta * b), b / (b + theta * a)
    tie = (theta**2 - 1) * a * b / ((a + theta * b) * (theta * a + b))
    assert first + second + tie == pytest.approx(1)
    for rank, part in (([0, 1], first), ([1, 0], second), ([2, 2], tie)):
        assert each(RaoKupper(theta), [s, t], rank) == pytest.approx(-math.log(part), abs=1e-9)


def test_rao_kupper_pulls_ties_together_and_winners_apart():
    down, up = slope(RaoKupper(), [1.0, 0.0], [0, 0])
    assert down == pytest.approx(-up)
    assert down > 0, "the higher of two equals comes down"
    better, worse = slope(RaoKupper(), [0.0, 1.0], [0, 1])
    assert better == pytest.approx(-worse)
    assert better < 0
    near = each(RaoKupper(1 + 1e-9), [0.4, 1.0], [0, 1])
    assert near == pytest.approx(each(BradleyTerry(), [0.4, 1.0], [0, 1]))
    for loss in (1.0, 0.5):
        with pytest.raises(ValueError, match="theta"):
            RaoKupper(loss)


@pytest.mark.parametrize("eps", [0.0, 0.1, 0.3])
def test_smoothed_labels_are_soft_labels(eps):
    for rank, q in (([0, 1], 1 - eps), ([1, 0], eps), ([0, 0], 0.5)):
        got = each(BradleyTerry(smooth=eps), [1.3, 0.2], rank)
        assert got == pytest.approx(each(BradleyTerry(), [1.3, 0.2], rank, p=q))
    sure = math.log((1 - eps) / eps) if eps else 40.0
    assert slope(BradleyTerry(smooth=eps), [sure, 0.0], [0, 1]) == pytest.approx([0, 0], abs=1e-9)
    with pytest.raises(ValueError, match="smooth"):
        BradleyTerry(smooth=0.5)


def test_davidson_needs_some_room_for_ties():
    with pytest.raises(ValueError, match="nu"):
        Davidson(0.0)


# --- all ---


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("score", "rank"),
    [
        ([0.3, None, -1.0], [0, 0, 1]),
        ([None, 0.3, -1.0], [-7, 0, 1]),
        ([0.3, -1.0, None], [0, 1, 99]),
    ],
)
def test_what_is_not_there_changes_nothing(loss, score, rank):
    real = [k for k, s in enumerate(score) if s is not None]
    want_score, want_rank = [score[k] for k in real], [rank[k] for k in real]
    assert each(loss, score, rank, 0.5) == pytest.approx(each(loss, want_score, want_rank, 0.5))
    got = slope(loss, score, rank, 0.5)
    assert [got[k] for k in real] == pytest.approx(slope(loss, want_score, want_rank, 0.5))
    assert sum(got[k] for k in range(3) if k not in real) == 0
    assert watched(score, rank, loss=loss) == watched(want_score, want_rank, loss=loss)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_order_of_the_answers_does_not_matter(loss):
    score, rank = [0.3, -1.0, 2.0, 0.5], [1, 0, 0, 2]
    for order in itertools.permutations(range(4)):
        shuffled = [score[k] for k in order], [rank[k] for k in order]
        assert each(loss, *shuffled, 0.7) == pytest.approx(each(loss, score, rank, 0.7))
        assert watched(*shuffled, loss=loss) == pytest.approx(watched(score, rank, loss=loss))


@pytest.mark.parametrize("loss", LOSSES)
def test_rows_do_not_mix(loss):
    rows = [
        row([0.3, -1.0, 2.0], [1, 0, 2], 0.5),
        row([0.1, 0.2, None], [0, 0, 9]),
        row([1.0, -1.0, None], [0, 1, 9], p=0.2),
    ]
    together = loss(Compared(*map(torch.cat, zip(*rows))))
    for b, alone in enumerate(map(loss, rows)):
        assert together.each[b] == pytest.approx(float(alone.each))
        for name, number in together.watch.items():
            assert number[b] == pytest.approx(float(alone.watch[name]))


def test_accuracy_and_margin():
    assert watched([1.0, 0.0], [0, 1]) == (1, 1)
    assert watched([1.0, 0.0], [1, 0]) == (0, -1)
    assert watched([1.0, 1.0], [0, 1]) == (0.5, 0)  # equal scores agree by half
    assert watched([1.0, 0.0], [0, 0]) == (0.5, 0)  # nobody said which is better
    assert watched([1.0, 0.0], [0, 1], p=0.2) == (0, -1)  # the soft label is the label
    assert watched([3.0, 1.0, 0.0], [0, 1, 1]) == (1, 2.5)  # of the two pairs that differ
    assert watched([0.0, 2.0, 1.0], [0, 1, 2]) == pytest.approx((1 / 3, -2 / 3))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_number_a_row_in_the_dtype_of_the_scores(loss, dtype):
    score_BK = torch.randn(5, 3, dtype=dtype, requires_grad=True)
    rank_BK = torch.tensor([[0, 1, 2]] * 5)
    nan_B = torch.full((5,), NAN, dtype=torch.float64)
    made = loss(Compared(score_BK, torch.ones(5, 3, dtype=torch.bool), rank_BK, nan_B, nan_B))
    for name, number in {"each": made.each, **made.watch}.items():
        assert (number.shape, number.dtype) == ((5,), dtype), name
        assert number.isfinite().all()
        assert number.requires_grad == (name == "each")
