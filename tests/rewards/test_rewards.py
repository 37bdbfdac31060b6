"""Scores: added, checked, and never made up where a judge failed."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from accord.data.rows import pad
from accord.errors import BadData
from accord.records import Invalid, Rollout
from accord.rewards.base import Score, Sum, valid, which
from accord.rewards.learned import Learned
from accord.rewards.rules import Rule
from reward_fakes import answer
from toys import END, ToySpeller, sentences, toy_critic

ANSWERS = [answer(f"r{i}") for i in range(20)]


def fixed(*scores: Score) -> Any:
    """A reward that gives these."""

    def reward(rollouts: Sequence[Rollout]) -> list[Score]:
        assert len(rollouts) == len(scores)
        return list(scores)

    return reward


def test_sum_weighs_and_adds() -> None:
    total = Sum(((2.0, fixed(1.0, 3.0)), (-0.5, fixed(4.0, 0.0))))
    assert total(ANSWERS[:2]) == [0.0, 6.0]
    assert Sum(())([]) == []


def test_sum_is_invalid_where_a_part_is_even_at_weight_zero() -> None:
    first, second = Invalid("first"), Invalid("second")
    total = Sum(((1.0, fixed(1.0, first, first)), (0.0, fixed(second, 2.0, second))))
    assert total(ANSWERS[:3]) == [second, first, first]


def test_sums_nest() -> None:
    inner = Sum(((3.0, fixed(1.0)), (1.0, fixed(1.0))))
    assert Sum(((0.5, inner), (1.0, fixed(-2.0))))(ANSWERS[:1]) == [0.0]


def test_sum_refuses_parts_of_different_length() -> None:
    def short(rollouts: Sequence[Rollout]) -> list[Score]:
        return [0.0]

    with pytest.raises(ValueError, match="shorter"):
        Sum(((1.0, fixed(1.0, 2.0)), (1.0, short)))(ANSWERS[:2])


def test_valid_keeps_pairs_and_names_what_it_dropped() -> None:
    scores: list[Score] = [float(i) for i in range(20)]
    scores[3], scores[11] = math.nan, Invalid("the judge was silent")
    kept, numbers, dropped = valid(ANSWERS, scores)
    assert dropped == {"r3": "the score is nan", "r11": "the judge was silent"}
    assert [r.id for r in kept] == [f"r{int(n)}" for n in numbers]
    assert len(kept) + len(dropped) == 20


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, Invalid("no")])
def test_valid_drops_everything_that_is_no_number(bad: Score) -> None:
    kept, numbers, dropped = valid(ANSWERS, [bad, *[1.0] * 19])
    assert len(kept) == len(numbers) == 19
    assert list(dropped) == ["r0"]


def test_valid_makes_plain_floats() -> None:
    _, numbers, _ = valid(ANSWERS[:2], [1, torch.tensor(2.5).item()])
    assert numbers == [1.0, 2.5]
    assert {type(n) for n in numbers} == {float}


def test_too_many_invalid_scores_stop_with_the_commonest_reason() -> None:
    scores: list[Score] = [*[Invalid("timeout")] * 2, Invalid("refused"), *[0.0] * 17]
    with pytest.raises(BadData, match=r"3 of 20 .* most often \(2\) because: timeout\."):
        valid(ANSWERS, scores)
    assert len(valid(ANSWERS, scores, limit=0.15)[0]) == 17, "the limit itself is allowed"
    with pytest.raises(BadData, match="1 of 20"):
        valid(ANSWERS, [Invalid("x"), *[0.0] * 19], limit=0.0)


def test_valid_of_nothing_is_nothing() -> None:
    assert valid([], []) == ([], [], {})


def test_valid_refuses_another_number_of_scores() -> None:
    with pytest.raises(BadData, match="2 scores for 3 answers"):
        valid(ANSWERS[:3], [1.0, 2.0])


def test_rule_is_asked_with_texts_and_how_it_ended() -> None:
    asked = []

    def judge(prompt: str, text: str, ended: bool) -> float:
        asked.append((prompt, text, ended))
        return len(text)

    rule = Rule(judge, ToySpeller())
    given = [answer(ids=(2, 3, 1), prompt_ids=(0, 4)), answer(ids=(5, 5, 5)), answer(ids=(1,))]
    assert rule(given) == [2.0, 3.0, 0.0]
    assert asked == [("c", "ab", True), ("", "ddd", False), ("", "", True)]


def test_an_exception_makes_that_answer_invalid_and_no_other() -> None:
    def judge(prompt: str, text: str, ended: bool) -> float:
        return {"ab": 1.0}[text]

    found = Rule(judge, ToySpeller())([answer(), answer(ids=(5, 1)), answer()])
    assert found == [1.0, Invalid("KeyError: 'd'"), 1.0]


def test_a_rule_that_gives_no_number_is_invalid() -> None:
    def judge(prompt: str, text: str, ended: bool) -> Any:
        return None

    (found,) = Rule(judge, ToySpeller())([answer()])
    assert isinstance(found, Invalid)
    assert found.reason.startswith("TypeError")


def test_a_keyboard_interrupt_is_not_a_judgement() -> None:
    def judge(prompt: str, text: str, ended: bool) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Rule(judge, ToySpeller())([answer()])


def test_learned_is_the_critics_own_score_whatever_stands_beside() -> None:
    """Rows of many lengths: padding one must not move another."""
    critic = toy_critic(3, dtype=torch.float64)
    critic.normalise(2.0, -1.0)
    said = [ids for ids in sentences() if ids[-1] == END][::3]
    rollouts = [answer(str(i), ids) for i, ids in enumerate(said)]
    found = Learned(critic, ToySpeller())(rollouts)
    assert found == critic.score(pad([(0,)] * len(said), said)).tolist()
    alone = [critic.score(pad([(0,)], [ids])).item() for ids in said]
    assert found == pytest.approx(alone, abs=1e-12)
    assert len(set(alone)) == len(alone), "a critic that says one thing proves nothing"
    assert Learned(critic, ToySpeller())([]) == []


def test_a_cut_answer_is_judged_as_it_was_compared() -> None:
    """People saw its text, which is spelled with an end: the score is read there, not before."""
    critic, cut = toy_critic(3), (2, 3, 4)
    here = answer("cut", cut)
    assert here.finish == "length"
    found = Learned(critic, ToySpeller())([here])
    assert found == critic.score(pad([(0,)], [(*cut, END)])).tolist()
    assert found != critic.score(pad([(0,)], [cut])).tolist()


def test_a_sum_says_what_it_is_a_sum_of() -> None:
    learned, rule = Learned(toy_critic(), ToySpeller()), Rule(lambda *_: 1.0, ToySpeller())
    one, other = Sum(((1.0, learned), (0.5, rule))), Sum(((1.0, learned), (5.0, rule)))
    assert which(one) != which(other)
    assert learned.critic.fingerprint in one.which
    assert which(lambda _: [], None) == ()


def test_a_score_that_is_no_number_is_invalid() -> None:
    critic = toy_critic()
    critic.normalise(math.nan, 0.0)
    assert Learned(critic, ToySpeller())([answer()]) == [Invalid("the score is nan")]
    critic.normalise(1.0, math.inf)
    assert Learned(critic, ToySpeller())([answer()]) == [Invalid("the score is inf")]
