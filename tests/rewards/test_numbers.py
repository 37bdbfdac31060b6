"""Answers that come to a number: how it is found, and when it is the right one."""

import json
from fractions import Fraction

import pytest

from accord.data.sources import read, write
from accord.errors import BadData
from accord.records import Prompt, ask
from accord.rewards.base import Sum
from accord.rewards.choose import Choice
from accord.rewards.foreign import Reading
from accord.rewards.guard import Guard
from accord.rewards.numbers import Numbers, final
from accord.rewards.reader import Reader
from accord.rewards.remote import Server
from reward_fakes import Digits, said


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("#### 72", 72),
        ("5 * 3 = <<5*3=15>>15 eggs\n#### 1,000", 1000),
        ("#### $1,234,567.50", Fraction("1234567.5")),
        ("#### -3", -3),
        ("#### −3", -3),
        ("#### -$3", -3),
        ("#### 5.0", 5),
        ("#### 18\nQuestion: and 3?", 18),
        ("A: 26", 26),
        ("First 3.\nA: 26 eggs, not 30", 26),
        ("The answer is: 12.", 12),
        ("so the answer is 7", 7),
        ("Answer = 8", 8),
        (r"so \boxed{5}, not 6", 5),
        (r"\boxed{1} then \boxed{\$1,000}", 1000),
        (r"\boxed{\frac{1}{2}}", Fraction(1, 2)),
        (r"\boxed{\text{about } 3{,}000}", 3000),
        (r"\boxed{nothing} 4", None),
        ("7 / 2 of it, or 3/4", Fraction(3, 4)),
        ("3 + 4 = 7.", 7),
        ("10 - 4", 4),
        ("from 3-2", 2),
        ("x=.5", Fraction(1, 2)),
        ("costs $12.50.", Fraction("12.5")),
        ("50%", 50),
        ("1/0 of 2", 2),
        ("version v1.2.3", None),
        ("no number", None),
        ("#### none, but 9 before", 9),
        ("9" * 5000, None),
        ("", None),
    ],
)
def test_what_a_text_comes_to(text, number):
    assert final(text) == number


def test_the_graders_of_gsm8k_are_agreed_with(shared):
    """All 5,276 verdicts that came with the solutions of four models (Cobbe et al. 2021)."""
    told = shared("data/gsm8k/example_model_solutions.jsonl").read_text().splitlines()
    count = 0
    for row in map(json.loads, told):
        right = final(row["ground_truth"])
        for made in filter(lambda x: isinstance(x, dict), row.values()):
            assert (final(made["solution"]) == right) == made["is_correct"], made["solution"]
            count += 1
    assert count == 5276


def test_every_answer_of_gsm8k_is_known(shared):
    found = read(shared("data/gsm8k/test.jsonl"), "prompts")
    assert len(found.records) == 1319
    for prompt in found.records:
        said = prompt.truth.split("#### ")[1].replace(",", "")
        assert final(prompt.truth) == Fraction(said)


PROMPTS = [Prompt(ask("2+2"), "a", "#### 4"), Prompt(ask("half"), "b", "0.5")]


def test_right_is_one_and_all_else_is_nothing():
    reward = Numbers(Reader(Digits(), PROMPTS), PROMPTS)
    answers = [said("2+2", "4"), said("2+2", "5 and #### 4.0"), said("2+2", "5"), said("2+2", "?")]
    answers += [said("half", "1/2"), said("half", "4")]
    assert reward(answers) == [1, 1, 0, 0, 1, 0]


def test_its_name_says_what_was_right():
    reader = Reader(Digits(), PROMPTS)
    other = [PROMPTS[0], Prompt(ask("half"), "b", "0.6")]
    assert Numbers(reader, PROMPTS).which == Numbers(reader, PROMPTS[::-1]).which
    assert Numbers(reader, PROMPTS).which != Numbers(reader, other).which


@pytest.mark.parametrize("prompts", [[], [PROMPTS[0], Prompt(ask("why?"))]])
def test_prompts_without_a_number_are_refused(prompts):
    with pytest.raises(BadData, match="reward=gsm8k must know the right number"):
        Numbers(Reader(Digits(), prompts), prompts)


def test_it_has_a_name_and_can_be_weighed():
    reader = Reader(Digits(), PROMPTS)
    named = {"gsm8k": lambda: Numbers(reader, PROMPTS)}
    choice = Choice(reader, "fp32", Guard(), Reading(), Server(), named=named)
    assert isinstance(choice.of(["gsm8k"]), Numbers)
    both = choice.of(["2*gsm8k", "-0.1*tokens"])
    assert isinstance(both, Sum)
    assert both([said("2+2", "4"), said("2+2", "55")]) == pytest.approx([1.9, -0.2])


@pytest.mark.parametrize(
    ("row", "truth"),
    [
        ({"question": "q", "answer": "#### 3"}, "#### 3"),
        ({"prompt": "q", "truth": "3"}, "3"),
        ({"prompt": "q", "answer": 3}, "3"),
        ({"prompt": "q", "response": "r"}, "r"),
        ({"instruction": "q", "output": "o"}, "o"),
        (
            {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
            "a",
        ),
        ({"prompt": "q"}, ""),
    ],
)
def test_a_prompt_brings_its_answer_along(tmp_path, row, truth):
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row) + "\n")
    (prompt,) = read(file, "prompts").records
    assert (prompt.messages, prompt.truth) == (ask("q"), truth)
    assert prompt == Prompt(ask("q"), prompt.id), "which is not what makes it this prompt"
    write(tmp_path / "again.jsonl", [prompt])
    (again,) = read(tmp_path / "again.jsonl", "prompts").records
    assert again.truth == truth
