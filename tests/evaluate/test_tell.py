"""The words follow the numbers: every verdict from an outcome that deserves it, none beyond it."""

import itertools
import re
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from accord.evaluate.outcome import Answer, Outcome, compare
from accord.evaluate.tell import Told, keys, tell
from accord.evaluate.trend import Parting
from accord.evaluate.winrate import WinRate
from accord.maths.intervals import Estimate
from accord.records import Invalid
from report_fakes import STORIES, outcome

PARTED = Parting(30, 0.4, -0.3, True)
UP, DOWN, FLAT = Estimate(0.4, 0.3, 0.5), Estimate(-0.4, -0.5, -0.3), Estimate(0.0, -0.1, 0.1)


def won(rate: float, half: float = 0.05, **more: Any) -> WinRate:
    wins = round(200 * rate)
    base = WinRate(wins, 0, 200 - wins, 0, rate, rate - half, rate + half)
    return replace(base, **more)


@cache
def any_outcome() -> Outcome:
    return outcome(0.6)


def made(wins: WinRate, change: Estimate, **more: Any) -> Outcome:
    base = {"learned_change": UP, "kl": 5.0, "parting": None} | more
    return replace(any_outcome(), wins=wins, change=change, **base)


def whole(told: Told) -> str:
    return " ".join((told.verdict, *told.paragraphs))


@pytest.mark.parametrize(
    ("found", "tone", "begins"),
    [
        (made(won(0.7), UP), "better", "The model got better"),
        (made(won(0.51), FLAT), "unclear", "No clear change"),
        (made(won(0.3), FLAT, learned_change=FLAT), "worse", "The model got worse"),
        (made(won(0.7), FLAT), "mixed", "A mixed result"),
        (made(won(0.51), UP), "mixed", "A mixed result"),
        (made(won(0.7), DOWN, learned_change=FLAT), "mixed", "A mixed result"),
        (made(won(0.3), DOWN), "over-optimised", "Over-optimised: from start to end"),
        (made(won(0.7), UP, parting=PARTED), "over-optimised", "Over-optimised: in the later"),
        (made(won(0.7), UP, kl=61.0), "strayed", "The model strayed far"),
    ],
)
def test_each_verdict_has_its_outcome(found: Outcome, tone: str, begins: str) -> None:
    told = tell(found)
    assert told.tone == tone
    assert told.verdict.startswith(begins)


@pytest.mark.parametrize(
    ("true", "turn", "more", "tone"),
    [
        (0.79, 9.0, {}, "better"),
        (0.38, 9.0, {}, "unclear"),
        (0.5, 0.5, {}, "over-optimised"),
        (0.15, 9.0, {}, "over-optimised"),
        (0.79, 9.0, {"kl_target": 3.0}, "strayed"),
    ],
)
def test_verdicts_of_whole_runs(true: float, turn: float, more: Any, tone: str) -> None:
    assert tell(outcome(true, turn=turn, **more), STORIES).tone == tone


def test_no_verdict_says_more_than_its_intervals() -> None:
    """Over a grid of outcomes: "got better" wherever, and only where, both intervals are above."""
    rates = [won(0.5 + gap, half) for gap in (-0.2, -0.04, 0, 0.04, 0.2) for half in (0.05, 0.3)]
    changes = [Estimate(c, c - h, c + h) for c in (-0.4, -0.04, 0, 0.04, 0.4) for h in (0.05, 0.5)]
    for wins, change, learned in itertools.product(rates, changes, (UP, FLAT, DOWN, None)):
        found = made(wins, change, learned_change=learned)
        told = tell(found)
        text = whole(told)
        assert (told.tone == "better") == (wins.low > 0.5 and change.low > 0)
        assert ("got better" in text) == (told.tone == "better")
        if told.tone == "worse":
            assert wins.high < 0.5 or change.high < 0
        if told.tone == "unclear":
            assert wins.low <= 0.5 <= wins.high
            assert change.low <= 0 <= change.high
        assert ("true rule rose" in text) == (change.low > 0)
        assert ("true rule fell" in text) == (change.high < 0)
        if told.tone == "over-optimised":
            assert learned is not None
            assert learned.low > 0 > change.high


def test_worse_by_score_alone_names_the_score() -> None:
    """The win rate's interval includes 50% here: by itself it carries no such verdict."""
    told = tell(made(won(0.49), DOWN, learned_change=FLAT))
    assert told.tone == "worse"
    assert "its mean score changed by −0.40 (95% interval −0.50 to −0.30), though" in (told.verdict)
    assert "changed by" not in tell(made(won(0.3), DOWN, learned_change=FLAT)).verdict


