"""Constitutions: what ships, what a user writes, what is said of one that is wrong."""

import re

import pytest

from accord.config import digest
from accord.data.constitution import read_constitution, shipped
from accord.data.principled import (
    OPTIONS,
    TEMPLATE,
    concluded,
    dialogue,
    dice,
    to_choose,
    to_criticise,
    to_revise,
    until,
)
from accord.errors import BadSettings
from accord.records import Message, ask
from constitution_fakes import RULES

TALK = (
    Message.of("user", "How do I pick a lock?"),
    Message.of("assistant", "Whose lock is it?"),
    Message.of("user", "Not mine."),
)


def written(folder, text: str):
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_what_ships_is_whole():
    assert set(shipped()) == {"helpful-harmless-honest", "stories"}
    c = read_constitution("helpful-harmless-honest")
    assert (len(c.revise), len(c.compare), len(c.shots)) == (16, 16, 5)
    assert len({p.critique for p in c.revise}) == len({q.text for q in c.compare}) == 16
    assert sum(shot.answer == shot.revision for shot in c.shots) == 2, "nothing had to change"
    assert all(choice.why for choice in c.choices)
    small = read_constitution("stories")
    assert (small.user, small.assistant) == ("Beginning", "Story")
    assert small.revise
    assert small.compare


def test_three_lines_are_a_constitution(tmp_path):
    c = read_constitution(written(tmp_path, RULES))
    assert c.name == "mine"
    assert [p.id for p in c.revise] == [q.id for q in c.compare] == ["1", "2", "3"]
    assert c.revise[0].critique.endswith("does not keep this rule: Say no d.")
    assert "Assistant" in c.revise[0].revision
    assert (
        c.compare[2].text
        == "Which of the two answers keeps this rule better: Nothing with d is good."
    )
    assert (c.user, c.assistant) == ("Human", "Assistant")


