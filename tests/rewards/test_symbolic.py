"""Right options, yes and no: by the rules of LLaVA-RLHF's code, and evenly."""

import pytest

from accord.errors import BadData
from accord.records import Prompt, Rollout, ask
from accord.rewards.choose import Tokens
from accord.rewards.reader import Reader
from accord.rewards.symbolic import Correct, YesNo, normal
from accord.text.tokenizer import Speller


@pytest.fixture(scope="module")
def speller(tmp_path_factory):
    import tongues

    return Speller.load(tongues.folder(tmp_path_factory.mktemp("s")))


def score(speller, truth, answer, **more):
    prompts = [Prompt(ask("What?"), "p", truth), Prompt(ask("Else?"), "q", "yes")]
    reward = Correct.of(Reader(speller, prompts), prompts, **more)
    ids = speller.prompt_ids(ask("What?"))
    said = Rollout("0", ids, speller.response_ids(answer), (), 0, "stop")
    return reward([said])[0]


@pytest.mark.parametrize(
    ("truth", "answer", "worth"),
    [
        ("B", "B. a cat", 1.0),
        ("B", "  B. a cat", 1.0),
        ("B", "The correct option is B. It sits.", 1.0),
        ("B", "B", 0.0),
        ("B", "A. a dog", 0.0),
        ("(C)", "C. so", 1.0),
        ("no", "No, there is none.", 0.5),
        ("No.", "Yes, there is.", -0.5),
        ("no", "There is none.", 0.0),
        ("yes", "Yes.", 0.5),
        ("yes", "No.", -0.5),
        ("a long true sentence", "a long true sentence", 0.0),
    ],
)
def test_what_an_answer_is_worth(speller, truth, answer, worth):
    assert score(speller, truth, answer) == worth


def test_the_authors_pay_nothing_where_yes_is_right(speller):
    code = YesNo(0.0, 0.0)
    assert score(speller, "yes", "Yes.", yes=code) == 0
    assert score(speller, "yes", "No.", yes=code) == 0
    assert score(speller, "no", "No.", yes=code) == 0.5


def test_nothing_known_is_told(speller):
    prompts = [Prompt(ask("What?"), "p", "a sentence")]
    with pytest.raises(BadData, match="no prompt has a letter"):
        Correct.of(Reader(speller, prompts), prompts)


def test_it_has_a_name_that_changes_with_what_is_right(speller):
    names = set()
    for truth in ("yes", "no"):
        prompts = [Prompt(ask("What?"), "p", truth)]
        names.add(Correct.of(Reader(speller, prompts), prompts).which)
    assert len(names) == 2


def test_truths_are_read():
    assert [normal(t) for t in ("A", "b", "(D)", "E.", "YES", " no. ", "Bee", "")] == [
        "A",
        "",
        "D",
        "E",
        "yes",
        "no",
        "",
        "",
    ]


def test_a_token_may_cost_more_by_prompt(speller):
    prompts = [Prompt(ask("What?"), "p", price=2.0), Prompt(ask("Else?"), "q")]
    reader = Reader(speller, prompts)
    said = [
        Rollout(str(i), speller.prompt_ids(p.messages), (5, 6, 7), (), 0, "stop")
        for i, p in enumerate(prompts)
    ]
    assert Tokens(reader)(said) == [3.0, 3.0]
    assert Tokens(reader, {prompts[0].messages: 2.0})(said) == [6.0, 3.0]
    assert Tokens(reader).which != Tokens(reader, {prompts[0].messages: 2.0}).which
