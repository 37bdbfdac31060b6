"""Win rates: known intervals, honest ones, and nothing counted that was not measured."""

import math
import random
from statistics import NormalDist, fmean

import pytest

from accord.errors import BadData
from accord.evaluate.winrate import difference, number, winrate
from accord.maths.intervals import bootstrap, wilson
from accord.records import Invalid

BAD = Invalid("no animal could be looked for")


@pytest.mark.parametrize(
    ("rate", "count", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3
        (81 / 263, 263, 0.2553, 0.3662),
        (15 / 148, 148, 0.0624, 0.1605),
        (0 / 20, 20, 0.0, 0.1611),
        (1 / 29, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_against_published_values(rate: float, count: int, low: float, high: float) -> None:
    assert wilson(rate, count) == pytest.approx((low, high), abs=5e-5)
    mirrored = wilson(1 - rate, count)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=5e-5)


@pytest.mark.parametrize(("rate", "count"), [(0.3, 10), (0.5, 200), (0.97, 41)])
def test_wilson_ends_where_the_score_test_does(rate: float, count: int) -> None:
    """At either end p, |rate - p| is z standard errors *of p*, not of the rate."""
    for confidence in (0.8, 0.95):
        z = NormalDist().inv_cdf((1 + confidence) / 2)
        for p in wilson(rate, count, confidence):
            assert abs(rate - p) / math.sqrt(p * (1 - p) / count) == pytest.approx(z, rel=1e-9)


def test_counts_and_rate() -> None:
    found = winrate([0, 0, 1, 0.5, 1], [1, 0, 0, 1, 1])
    assert (found.wins, found.ties, found.losses, found.invalid) == (2, 2, 1, 0)
    assert found.rate == 0.6
    assert found.count == 5
    turned = winrate([1, 0, 0, 1, 1], [0, 0, 1, 0.5, 1])
    assert (turned.wins, turned.ties, turned.losses) == (1, 2, 2)
    assert turned.rate == pytest.approx(0.4)


def test_scores_within_the_margin_are_a_tie() -> None:
    before, after = [0.0, 0.0, 0.0, 0.0], [0.25, -0.25, 0.5, -0.5]
    wide = winrate(before, after, margin=0.25)
    assert (wide.wins, wide.ties, wide.losses) == (1, 2, 1)
    assert winrate(before, after).ties == 0


@pytest.mark.parametrize("bad", [BAD, math.nan, math.inf, -math.inf])
def test_what_has_no_score_counts_for_nobody(bad: float | Invalid) -> None:
    found = winrate([0, bad, 0, bad, 1], [1, 1, bad, bad, 0])
    assert (found.wins, found.ties, found.losses, found.invalid) == (1, 0, 1, 3)
    assert (found.rate, found.low, found.high) == (0.5, *wilson(0.5, 2))
    assert difference([0, bad, 2], [1, 5, bad]).value == 1.0
    assert number(bad) is None
    with pytest.raises(BadData, match="none of 2 prompts has two valid scores"):
        winrate([bad, 1], [1, bad])


def test_scores_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(BadData, match="2 scores before and 3 after"):
        winrate([0, 1], [0, 1, 2])
    with pytest.raises(BadData, match="none of 0"):
        difference([], [])


def test_without_ties_or_with_few_prompts_the_interval_is_wilsons() -> None:
    assert _ends([0] * 40, [1] * 30 + [-1] * 10) == wilson(0.75, 40)
    assert _ends([0] * 8, [1] * 6 + [0] * 2) == wilson(7 / 8, 8)
    assert _ends([0] * 50, [0] * 50) == wilson(0.5, 50)


def test_with_ties_the_interval_is_narrower_than_wilsons() -> None:
    """A tie varies less than a coin does; the half-width is 1.96 standard errors of the mean."""
    points = [1.0] * 60 + [0.5] * 80 + [0.0] * 60
    low, high = _ends([0.5] * 200, points)
    wide = wilson(0.5, 200)
    assert wide[0] < low < 0.5 < high < wide[1]
    spread = math.sqrt(sum((p - 0.5) ** 2 for p in points)) / 200
    assert high - low == pytest.approx(2 * 1.96 * spread, rel=0.08)


def _ends(before: list[float], after: list[float]) -> tuple[float, float]:
    found = winrate(before, after)
    return found.low, found.high


def test_bootstrap_is_the_same_for_a_seed_and_another_for_another() -> None:
    rng = random.Random(1)
    values = [rng.gauss(0, 1) for _ in range(40)]
    one = bootstrap(values, seed=3)
    assert one == bootstrap(values, seed=3)
    assert one != bootstrap(values, seed=4)
    state = random.getstate()
    bootstrap(values)
    assert random.getstate() == state, "the common dice must not be touched"


def test_bootstrap_covers_the_mean_about_as_often_as_it_says() -> None:
    rng, held = random.Random(7), 0
    for trial in range(200):
        values = [rng.expovariate(1.0) for _ in range(60)]
        low, high = bootstrap(values, seed=trial, draws=200)
        held += low <= 1.0 <= high
    assert 0.88 <= held / 200 <= 0.98


def test_bootstrap_scales_and_shifts_with_its_values() -> None:
    values = [0.0, 1.0, 3.0, -2.0, 5.0, 0.5]
    low, high = bootstrap(values)
    assert bootstrap([2 * v + 7 for v in values]) == pytest.approx((2 * low + 7, 2 * high + 7))
    assert low < fmean(values) < high
    narrow = bootstrap(values, confidence=0.5)
    assert low < narrow[0] < narrow[1] < high
    assert bootstrap([4.0, 4.0]) == (4.0, 4.0)


def test_difference_keeps_pairs_together() -> None:
    """Prompts differ a thousand times more than the two answers to one: pairing must see that."""
    before = [1000.0 * (i % 7) for i in range(50)]
    after = [b + 1 + 0.1 * (i % 3) for i, b in enumerate(before)]
    found = difference(before, after)
    assert found.value == pytest.approx(1.098)
    assert 1.0 < found.low < found.value < found.high < 1.2
