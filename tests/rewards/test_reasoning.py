"""Tasks of reasoning-gym: the same from the same words, and checked by what made them."""

import builtins

import pytest

from accord.errors import BadSettings, MissingExtra
from accord.rewards.guard import Guard
from accord.rewards.reader import Reader
from accord.rewards.reasoning import Checker, Reasoning
from reward_fakes import Digits, said

pytestmark = pytest.mark.filterwarnings("default")
SMALL = Reasoning("chain_sum", size=4, options="min_terms=2,max_terms=2,max_digits=1")


@pytest.fixture(autouse=True)
def _there():
    pytest.importorskip("reasoning_gym")


def test_tasks_are_a_function_of_their_words():
    prompts = SMALL.prompts()
    assert len(prompts) == 4
    assert [p.truth for p in prompts] == [p.truth for p in SMALL.prompts()]
    assert [p.id for p in prompts] == [f"chain_sum-0-{i}" for i in range(4)]
    others = Reasoning("chain_sum", size=4, seed=1, options=SMALL.options).prompts()
    assert prompts != others
    longer = Reasoning("chain_sum", size=4, options="min_terms=9,max_terms=9").prompts()
    assert len(longer[0].messages[0].text) > len(prompts[0].messages[0].text)


def test_a_question_comes_once():
    tiny = Reasoning("coin_flip", size=40, options="min_trials=1,max_trials=1")
    prompts = tiny.prompts()
    assert len({p.messages for p in prompts}) == len(prompts) <= 40


def test_right_and_wrong_in_a_process_of_its_own():
    prompts = SMALL.prompts()
    reader = Reader(Digits(), prompts)
    reward = SMALL.reward(reader, Guard(seconds=60))
    asked = prompts[0].messages[0].text
    right = said(asked, f" {prompts[0].truth}\n")
    assert reward([right, said(asked, "no idea"), said(asked, "")])[0] == 1
    assert all(0 <= score < 1 for score in reward([said(asked, "no idea"), said(asked, "")]))
    other = Reasoning("chain_sum", size=4, seed=1, options=SMALL.options)
    assert other.reward(reader, Guard()).which != reward.which


def test_answers_in_tags():
    tagged = Reasoning("chain_sum", size=4, options=SMALL.options, tag="answer")
    judge, prompts = Checker(tagged), SMALL.prompts()
    asked, truth = prompts[1].messages[0].text, prompts[1].truth

    def score(text):
        return judge.score([[{"role": "user", "content": asked}]], [text])[0]

    assert score(f"<answer>0</answer> no: <answer> {truth} </answer>") == 1
    assert score(truth) == score(f"<answer>{truth}") == score("<answer>-7</answer>") == 0


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"task": "chain_sums"}, "did you mean 'chain_sum'"),
        ({"task": "zzzzzzzz"}, "it has "),
        ({"options": "min_termz=2"}, "does not take these options"),
        ({"options": "min_terms=0"}, "does not take these options"),
        ({"options": "min_terms"}, "'min_terms' is not name=value"),
        ({"options": "seed=3"}, "size and seed are settings beside it"),
    ],
)
def test_what_it_does_not_know_is_one_sentence(told, says):
    with pytest.raises(BadSettings, match=says):
        Reasoning(**told).made()


def test_without_the_library_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def missing(name, *more):
        if name == "reasoning_gym":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtra, match=r"pip install 'accord\[reasoning\]'"):
        SMALL.prompts()
