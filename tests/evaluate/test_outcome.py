"""What training changed, put together from answers: each number from where it should come."""

import math
from dataclasses import replace
from typing import Any

import pytest

from accord.errors import BadData
from accord.evaluate.outcome import (
    FEWEST_PAIRS,
    KL_LIMIT,
    KL_TIMES,
    Answer,
    compare,
    distinct,
    summary,
)
from accord.evaluate.winrate import difference, winrate
from accord.records import Invalid
from report_fakes import answers, history, outcome

BAD = Invalid("no")


def said(true: Any, learned: Any = None, text: str = "a b c", **more: Any) -> Answer:
    return Answer(
        **{"prompt": "p", "text": text, "ended": True, "length": 3} | more,
        true=true,
        learned=learned,
    )


def test_summary_leaves_out_what_could_not_be_measured() -> None:
    found = summary(
        [
            said(1.0, 2.0, length=10),
            said(BAD, 4.0, ended=False, length=20),
            said(math.nan, math.inf, length=30),
            said(0.0, BAD, length=40),
        ]
    )
    assert (found.count, found.invalid) == (4, 2)
    assert (found.true, found.learned) == (0.5, 3.0)
    assert (found.ended, found.length) == (0.75, 25.0)
    empty = summary([])
    assert (empty.count, empty.true, empty.ended, empty.distinct_2) == (0, None, None, None)


def test_distinct_counts_different_over_all() -> None:
    assert distinct(["the dog saw the dog"], 1) == 3 / 5
    assert distinct(["the dog saw the dog"], 2) == 3 / 4
    assert distinct(["The dog,", "the Dog!"], 2) == 1 / 2
    assert distinct(["one", "two"], 2) is None, "no pair reaches from one answer into the next"


def test_variety_is_compared_on_equally_many_words() -> None:
    """A model that only writes on is not less varied for it."""
    short, long = "red dog red cat", "red dog red cat " * 10
    found = compare([said(0.0, text=short)] * 3, [said(1.0, text=long)] * 3)
    assert found.before.distinct_2 == found.after.distinct_2
    assert summary([said(1.0, text=long)]).distinct_2 < summary([said(1.0, text=short)]).distinct_2


def test_numbers_come_from_the_right_side() -> None:
    before, after = answers(0.4, 0.0, ["x"], 1), answers(0.8, 1.5, ["y"], 2)
    found = compare(before, after, seed=5)
    old, new = [a.true for a in before], [a.true for a in after]
    assert found.wins == winrate(old, new, seed=5)
    assert found.change == difference(old, new, seed=5)
    assert found.learned_change == difference(
        [a.learned for a in before], [a.learned for a in after], seed=5
    )
    assert found.split == 200
    assert found.points[0] == (before[0].true, before[0].learned)
    assert found.points[200] == (after[0].true, after[0].learned)
    turned = compare(after, before, seed=5)
    assert turned.wins.losses == found.wins.wins
    assert turned.change.value == pytest.approx(-found.change.value)


def test_invalid_answers_are_counted_and_their_partners_spared() -> None:
    before = [said(0.0, 0.0), said(BAD, 1.0), said(0.5, BAD), said(0.5, 1.0)]
    after = [said(1.0, 1.0), said(1.0, 2.0), said(1.0, 9.0), said(BAD, math.nan)]
    found = compare(before, after)
    assert (found.wins.wins, found.wins.invalid) == (2, 2)
    assert (found.before.invalid, found.after.invalid) == (1, 1)
    assert found.learned_change is not None
    assert found.learned_change.value == 1.0  # of the first two: the others lack a side
    assert found.points == ((0.0, 0.0), (0.5, 1.0), (1.0, 1.0), (1.0, 2.0), (1.0, 9.0))
    assert found.split == 2


def test_without_a_reward_model_nothing_is_said_of_it() -> None:
    found = compare([said(0.0)] * 3, [said(1.0)] * 3)
    assert (found.learned_change, found.points, found.pearson) == (None, (), None)
    assert (found.kl, found.parting) == (None, None)
    assert not found.overoptimised
    assert not found.strayed


def test_only_answers_to_the_same_prompts_are_compared() -> None:
    with pytest.raises(BadData, match="'one' before, 'two' after"):
        compare([said(0, prompt="one")], [said(1, prompt="two")])
    with pytest.raises(BadData, match="1 scores before and 2 after"):
        compare([said(0)], [said(1)] * 2)


def test_distance_is_read_late_and_held_against_its_limit() -> None:
    rows = [{"step": i, "objective/kl": float(i)} for i in range(100)]
    free = compare([said(0)], [said(1)], rows)
    assert free.kl == 94.5
    assert free.kl_limit == KL_LIMIT
    assert free.strayed
    assert not replace(free, kl=KL_LIMIT).strayed
    tight = compare([said(0)], [said(1)], rows, kl=9.0, kl_target=2.0)
    assert (tight.kl, tight.kl_limit) == (9.0, KL_TIMES * 2)
    assert tight.strayed
    assert replace(free, kl=math.nan).strayed, "a distance that is no number is not near"


def test_over_optimised_in_either_way() -> None:
    late = outcome(0.5, turn=0.5)
    assert late.parting is not None
    assert late.parting.found
    assert late.overoptimised
    ends = outcome(0.2)
    assert ends.change.high < 0
    assert ends.learned_change is not None
    assert ends.learned_change.low > 0
    assert ends.overoptimised
    assert not outcome(0.79).overoptimised


def test_few_or_unjudged_pairs_leave_a_doubt() -> None:
    few = FEWEST_PAIRS - 1
    found = compare([said(1.0, 0.0)] * few, [said(0.0, 1.0)] * few)
    assert found.doubt == "few"
    assert not found.overoptimised
    enough = compare([said(1.0, 0.0)] * (few + 1), [said(0.0, 1.0)] * (few + 1))
    assert enough.doubt == ""
    assert enough.overoptimised
    after = [said(0.0)] * 17 + [said(BAD)] * 3
    assert compare([said(1.0)] * 20, after).doubt == "invalid"
    assert compare([said(1.0)] * 20, [said(0.0), *after[:17], *after[18:]]).doubt == ""


def test_the_same_input_gives_the_same_outcome() -> None:
    assert outcome(0.6, kl_target=3.0) == outcome(0.6, kl_target=3.0)
    assert outcome(0.6, seed=1).change != outcome(0.6, seed=2).change
    assert history(5) == history(5)