def test_few_pairs_carry_no_verdict() -> None:
    """Four wins of four: Wilson's interval ends above 50%, a coin does that once in sixteen."""
    four = [Answer("p", "a b", True, 2, float(i)) for i in (0, 1)]
    told = tell(compare([four[0]] * 4, [four[1]] * 4))
    assert told.tone == "unclear"
    assert "a verdict takes at least 10 pairs" in told.verdict


def test_too_many_unjudged_pairs_carry_no_verdict() -> None:
    before = [Answer("p", "a b", True, 2, 0.0)] * 40
    after = [Answer("p", "a b", True, 2, 1.0)] * 30
    lost = [Answer("p", "a b", True, 2, Invalid("judge asleep"))] * 10
    told = tell(compare(before, after + lost))
    assert told.tone == "unclear"
    assert "10 of 40 pairs could not be judged" in told.verdict
    few = tell(compare(before, [*after, *after[:9], lost[0]]))
    assert few.tone == "better"
    assert "1 pair could not be judged and counted for neither side." in whole(few)


def test_an_interval_that_just_excludes_chance_is_printed_so() -> None:
    for half, said in ((0.046, "50.4–60%"), (0.0499, "just over 50–60%")):
        told = tell(made(won(0.55, half), UP))
        assert told.tone == "better"
        assert f"95% interval {said}" in told.verdict
    assert "40–just under 50%" in tell(made(won(0.45, 0.0499), DOWN)).verdict
    assert "45–55%" in tell(made(won(0.5), FLAT)).verdict


def test_over_optimised_says_where_it_stands() -> None:
    still = {
        (0.7, UP): "still better than at the start",
        (0.3, DOWN): "now worse than at the start",
        (0.5, FLAT): "not clearly better than at the start",
        (0.7, FLAT): "the result is mixed",
    }
    for (rate, change), said in still.items():
        assert said in tell(made(won(rate), change, parting=PARTED)).verdict
    both = tell(made(won(0.7), UP, parting=PARTED, kl=70.0))
    assert both.tone == "over-optimised"
    assert "It also strayed far, 70.0 nats." in both.verdict
    assert "From step 30 on the learned reward rose by 0.40 while the true score fell by 0.30" in (
        whole(both)
    )


def test_learned_reward_up_alone_is_no_gain() -> None:
    hint = "without a clear gain in the true one"
    assert hint in whole(tell(made(won(0.5), FLAT)))
    assert hint not in whole(tell(made(won(0.7), UP)))
    assert hint not in whole(tell(made(won(0.5), FLAT, learned_change=FLAT)))


@pytest.mark.parametrize(
    ("r", "said"),
    [
        (0.9, "well"),
        (0.5, "fairly well"),
        (0.3, "weakly"),
        (0.05, "hardly at all"),
        (-0.01, "hardly at all"),
        (-0.5, "not at all, they even oppose each other"),
    ],
)
def test_strength_of_agreement(r: float, said: str) -> None:
    assert f"the two agree {said} (correlation" in whole(tell(made(won(0.7), UP, pearson=r)))


def test_less_variety_is_told() -> None:
    found = made(won(0.7), UP)
    dull = replace(found.after, distinct_2=0.5 * found.before.distinct_2)
    assert "have become more alike" in whole(tell(replace(found, after=dull)))
    assert "have become more alike" not in whole(tell(replace(found, after=found.before)))


def test_subject_gives_the_words() -> None:
    text = whole(tell(outcome(0.79, kl_target=12.0), STORIES))
    assert "the same openings before and after training" in text
    assert "the rule (an animal appears, and it ends in time) judged 200 pairs" in text
    assert "nats per story" in text
    assert "The target was 12.0." in text
    assert "answers" not in text
    assert re.search(r"[Tt]he the|  |None|nan|not measured", text) is None


def test_keys_leave_out_what_was_not_measured() -> None:
    labels = [key.label for key in keys(outcome(0.79), 292.0)]
    assert labels == [
        "Win rate",
        "True rule",
        "Learned reward",
        "Distance (KL)",
        "Ended in time",
        "Length",
        "Variety",
        "Time",
    ]
    bare = compare([Answer("p", "", True, 0, 0.0)], [Answer("p", "", True, 0, 1.0)])
    assert [key.label for key in keys(bare)] == ["Win rate", "True rule", "Ended in time", "Length"]
    true = keys(outcome(0.79))[1]
    assert (true.was, true.now) == ("0.38", "0.79")
