"""What becomes of answers that ask: the hidden rule of LLaVA-RLHF's code."""

import pytest

import tongues
from accord.records import Rollout, ask
from accord.rewards.ending import Questions, Relative, ended, heard
from accord.text.tokenizer import Speller


@pytest.fixture(scope="module")
def speller(tmp_path_factory):
    return Speller.load(tongues.folder(tmp_path_factory.mktemp("s")))


def said(speller, text):
    ids = speller.response_ids(text)
    return Rollout("0", speller.prompt_ids(ask("Hi")), ids, (-1.0,) * len(ids), 0, "stop")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("A cat. Is it? It is.", "A cat. Is it?"),
        ("Is it ? Yes.", "Is it ?"),
        ("What? Why? Yes.", "What?"),
    ],
)
def test_an_answer_is_judged_up_to_its_question(speller, text, left):
    (one,) = heard(Questions(), [said(speller, text)], speller)
    assert speller.text(one) == left
    assert one.finish == "length"
    assert len(one.logp) == len(one.response_ids)
    assert ended(Questions(), [one], [1.0]) == [-7.0]


class Letters:
    """A speller of one letter a token, one of them with a space."""

    def raw(self, ids):
        return "".join({1: "a", 2: " ?", 3: "?"}[i] for i in ids)


def test_the_mark_without_a_space_wins_wherever_it_is():
    one = Rollout("0", (0,), (1, 2, 1, 3, 1), (0.0,) * 5, 0, "stop")
    assert Questions().heard(one, Letters()).response_ids == (1, 2, 1, 3)


def test_without_a_question_nothing_changes(speller):
    whole = said(speller, "A cat. It sits.")
    assert heard(Questions(), [whole], speller) == [whole]
    assert ended(Questions(), [whole], [1.0]) == ended(Relative(-8.0), [whole], [1.0]) == [1.0]
