"""Rollouts read back as text, and reward models that spell otherwise than the policy."""

from pathlib import Path

import pytest
import torch

from accord.engine.roles import Critic, Policy
from accord.errors import BadData
from accord.records import Fact, Invalid, Message, Prompt, Rollout, Text, ask, facts
from accord.rewards.learned import Learned
from accord.rewards.reader import Reader
from recipe_fakes import newborn
from toys import END, ToySpeller, toy_critic

TALK = (Message.of("user", "Lily"), Message.of("assistant", "ran home."), Message.of("user", "Tom"))


def said(speller, talk, text: str, *, cut: bool = False) -> Rollout:
    """A rollout in which a policy with this speller answers so."""
    prompt, (ids,) = speller.many([(talk, (text,))])[0]
    ids = ids[:-1] if cut else ids
    return Rollout("r", prompt, ids, (0.0,) * len(ids), 0, "length" if cut else "stop")


@pytest.fixture(scope="module")
def cradle(tmp_path_factory) -> Path:
    return newborn(tmp_path_factory.mktemp("newborn"))


@pytest.mark.parametrize("template", ["plain", "turns"])
def test_texts_come_back_as_they_were_spelled(cradle: Path, template) -> None:
    speller = Policy.open(cradle, template=template).speller
    talk = ask("Lily and Tom") if template == "plain" else TALK
    reader = Reader(speller, [Prompt(talk)])
    done, cut = reader([said(speller, talk, " sat."), said(speller, talk, " sat", cut=True)])
    assert (done.talk, done.answer, done.ended) == (talk, " sat.", True)
    assert (cut.talk, cut.answer, cut.ended) == (talk, " sat", False)
    assert reader.plain is (template == "plain")


def test_a_plain_prompt_nobody_named_is_its_own_text(cradle: Path) -> None:
    speller = Policy.open(cradle).speller
    (one,) = Reader(speller)([said(speller, ask("the dog"), " ran")])
    assert one.talk == ask("the dog")


def test_who_spoke_in_a_prompt_nobody_named_is_not_guessed(cradle: Path) -> None:
    speller = Policy.open(cradle, template="turns").speller
    with pytest.raises(BadData, match="was not told this one: 'Human: Lily"):
        Reader(speller)([said(speller, TALK, "sat.")])


class Renamed(ToySpeller):
    """Spells just the same under another fingerprint, so text is gone through."""

    fingerprint = "another"


def known(name: str, *facts: str) -> Prompt:
    return Prompt((Message("user", (Text("the dog"), *map(Fact, facts))),), name)


def test_prompts_that_differ_in_their_facts_alone_are_refused(cradle: Path) -> None:
    """The policy reads the same, so nobody could tell which facts an answer is judged by."""
    speller = Policy.open(cradle).speller
    with pytest.raises(BadData, match="prompts a and b are the same to the policy and have other"):
        Reader(speller, [known("a", "it is brown"), known("b", "it is black")])
    reader = Reader(speller, [known("a"), known("b", "it is brown"), known("c", "it is brown")])
    Reader(speller, [known("a", "it is brown", "it runs"), known("b", "it runs", "it is brown")])
    (one,) = reader([said(speller, ask("the dog"), " ran")])
    assert facts(one.talk) == ("it is brown",)


def test_both_ways_to_a_score_are_one_where_the_tokenizers_agree() -> None:
    critic, speller = toy_critic(3, dtype=torch.float64), ToySpeller()
    rollouts = [said(speller, ask(p), a) for p, a in (("ab", "c"), ("d", "bda"), ("ab", ""))]
    rollouts += [said(speller, ask("c"), "abd", cut=True)]
    straight, around = Learned(critic, speller), Learned(critic, Renamed())
    assert straight.alike
    assert not around.alike
    assert around(rollouts) == straight(rollouts)
    assert len(set(around(rollouts))) == 4
    assert around.rows(rollouts)[-1] == ((0, 4), (2, 3, 5, END)), "a cut answer, with its end"


def test_another_template_is_spelled_as_the_reward_model_was_trained(cradle: Path) -> None:
    """The policy speaks in turns; the reward model was trained on plain text."""
    policy = Policy.open(cradle, template="turns")
    critic = Critic.on(Policy.open(newborn(cradle.parent / "other", seed=5)), seed=1)
    reader = Reader(policy.speller, [Prompt(ask("Lily"))])
    reward = Learned(critic, policy.speller, reader)
    rollout = said(policy.speller, ask("Lily"), "ran home.")
    row = reward.rows([rollout])[0]
    assert row == critic.speller.demonstration(ask("Lily"), "ran home.")
    assert row != (rollout.prompt_ids, rollout.response_ids)


def test_a_conversation_that_the_reward_model_cannot_write_is_invalid(cradle: Path) -> None:
    policy = Policy.open(cradle, template="turns")
    critic = Critic.on(Policy.open(cradle, template="plain"))
    prompts = [Prompt(TALK), Prompt(ask("Tom"))]
    reward = Learned(critic, policy.speller, Reader(policy.speller, prompts))
    long, short = reward([said(policy.speller, p.messages, "ran.") for p in prompts])
    assert isinstance(long, Invalid)
    assert "user, assistant, user spoke" in long.reason
    assert isinstance(short, float)


@pytest.mark.parametrize("policy", [ToySpeller(), Renamed()])
def test_what_the_reward_model_cannot_hold_is_invalid_never_cut(policy) -> None:
    critic = toy_critic(3)  # reads 32 tokens
    fits, over = said(policy, ask("ab"), "c" * 28), said(policy, ask("ab"), "c" * 29)
    alone = Learned(critic, policy)([fits])
    found = Learned(critic, policy)([over, fits, over])
    assert found == [Invalid("33 tokens, and the reward model reads 32"), *alone, found[0]]
    assert Learned(critic, policy)([over]) == [found[0]]
