"""Points by hand, judges with every vice, and nothing counted that was not judged."""

import math
import random

import pytest

from accord.errors import BadData
from accord.evaluate.match import by_judge, by_score, rated
from accord.evaluate.winrate import winrate
from accord.maths.intervals import bootstrap, wilson
from accord.records import Invalid
from accord.rewards.duel import Duel
from accord.rewards.judge.verdict import parsed

BAD = Invalid("it was silent")


def test_points_by_hand() -> None:
    found = rated([[1.0, 1.0], [0.0, 0.5], [BAD, 1.0], [BAD]])
    assert (found.wins, found.ties, found.losses, found.invalid) == (3, 1, 1, 2)
    assert (found.prompts, found.pairs) == (3, 5)
    assert found.rate == pytest.approx((1 + 0.25 + 1) / 3)
    assert found.reasons == {"it was silent": 2}
    assert found.wilson == wilson(found.rate, 3)
    assert found.interval == found.wilson, "few prompts"


@pytest.mark.parametrize("bad", [BAD, math.nan, math.inf])
def test_what_was_not_judged_is_no_number(bad) -> None:
    found = by_score([[0.0], [bad], [0.0]], [[1.0], [1.0], [bad]])
    assert (found.wins, found.losses, found.ties, found.invalid) == (1, 0, 0, 2)
    assert found.rate == 1.0
    with pytest.raises(BadData, match="none of 1 prompts"):
        by_score([[bad]], [[0.0]])


def test_with_one_answer_each_it_is_the_win_rate_of_old() -> None:
    rng = random.Random(0)
    old, new = ([float(rng.randint(0, 3)) for _ in range(60)] for _ in range(2))
    found, want = by_score([[x] for x in old], [[x] for x in new]), winrate(old, new)
    assert (found.wins, found.ties, found.losses) == (want.wins, want.ties, want.losses)
    assert (found.rate, found.low, found.high) == pytest.approx((want.rate, want.low, want.high))
    near = by_score([[x] for x in old], [[x + 0.1] for x in old], margin=0.2)
    assert near.ties == 60


def test_answers_to_one_prompt_are_no_independent_witnesses() -> None:
    """Ten answers to each of 40 prompts that agree among themselves are worth 40, not 400."""
    rng = random.Random(1)
    points = [[float(rng.random() < 0.6)] * 10 for _ in range(40)]
    found = rated(points)
    alone = rated([few[:1] for few in points])
    assert found.drawn == alone.drawn == bootstrap([few[0] for few in points])
    assert found.wilson == alone.wilson == wilson(found.rate, 40)
    assert found.interval == found.drawn


def test_nothing_but_wins_is_not_certainty() -> None:
    found = rated([[1.0]] * 50)
    assert found.drawn == (1.0, 1.0)
    assert found.interval == wilson(1.0, 50)


def test_sides_must_be_alike() -> None:
    with pytest.raises(BadData, match="as many answers on either side"):
        by_score([[1.0]], [[1.0, 2.0]])


# --- judges ---

PROMPTS = [f"p{i}" for i in range(40)]
OLD = [["short"] for _ in PROMPTS]
NEW = [["much longer"] for _ in PROMPTS]


def longer(duels):
    return [float(len(d.first) > len(d.second)) for d in duels]


def test_a_good_judge_is_believed_and_where_it_stood_plays_no_part() -> None:
    found = by_judge(PROMPTS, OLD, NEW, longer)
    assert (found.rate.wins, found.rate.rate) == (40, 1.0)
    assert (found.first.value, found.steady.value) == (0.5, 1.0)
    turned = by_judge(PROMPTS, NEW, OLD, longer)
    assert (turned.rate.losses, turned.rate.rate) == (40, 0.0)


def test_a_judge_that_loves_the_first_place_is_found_and_decides_nothing() -> None:
    found = by_judge(PROMPTS, OLD, NEW, lambda duels: [1.0] * len(duels))
    assert (found.rate.ties, found.rate.rate) == (40, 0.5)
    assert (found.first.value, found.steady.value) == (1.0, 0.0)
    last = by_judge(PROMPTS, OLD, NEW, lambda duels: [0.1] * len(duels))
    assert (last.rate.rate, last.first.value) == (0.5, 0.0)


def test_both_ways_are_asked_in_mixed_order_with_the_prompt() -> None:
    seen: list[Duel] = []

    def judge(duels):
        seen.extend(duels)
        return [0.5] * len(duels)

    found = by_judge(PROMPTS, OLD, NEW, judge)
    assert found.rate.ties == 40
    assert (found.first.value, found.steady.value) == (0.5, 1.0)
    assert len(set(seen)) == len(seen) == 80
    assert {d.prompt for d in seen} == set(PROMPTS)
    assert sum(d.first == "short" for d in seen) == 40
    assert seen != sorted(seen, key=lambda d: int(d.prompt[1:]))


def test_identical_answers_are_a_tie_and_cost_no_question() -> None:
    def never(duels):
        raise AssertionError("asked")

    found = by_judge(PROMPTS, OLD, OLD, never)
    assert (found.rate.ties, found.rate.rate, found.first) == (40, 0.5, None)


def test_soft_verdicts_and_half_decided_pairs() -> None:
    """Preferred one way and tied the other: the two differ, and that is a tie."""
    soft = by_judge(PROMPTS, OLD, NEW, lambda ds: [0.9 if d.first != "short" else 0.2 for d in ds])
    assert soft.rate.wins == 40
    half = by_judge(PROMPTS, OLD, NEW, lambda ds: [1.0 if d.first != "short" else 0.5 for d in ds])
    assert half.rate.ties == 40
    assert half.steady.value == 0.0


@pytest.mark.parametrize("bad", [BAD, math.nan, 2.0, -0.5])
def test_one_verdict_that_cannot_be_read_makes_the_pair_invalid(bad) -> None:
    def judge(duels):
        return [bad if d.prompt == "p3" and d.first == "short" else v for d, v in _with(duels)]

    def _with(duels):
        return zip(duels, longer(duels), strict=True)

    found = by_judge(PROMPTS, OLD, NEW, judge)
    assert (found.rate.wins, found.rate.invalid, found.rate.rate) == (39, 1, 1.0)


def test_a_judge_that_loses_count_is_refused() -> None:
    with pytest.raises(BadData, match="1 verdicts on 80"):
        by_judge(PROMPTS, OLD, NEW, lambda duels: [1.0])


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Both try. [[A]]", 1.0),
        ("[[B]] because", 0.0),
        ("My verdict: [[ C ]]", 0.5),
        ("[[A]] … so: [[A]]", 1.0),
    ],
)
def test_verdicts_are_read(text, verdict) -> None:
    assert parsed(text) == verdict


@pytest.mark.parametrize("text", ["", "A", "[A]", "[[A]] or [[B]]", "[[D]]", "[[a]]"])
def test_what_cannot_be_read_is_no_number(text) -> None:
    assert isinstance(parsed(text), Invalid)
