"""Revising and comparing under a constitution, by a model that keeps its rule to the letter."""

import math

import pytest
import torch

from accord.data.constitution import read_constitution
from accord.engine.llm import Spoken
from accord.maths.feedback import by_place, clamped, preferred, unswapped
from accord.maths.preference import BradleyTerry, Compared
from accord.recipes.constitutional import compare, revise
from accord.recipes.revising import Revise
from accord.recipes.weighing import Feedback, Label, Pair, Thought
from accord.records import Invalid, Prompt, ask
from constitution_fakes import RULES, Odd, RuleLLM, shown

PROMPTS = [Prompt(ask(text), name) for name, text in zip("uvwx", ("a", "ab", "d", "cb"))]
FIRSTS = ["ddd", "bd", "a", "dcd"]
ANSWERS = [("d", "a"), ("ab", "dd"), ("a", "b"), ("d", "dd")]
PAIRS = [Pair(p.id, p.messages, two) for p, two in zip(PROMPTS, ANSWERS)]


@pytest.fixture
def c(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return read_constitution(path)


def texts(made, place: int) -> list:
    return [one.text for one in sorted(made, key=lambda r: r.round) if one.place == place]


# --- the numbers of the spec ---


def test_labels_as_computed_elsewhere():
    q = preferred(-1.2, -2.3)
    assert q == pytest.approx(0.7502601056, abs=1e-10)
    assert clamped(q, 0.4, 0.6) == 0.6
    assert preferred(-2.3, -1.2) == pytest.approx(1 - q)
    assert preferred(-1000.0, -3.0) == 0.0
    assert preferred(-math.inf, -3.0) == 0.0
    with pytest.raises(ValueError, match="neither option"):
        preferred(-math.inf, -math.inf)


@pytest.mark.parametrize(("q", "loss"), [(0.7502601056, 0.5989469314), (0.6, 0.6740769842)])
def test_the_preference_model_honours_soft_labels(q, loss):
    told = BradleyTerry()(
        Compared(
            torch.tensor([[0.5, 0.0]], dtype=torch.float64),
            torch.ones(1, 2, dtype=torch.bool),
            torch.tensor([[0, 1]]),
            torch.tensor([math.nan]),
            torch.tensor([q], dtype=torch.float64),
        )
    )
    assert float(told.each) == pytest.approx(loss, abs=1e-9)


def test_what_place_alone_decides_falls_out():
    assert unswapped(0.9, 0.9) == pytest.approx(0.5)
    assert by_place(0.9, 0.9) == pytest.approx(0.4)
    assert unswapped(0.8, 0.2) == pytest.approx(0.8)
    assert by_place(0.8, 0.2) == pytest.approx(0.0)


# --- revisions ---


def test_each_round_revises_what_the_last_one_made(c):
    llm, heard = RuleLLM(), []
    made = revise(
        Revise(rounds=3), c, llm, PROMPTS, FIRSTS, told=lambda n, few: heard.append((n, len(few)))
    )
    assert texts(made, 0) == ["add", "aad", "aaa"]
    assert texts(made, 3) == ["acd", "aca", "aca"]
    assert texts(made, 2) == ["a", "a", "a"]
    assert [one.changed for one in made if one.place == 3] == [True, True, False]
    assert heard == [(1, 4), (2, 4), (3, 4)]
    assert llm.calls == 6, "a critique and a revision of all prompts side by side, each round"
    assert {one.critique for one in made if one.place == 0} == {
        f"there is {n} of it" for n in (3, 2, 1)
    }


def test_principles_are_drawn_for_each_round_and_prompt_alone(c):
    many = [Prompt(ask("a"), str(i)) for i in range(300)]
    made = revise(Revise(rounds=2), c, RuleLLM(), many, ["d"] * 300)
    first = [one.principle for one in made if one.round == 1]
    second = [one.principle for one in made if one.round == 2]
    assert all(70 < first.count(name) < 130 for name in "123")
    same = sum(a == b for a, b in zip(first, second))
    assert 70 < same < 130, "independent of the round before"
    alone = revise(Revise(rounds=2), c, RuleLLM(), many[7:8], ["d"])
    assert [(o.principle, o.seed) for o in alone] == [
        (o.principle, o.seed) for o in made if o.place == 7
    ], "whatever else is revised beside it"
    other = revise(Revise(rounds=1), c, RuleLLM(), many, ["d"] * 300, seed=1)
    assert [one.principle for one in other] != first


def test_without_critiques_there_are_none(c):
    llm = RuleLLM()
    made = revise(Revise(rounds=2, skip_critique=True), c, llm, PROMPTS, FIRSTS)
    assert texts(made, 0) == ["add", "aad"]
    assert llm.calls == 2
    assert not any("Critique" in one.messages[0].text for one in llm.asked)


def test_a_failed_round_is_counted_and_the_next_goes_on_from_the_last_good_answer(c):
    bad = {
        ("Critique:", "ddd"): Invalid("server is down"),
        ("Revision:", "bd"): Spoken("  ", True),
        ("Revision:", "dcd"): Spoken(" dc", False),
        ("Critique:", "cc"): Spoken("\n\nHuman: and", False),
        ("Revision:", "a"): Invalid("too long"),
    }
    seen: set = set()

    def once(one):
        text = one.messages[0].text
        answer = next(w for w in ("ddd", "bd", "dcd", "cc", "a") if f"Assistant: {w}\n" in text)
        key = (one.opened, answer)
        return None if key in seen or key not in bad else (seen.add(key), bad[key])[1]

    more = [*PROMPTS, Prompt(ask("b"), "y")]
    made = revise(Revise(rounds=2), c, Odd(once), more, [*FIRSTS, "cc"])
    assert texts(made, 4) == [Invalid("critique: empty"), "cc"]
    assert texts(made, 0) == [Invalid("critique: server is down"), "add"]
    assert texts(made, 1) == [Invalid("revision: empty"), "ba"]
    assert texts(made, 2) == [Invalid("revision: too long"), "a"]
    assert texts(made, 3) == [Invalid("revision: cut at revise.longest="), "acd"]
    assert not any(one.changed for one in made if isinstance(one.text, Invalid))


def test_a_base_model_that_goes_on_with_the_next_turn_has_ended(c):
    def goes_on(one):
        return Spoken(" ab\n\nHuman: more", False) if one.opened == "Revision:" else None

    made = revise(Revise(rounds=1), c, Odd(goes_on), PROMPTS[:1], [" ddd"])
    assert texts(made, 0) == [" ab"], "and begins with a space, as the answer before"


# --- comparisons ---


def test_a_label_is_the_mean_of_both_orders(c):
    even, biased = RuleLLM(), RuleLLM(bias=2.0)
    fair = compare(Feedback(), c, even, PAIRS)
    assert fair[0].q == pytest.approx(preferred(-2.0, -1.0))
    assert fair[1].q == pytest.approx(preferred(-1.0, -3.0))
    assert fair[2].q == 0.5
    assert all(one.place == pytest.approx(0) for one in fair)
    swapped = compare(Feedback(), c, biased, PAIRS)
    assert swapped[2].q == pytest.approx(0.5), "a judge who looks at the place says nothing"
    assert swapped[2].place == pytest.approx(preferred(2.0, 0.0) - 0.5)
    naive = compare(Feedback(swap=False), c, biased, PAIRS)
    assert naive[2].q == pytest.approx(preferred(2.0, 0.0))
    assert naive[2].place is None
    assert even.asked[0].opened == "The answer is:"
    assert (shown(even.asked[0]), shown(even.asked[1])) == (("d", "a"), ("a", "d"))


def test_labels_are_averaged_over_the_principles_that_are_asked(c):
    def picky(one):
        two = shown(one)
        return (
            (-1.0 - two[0].count("d"), -1.0)
            if "Say no d." in one.messages[0].text
            else (-1.0, -1.0)
        )

    llm = RuleLLM()
    llm.weight = picky
    (label,) = compare(Feedback(principles=9), c, llm, PAIRS[:1])
    assert label.principles == ("1", "2", "3")
    assert len(llm.asked) == 6
    mean = (unswapped(preferred(-2.0, -1.0), preferred(-1.0, -1.0)) + 0.5 + 0.5) / 3
    assert label.q == pytest.approx(mean)
    drawn = [compare(Feedback(), c, RuleLLM(), PAIRS, seed=s)[0].principles for s in range(60)]
    assert {one for (one,) in drawn} == {"1", "2", "3"}


def test_a_chain_of_thought_is_held_near_even(c):
    llm = RuleLLM(slope=50.0)
    (sure,) = compare(Feedback(), c, llm, PAIRS[:1])
    assert sure.q < 1e-9
    (label,) = compare(Feedback(think=Thought(n=3, temperature=0.5)), c, llm, PAIRS[:1])
    assert label.q == pytest.approx(0.4)
    assert llm.how[-1].temperature == 0.5
    chains = [one for one in llm.asked if one.opened == "Let's think step by step:"]
    assert len(chains) == len({one.seed for one in chains}) == 6, "3 of each order, other dice each"
    last = llm.asked[-1].opened
    assert last.startswith("Let's think step by step: there is")
    assert last.endswith("\n\nSo the answer is:")
    (wide,) = compare(Feedback(think=Thought(low=0.1, high=0.9)), c, llm, PAIRS[:1])
    assert wide.q == pytest.approx(0.1)


def test_chains_that_fail_are_left_out_and_all_failed_is_invalid(c):
    lost = iter([Invalid("busy"), None] * 2)
    (label,) = compare(Feedback(think=Thought(n=2)), c, Odd(lambda a: next(lost)), PAIRS[:1])
    assert isinstance(label, Label)
    none = Odd(lambda one: Spoken(" ", True))
    (label,) = compare(Feedback(think=Thought(n=2)), c, none, PAIRS[:1])
    assert label == Invalid("chain of thought: empty")


def test_one_order_alone_is_no_label(c):
    llm = RuleLLM()
    llm.weight = lambda one: (
        Invalid("no log-probabilities") if shown(one)[0] == "a" else (-1.0, -2.0)
    )
    assert compare(Feedback(), c, llm, PAIRS[:1]) == [Invalid("no log-probabilities")]
    llm.weight = lambda one: (-math.inf, -math.inf)
    assert compare(Feedback(), c, llm, PAIRS[:1]) == [Invalid("neither option has any probability")]


def test_hard_labels_are_the_likelier_side(c):
    labels = compare(Feedback(labels="hard"), c, RuleLLM(), PAIRS)
    assert [one.q for one in labels] == [0.0, 1.0, 0.5, 1.0]


def test_a_label_does_not_hang_on_what_is_beside_it(c):
    together = compare(Feedback(principles=2), c, RuleLLM(bias=0.3), PAIRS)
    alone = [compare(Feedback(principles=2), c, RuleLLM(bias=0.3), [one])[0] for one in PAIRS]
    assert together == alone
