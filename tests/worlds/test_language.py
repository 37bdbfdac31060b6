"""Language generation as a world."""

import pytest
from gymnasium.utils.env_checker import check_env

from accord.errors import BadData, BadSettings
from accord.records import Invalid
from accord.worlds.language import TokenWorld
from toys import BEGIN, END, LONGEST, toy_policy

PROMPTS = [(BEGIN,), (BEGIN, 4)]


def judge(rollouts):
    return [r.response_ids.count(2) - 0.25 * (r.finish == "length") for r in rollouts]


def world(prompts=PROMPTS, judge=judge):
    return TokenWorld(prompts, judge, vocab=6, ends={END}, longest=LONGEST)


def test_gymnasium_finds_nothing_wrong():
    check_env(world(), skip_render_check=True)


def test_what_a_policy_said_brings_here_what_the_reward_gave_it():
    """Every answer, token by token: all rewards but the last are 0, and so it stays added up."""
    said = toy_policy().sample(PROMPTS, n=20, longest=LONGEST, seed=0)
    assert {r.finish for r in said} == {"stop", "length"}
    here = world()
    for rollout, score in zip(said, judge(said), strict=True):
        here.reset(options={"prompt": PROMPTS.index(rollout.prompt_ids)})
        paid, over = [], False
        for token in rollout.response_ids:
            assert not over
            seen, reward, over, cut, info = here.step(token)
            paid.append(reward)
            assert not cut
        assert over
        assert info["finish"] == rollout.finish
        assert paid == [*[0.0] * (len(paid) - 1), score]
        whole = (*rollout.prompt_ids, *rollout.response_ids)
        assert tuple(seen["ids"][: seen["length"]].tolist()) == whole
        assert here.rollout(rollout.finish).response_ids == rollout.response_ids


def test_prompts_come_by_the_seed():
    here = world()
    told = [here.reset(seed=seed)[1]["prompt"] for seed in range(20)]
    assert set(told) == {0, 1}
    assert told == [here.reset(seed=seed)[1]["prompt"] for seed in range(20)]
    assert here.reset(seed=0, options={"prompt": 1})[0]["length"] == 2


def test_a_judge_that_fails_is_no_number():
    here = world(judge=lambda rs: [Invalid("no verdict") for _ in rs])
    here.reset(seed=0)
    with pytest.raises(BadData, match=r"could not score \(1,\): no verdict"):
        here.step(END)


def test_what_is_over_takes_no_step():
    here = world()
    with pytest.raises(BadData, match="reset"):
        here.step(2)
    here.reset(seed=0)
    here.step(END)
    with pytest.raises(BadData, match="reset"):
        here.step(2)
    with pytest.raises(BadSettings, match="at least one token"):
        world(prompts=[()])
