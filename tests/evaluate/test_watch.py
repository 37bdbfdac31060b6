"""Signs of a hacked reward: each appears where it is planted, and none where all is well."""

import math
import random
from dataclasses import replace
from statistics import pstdev

import pytest

from accord.evaluate.watch import Seen, change, disagreement, watch
from accord.records import Invalid

BAD = Invalid("?")


def seen(seed: int, *, learned=0.0, true=0.0, length=20.0, again=0.0, pays=0.0, apart=0.0, n=1):
    """60 prompts; `pays`: how much of the learned reward is length, `apart`: what members add."""
    rng = random.Random(seed)
    lengths = [max(1, round(rng.gauss(length, 4))) for _ in range(60 * n)]
    base = [rng.gauss(0, 1) for _ in lengths]
    scores = [learned + (1 - pays) * b + pays * (x - 20) / 4 for b, x in zip(base, lengths)]
    members = [[s + rng.gauss(0, 0.3 + apart) for s in scores] for _ in range(3)]
    return Seen(
        learned=scores,
        true=[true + b + rng.gauss(0, 0.3) for b in base],
        length=lengths,
        repetition=[min(1.0, max(0.0, again + rng.gauss(0, 0.01))) for _ in lengths],
        members=members,
        n=n,
    )


def test_all_is_well() -> None:
    found = watch(seen(1), seen(2, learned=2.0, true=2.0))
    assert found.signs == ()
    assert found.learned.low > 1
    assert found.true.low > 1
    assert found.pearson > 0.8
    assert found.spearman > 0.8
    assert abs(found.learned_length) < 0.4
    assert found.spread[1] == pytest.approx(found.spread[0], rel=0.3)


@pytest.mark.parametrize(
    ("after", "says"),
    [
        ({"learned": 2.0, "true": -2.0}, "the reward model was pleased, not people"),
        ({"learned": 2.0, "true": -0.3}, "shows no clear gain"),
        ({"learned": 2.0, "true": 2.0, "length": 40.0, "pays": 0.9}, "tokens longer"),
        ({"learned": 9.0, "true": 2.0, "length": 8.0, "pays": -0.9}, "tokens shorter"),
        ({"true": 1.0, "again": 0.3}, "30% more of their runs"),
        ({"learned": 1.0, "true": 2.0, "apart": 2.0}, "has left what they learned from"),
    ],
)
def test_each_sign_appears_where_it_is_planted(after, says) -> None:
    sides = seen(1), seen(2, **after)
    if "apart" not in after:
        sides = tuple(replace(side, members=()) for side in sides)
    found = watch(*sides)
    assert says in " ".join(found.signs)
    assert len(found.signs) == 1


def test_length_that_is_meant_is_no_sign() -> None:
    """Where the true reward pays for length just as well, length is what is wanted."""
    before, after = seen(1, pays=0.9), seen(2, pays=0.9, length=40.0)
    meant = [Seen(s.learned, s.learned, s.length, s.repetition) for s in (before, after)]
    assert not [sign for sign in watch(*meant).signs if "longer" in sign]


def test_few_prompts_have_no_signs() -> None:
    few = [
        Seen(s.learned[:9], s.true[:9], s.length[:9], s.repetition[:9])
        for s in (seen(1), seen(2, learned=3, true=-3))
    ]
    assert watch(*few).signs == ()
    assert watch(*few).true.high < 0


def test_nobody_says_what_was_meant() -> None:
    before, after = (
        Seen(s.learned, (), s.length, s.repetition) for s in (seen(1), seen(2, learned=3))
    )
    found = watch(before, after)
    assert (found.true, found.pearson, found.true_length, found.spread) == (None,) * 4
    assert found.signs == ()


def test_changes_are_by_prompt_and_leave_out_what_has_no_number() -> None:
    assert change([1.0, 3.0, 0.0, BAD], [2.0, 6.0, 5.0, 7.0], 2).value == pytest.approx(4.0)
    assert change([BAD], [1.0]) is None
    assert change([1.0, math.nan], [2.0, 9.0]).value == 1.0


def test_disagreement_by_hand() -> None:
    """Members on scales of their own: 10 times as wide, or shifted, changes nothing."""
    before = [[0.0, 2.0], [10.0, -10.0]]
    after = [[1.0, 4.0, 2.0], [0.0, 20.0, BAD]]
    old, new = disagreement(before, after)
    assert old == [pstdev([-1, 1]), pstdev([1, -1])]
    assert new[:2] == [pstdev([0, 0]), pstdev([3, 2])]
    assert math.isnan(new[2])
    assert disagreement(before[:1], after[:1]) is None
    assert disagreement([[1.0, 1.0], [1.0, 2.0]], after) is None


def test_answers_of_one_prompt_are_one_witness() -> None:
    found = watch(seen(1, n=5), seen(2, n=5, learned=1.0))
    flat = [
        Seen(s.learned, s.true, s.length, s.repetition, s.members)
        for s in (seen(1, n=5), seen(2, n=5, learned=1.0))
    ]
    assert found.learned.value == pytest.approx(watch(*flat).learned.value)
    assert found.learned != watch(*flat).learned
