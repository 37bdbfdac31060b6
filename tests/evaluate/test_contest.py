"""A verdict on several policies: what it may say, and what it may not."""

import pytest

from accord.errors import BadData
from accord.evaluate.contest import Contest, Cost, Player, Spot, mean, tell
from accord.evaluate.contestpage import lines
from accord.evaluate.frontier import Mean
from accord.records import Invalid

WORDS = ("sun", "dog", "tree", "ball", "red", "big", "ran", "sat", "saw", "sky", "hat", "pond")


def text(i: int) -> str:
    return " ".join(WORDS[(i + 5 * k) % 12] + str(i % 7) for k in range(12))


def player(name, scores, *, n=1, seconds=1.0, alike=False, each=1):
    return Player(
        name,
        ["the same words again and again"] * len(scores) if alike else
        [text(i) for i in range(len(scores))],
        [12] * len(scores), [True] * len(scores), scores, (),
        Spot(name, Mean(1.0, 0.1), mean(scores, n)), cost=Cost(seconds=seconds, each=each),
    )  # fmt: skip


def contest(start, *players, n=1):
    prompts = [f"prompt {i}" for i in range(len(start.scores) // n)]
    return Contest(start, players, prompts, n, "the rule", True, False)


def test_one_prompt_chooses_nobody():
    """An interval of one number drawn again and again has no width, and says nothing."""
    for prompts in (1, 9):
        told = tell(
            contest(
                player("the start", [0.0] * prompts),
                player("PPO", [1.0] * prompts),
                player("DPO", [0.5] * prompts),
            )
        )
        verdict = told["verdict"]
        assert (verdict["tone"], verdict["pick"]) == ("unclear", None)
        assert f"{prompts} prompt" in verdict["sentence"]
        assert not any("clearly ahead" in one for one in verdict["reasons"])
    told = tell(contest(player("the start", [0.0] * 10), player("PPO", [1.0] * 10)))
    assert told["verdict"]["pick"] == "PPO"


def test_a_leader_with_signs_of_trouble_is_recommended_with_a_warning_though_nobody_is_level():
    start = player("the start", [0.1 * (i % 3) for i in range(12)])
    told = tell(contest(start, player("PPO", [1.0] * 12, alike=True), player("DPO", [0.3] * 12)))
    assert told["verdict"]["tone"] == "over-optimised"
    assert told["verdict"]["pick"] == "PPO"
    assert "signs of trouble" in told["verdict"]["sentence"]


def test_identical_answers_are_ties_and_the_start_is_kept():
    start = player("the start", [0.5] * 12)
    told = tell(contest(start, player("PPO", [0.5] * 12), player("DPO", [0.5] * 12)))
    assert told["verdict"]["pick"] is None
    assert told["verdict"]["sentence"].startswith("Keep the start")
    assert told["matrix"][0][1]["rate"] == 0.5


def test_answers_without_a_score_are_counted_apart_and_said():
    silent = Invalid("KeyError: 'x'")
    start = player("the start", [0.1] * 12)
    told = tell(contest(start, player("PPO", [silent] * 3 + [1.0] * 9)))
    assert told["players"][1]["invalid"] == 3
    said = next(one for one in told["verdict"]["reasons"] if "no score" in one)
    assert "3 of PPO" in said
    assert "KeyError: 'x'" in said
    with pytest.raises(BadData, match="none of its 4 answers got a score: KeyError"):
        mean([silent] * 4, 2)


def test_two_that_were_never_scored_on_one_prompt_have_no_rate():
    silent = Invalid("late")
    half = [silent] * 6 + [1.0] * 6
    told = tell(
        contest(player("the start", [0.1] * 12), player("PPO", half), player("DPO", half[::-1]))
    )
    assert told["matrix"][1][2] is None
    assert "PPO" in "".join(lines({**told, "failed": {}}))