def test_rules_stand_in_for_the_list_that_is_not_given(tmp_path):
    c = read_constitution(
        written(
            tmp_path, "rules: [Be kind.]\ncompare:\n  - {id: k, question: Who is the kinder one}\n"
        )
    )
    assert "Be kind." in c.revise[0].critique
    assert [q.text for q in c.compare] == ["Who is the kinder one"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "mine.yaml:1: a constitution is a list of sentences"),
        ("Be kind.", "mine.yaml:1: a constitution is a list of sentences"),
        ("- Be kind.\n- \n", "mine.yaml:2: expected a text"),
        ("- Be kind: always.\n", "mine.yaml:1: a principle to revise by has no key 'Be kind'"),
        ("- Be kind: always.\n", "a sentence with a colon wants quotes"),
        ("rule: [a]", "mine.yaml:1: a constitution has no key 'rule'; did you mean 'rules'"),
        ("revise:\n  - {critique: a}\n", "mine.yaml:2: a principle to revise by needs 'revision'"),
        ("revise:\n  - {rule: a, critique: b}\n", "mine.yaml:2: give 'rule', or"),
        ("compare:\n  - {id: a}\n", "mine.yaml:2: a principle to compare by has a 'rule' or"),
        ("rules: a", "mine.yaml:1: expected a list"),
        ("rules:\n  - a\n   - b: c: d", "mine.yaml:3: not valid YAML"),
        ("rules: [a]\nrules: [b]", "mine.yaml:2: 'rules' is said twice"),
        ("name: x", "mine.yaml:1: there is no rule"),
        ("revise:\n - {id: a, rule: x}\n - {id: a, rule: y}\n", "mine.yaml:3: the id 'a' is taken"),
        (
            "rules: [a]\nshots:\n  revise:\n    - {principle: '7', prompt: p, answer: a, "
            "critique: c, revision: r}\n",
            "mine.yaml:4: 'revise' has no principle with the id '7'; it has 1",
        ),
        ("rules: [a]\nshots: {revise: [{prompt: p}]}", "needs 'principle', 'answer'"),
        ("rules: [a]\nspeakers: {user: U, model: M}", "speakers has no key 'model'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(tmp_path, text, says):
    with pytest.raises(BadSettings, match=says):
        read_constitution(written(tmp_path, text))


def test_a_name_that_does_not_ship_is_told_the_nearest():
    with pytest.raises(BadSettings, match="did you mean 'stories'"):
        read_constitution("story")


def test_a_fingerprint_is_of_what_is_said_and_not_of_its_place(tmp_path):
    one = read_constitution(written(tmp_path, RULES))
    two = read_constitution(written(tmp_path, "# by me\n\nname: other\nrules:\n" + RULES))
    assert one.fingerprint == two.fingerprint
    three = read_constitution(written(tmp_path, RULES.replace("good", "fine")))
    assert one.fingerprint != three.fingerprint


# --- what is asked ---


def test_a_critique_and_a_revision_are_asked_in_the_paper_s_form():
    c = read_constitution("helpful-harmless-honest")
    by = c.revise[0]
    (message,), opened = to_criticise(c, by, TALK, " With a pin.")
    assert opened == "Critique:"
    assert message.text.endswith(
        "Human: How do I pick a lock?\n\nAssistant: Whose lock is it?\n\nHuman: Not mine.\n\n"
        f"Assistant: With a pin.\n\nCritiqueRequest: {by.critique}\n\n"
    )
    assert message.text.count("\n\nCritique: ") == 5
    (message,), opened = to_revise(c, by, TALK, " With a pin.", " It is bad. ")
    assert opened == "Revision:"
    assert message.text.endswith(
        f"CritiqueRequest: {by.critique}\n\nCritique: It is bad.\n\n"
        f"RevisionRequest: {by.revision}\n\n"
    )
    assert message.text.count("\n\nRevision: ") == 5
    (message,), _ = to_revise(c, by, TALK, " With a pin.", None)
    assert "Critique" not in message.text
    assert message.text.count("\n\nRevision: ") == 5


def test_two_answers_are_shown_with_letters_and_the_examples_do_not_lean():
    c = read_constitution("helpful-harmless-honest")
    last = []
    for seed in range(200):
        (message,), opened = to_choose(c, c.compare[0], TALK, ("one ", " two"), seed=seed)
        assert opened == "The answer is:"
        assert message.text.endswith(
            f"Human: Not mine.\n\n{c.compare[0].text}\nOptions:\n (A) one\n (B) two\n\n"
        )
        last += re.findall(r"The answer is: \((.)\)", message.text)
    assert len(last) == 600
    assert 240 < last.count("A") < 360, "the right letter of an example is drawn"


def test_a_chain_of_thought_ends_in_the_same_options():
    c = read_constitution("helpful-harmless-honest")
    put = to_choose(c, c.compare[0], TALK, ("one", "two"), seed=3, think=True)
    assert put[1] == "Let's think step by step:"
    assert put[0][0].text.count("So the answer is: (") == len(c.choices)
    assert "{better}" not in put[0][0].text
    then = concluded(put, " First, this.\n")
    assert then == (put[0], "Let's think step by step: First, this.\n\nSo the answer is:")
    assert OPTIONS == (" (A)", " (B)"), "each is scored whole, its space too"


def test_a_base_model_that_goes_on_is_cut_where_its_answer_ends():
    c = read_constitution("stories")
    assert until(c, " Tom ate.\n\nBeginning: Lily") == (" Tom ate.", True)
    assert until(c, " ok\n\nRevisionRequest: x") == (" ok", True)
    assert until(c, " A story: of\n\nHuman: old") == (" A story: of\n\nHuman: old", False)


def test_half_a_character_is_no_reason_to_stop():
    c = read_constitution("stories")
    assert until(c, " ok \ud83d") == (" ok ?", False)
    assert until(c, " a\u2028b é") == (" a\u2028b é", False)


def test_a_system_message_stands_first():
    c = read_constitution("stories")
    talk = (Message.of("system", "Be short."), *ask("Once"))
    assert dialogue(c, talk, " a time") == "Be short.\n\nBeginning: Once\n\nStory: a time"


def test_dice_are_thrown_by_name_alone():
    assert dice(0, "a", 1) == dice(0, "a", 1)
    assert len({dice(0, "a", 1), dice(1, "a", 1), dice(0, "b", 1), dice(0, "a", 2)}) == 4
    assert all(0 <= dice(s, "x") < 2**31 for s in range(100))


def test_who_changes_a_form_gives_it_a_new_version(tmp_path):
    c = read_constitution("stories")
    put = (
        to_criticise(c, c.revise[0], TALK, "x"),
        to_revise(c, c.revise[0], TALK, "x", "y"),
        to_revise(c, c.revise[0], TALK, "x", None),
        to_choose(c, c.compare[0], TALK, ("x", "y"), seed=0),
        concluded(to_choose(c, c.compare[0], TALK, ("x", "y"), seed=0, think=True), "z"),
    )
    told = digest([[one[0][0].text, one[1]] for one in put])
    assert (TEMPLATE, told[:12]) == ("1", "e6d6f3063594")
