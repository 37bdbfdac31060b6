"""A policy as one who is asked: its own samples, and its own log-probabilities of options."""

from pathlib import Path

import pytest

from accord.data.rows import pad
from accord.engine.draw import Sampling
from accord.engine.llm import Ask, Spoken
from accord.engine.local import Local
from accord.engine.roles import Policy
from accord.errors import BadData
from accord.records import Invalid, Message, ask
from recipe_fakes import newborn


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return Policy.open(newborn(tmp_path_factory.mktemp("local") / "model"))


@pytest.fixture(scope="module")
def llm(policy: Policy) -> Local:
    return Local(policy, lot=4)


def slow(policy: Policy, prompt: str, opened: str, option: str) -> float:
    """log p(opened + option) - log p(opened), each scored alone and whole."""
    spell, read = policy.speller, policy.speller.prompt_ids(ask(prompt))

    def whole(text: str) -> float:
        ids = spell.begun(text)
        return float(policy.logp(pad([read], [ids])).sum()) if ids else 0.0

    return whole(opened + option) - whole(opened)


@pytest.mark.parametrize("opened", ["", " so", " the", " th", " it is ("])
@pytest.mark.parametrize("options", [(" A", " B"), (" cat", " cat sat"), ("e dog", "e"), ("s",)])
def test_options_weigh_what_they_weigh_alone(
    policy: Policy, llm: Local, opened: str, options: tuple[str, ...]
) -> None:
    asks = [Ask(ask(prompt), opened) for prompt in ("once upon", "a", "the cat")]
    heard = llm.weigh(asks, [options] * 3)
    for one, given in zip(asks, heard, strict=True):
        assert isinstance(given, tuple)
        want = [slow(policy, one.messages[0].text, opened, option) for option in options]
        assert given == pytest.approx(want, abs=2e-4)


def test_it_samples_as_the_policy_does(policy: Policy, llm: Local) -> None:
    asks = [Ask(ask(prompt), seed=seed) for prompt in ("once", "the cat") for seed in range(4)]
    heard = llm.say(asks, longest=6)
    assert len({one.text for one in heard if isinstance(one, Spoken)}) > 2
    alone = [llm.say([one], longest=6)[0] for one in reversed(asks)]
    assert alone[::-1] == heard, "whatever is asked beside it"
    assert llm.say([asks[0]] * 6, longest=6) == [heard[0]] * 6
    greedy = llm.say(asks[:4], longest=6, how=Sampling(temperature=0))
    assert len({one.text for one in greedy if isinstance(one, Spoken)}) == 1
    for one in heard:
        assert isinstance(one, Spoken)
        assert one.read > 0
        assert one.ended == (one.written < 6) or one.written == 6


def test_what_it_begins_with_is_read_and_not_given_back(policy: Policy, llm: Local) -> None:
    (begun,) = llm.say([Ask(ask("once"), " upon a")], longest=5, how=Sampling(temperature=0))
    ids = (*policy.speller.prompt_ids(ask("once")), *policy.speller.begun(" upon a"))
    (rollout,) = policy.sample([ids], longest=5, seed=0, how=Sampling(temperature=0))
    assert isinstance(begun, Spoken)
    assert begun.text == policy.speller.text(rollout)
    assert begun.read == len(ids)


def test_what_cannot_be_read_is_invalid_with_its_reason(policy: Policy, llm: Local) -> None:
    long = Ask(ask("once " * 5000))
    talk = Ask((Message.of("user", "a"), Message.of("assistant", "b"), Message.of("user", "c")))
    heard = llm.say([long, Ask(ask("once")), talk], longest=5)
    assert isinstance(heard[0], Invalid)
    assert f"the model has room for {policy.context}" in heard[0].reason
    assert isinstance(heard[1], Spoken)
    assert isinstance(heard[2], Invalid)
    assert "template=turns" in heard[2].reason
    weighed = llm.weigh([long, Ask(ask("once")), talk], [(" A", " B")] * 3)
    assert [type(one) for one in weighed] == [Invalid, tuple, Invalid]
    with pytest.raises(BadData, match="texts to choose from"):
        llm.weigh([Ask(ask("once"))], [()])
    assert llm.say([], longest=5) == llm.weigh([], []) == []


def test_who_it_is_depends_on_its_weights(policy: Policy, llm: Local, tmp_path: Path) -> None:
    other = Policy.open(newborn(tmp_path / "other", seed=1))
    assert llm.which == Local(policy).which != Local(other).which
    assert policy.speller.fingerprint[:12] in llm.which
