"""The demo's parts: openings that give nothing away, a rule, and judges who err as they say."""

import math
from dataclasses import replace

import pytest

from accord.demo.openings import _all, openings
from accord.demo.panel import PANEL, Agreement, Annotator, Pair, agreement, judge
from accord.demo.rule import WORDS, names_animal, rule
from accord.records import Comparison, ask

LONG = "and then she went home " * (WORDS // 5 + 1)


def test_openings_are_the_same_for_a_seed() -> None:
    assert openings(50, 3) == openings(50, 3)
    assert openings(50, 3) != openings(50, 4)
    assert [p.id for p in openings(3)] == ["opening/0", "opening/1", "opening/2"]


def test_no_opening_comes_twice() -> None:
    every = _all()
    assert len(set(every)) == len(every)
    texts = [p.messages[0].text for p in openings(len(every))]
    assert sorted(texts) == sorted(every)
    with pytest.raises(ValueError, match="larger than population"):
        openings(len(every) + 1)


def test_no_opening_names_an_animal() -> None:
    """Else the model would be paid for what it was given."""
    assert [text for text in _all() if names_animal(text)] == []


def test_every_opening_is_sound() -> None:
    for text in _all():
        assert text.endswith(".")
        assert text == text.strip()
        assert "  " not in text


@pytest.mark.parametrize(
    "text",
    ["a dog", "Two Dogs!", "the little mice", "“Fish,” he said", "BUNNIES", "a fox's den", "foxes"],
)
def test_animals_are_seen(text: str) -> None:
    assert names_animal(text)


@pytest.mark.parametrize(
    "text", ["a dogma", "the category", "a scatter of beans", "they ate", "a cowl", "eagerly", ""]
)
def test_words_that_hold_an_animal_are_none(text: str) -> None:
    assert not names_animal(text)


def test_rule_adds_its_two_halves() -> None:
    animal = LONG + "and saw a cat"
    assert rule("p", animal, True) == 1.0
    assert rule("p", animal, False) == 0.5
    assert rule("p", LONG, True) == 0.5
    assert rule("p", LONG, False) == 0.0


def test_what_is_too_short_earns_nothing() -> None:
    short = "cat " * (WORDS - 1)
    assert rule("p", short, True) == 0.0
    assert rule("p", short + "cat", True) == 1.0


def test_the_prompt_earns_nothing() -> None:
    assert rule("a dog and a cat", LONG, False) == 0.0


def pairs(n: int, *, ties: int = 0) -> list[Pair]:
    """`n` pairs the rule decides, first and second in turn, then `ties` that it does not."""
    truths = [(1.0, 0.5) if i % 2 else (0.0, 0.5) for i in range(n)] + [(0.5, 0.5)] * ties
    return [Pair(f"pair/{i}", ask("p"), ("a", "b"), truth) for i, truth in enumerate(truths)]


def near(found: float, p: float, n: int) -> bool:
    """Within four standard errors of a share."""
    return abs(found - p) <= 4 * math.sqrt(p * (1 - p) / n) + 1e-12


@pytest.mark.parametrize("who", [*PANEL, Annotator("coin", 0.0), Annotator("oracle", 1.0)])
def test_an_annotator_is_as_reliable_as_it_says(who: Annotator) -> None:
    """The rule decides with this chance; else a coin, which is right half of the time."""
    n = 4000
    right = sum(who.judge(1.0, 0.0, str(i)) == (0, 1) for i in range(n)) / n
    assert near(right, who.reliability + (1 - who.reliability) / 2, n)
    turned = sum(who.judge(0.0, 1.0, str(i)) == (1, 0) for i in range(n)) / n
    assert near(turned, who.reliability + (1 - who.reliability) / 2, n)
    ties = sum(who.judge(0.5, 0.5, str(i)) == (0, 0) for i in range(n)) / n
    assert near(ties, who.reliability, n)


def test_errors_favour_neither_place() -> None:
    coin = Annotator("coin", 0.0)
    first = sum(coin.judge(1.0, 0.0, str(i)) == (0, 1) for i in range(4000)) / 4000
    assert near(first, 0.5, 4000)


def test_a_judgement_is_a_function_of_its_key() -> None:
    given = pairs(60, ties=20)
    once = judge(given)
    assert judge(given) == once
    assert sorted(judge(given[::-1]), key=lambda c: c.id) == sorted(once, key=lambda c: c.id)
    other = judge([replace(pair, id=f"other/{pair.id}") for pair in given])
    assert [c.ranks for c in other] != [c.ranks for c in once]


def test_annotators_err_apart() -> None:
    """Two judges of the same reliability are two judges: their errors are independent."""
    one, two, n = Annotator("one", 0.6), Annotator("two", 0.6), 4000
    wrong = [[who.judge(1.0, 0.0, str(i)) == (1, 0) for i in range(n)] for who in (one, two)]
    both = sum(a and b for a, b in zip(*wrong, strict=True)) / n
    assert near(both, 0.2 * 0.2, n)


def test_everyone_judges_everything_under_their_name() -> None:
    given = pairs(5)
    found = judge(given)
    assert len({c.id for c in found}) == len(found) == 15
    assert {c.judge for c in found} == {who.name for who in PANEL}
    assert all(who.name.startswith("simulated:") for who in PANEL)
    assert all(c.responses == ("a", "b") and c.prompt == ask("p") for c in found)


def test_agreement_counts_by_hand() -> None:
    ann, bob = Annotator("ann", 0.9), Annotator("bob", 0.5)
    given = pairs(2, ties=1)  # truth: second, first, neither
    said = {"ann": [(1, 0), (1, 0), (0, 0)], "bob": [(1, 0), (0, 1), (0, 1)]}
    told = [
        Comparison(pair.prompt, pair.answers, ranks, judge=name, id=f"{pair.id}/{name}")
        for name, verdicts in said.items()
        for pair, ranks in zip(given, verdicts, strict=True)
    ]
    assert agreement(given, told, (ann, bob)) == [
        Agreement("ann", 0.9, 3, 1, 1 / 2, 1 / 3),
        Agreement("bob", 0.5, 3, 0, 1.0, 1 / 3),
    ]


def test_agreement_says_nothing_of_nobody() -> None:
    alone = Annotator("alone", 1.0)
    given = pairs(0, ties=4)
    (found,) = agreement(given, judge(given, (alone,)), (alone,))
    assert found.ties == 4
    assert math.isnan(found.with_truth)
    assert math.isnan(found.with_others)


def test_the_more_reliable_agree_more_with_truth_and_with_each_other() -> None:
    given = pairs(600, ties=100)
    ada, ben, cleo = agreement(given, judge(given))
    assert ada.with_truth > ben.with_truth > cleo.with_truth
    assert near(ada.with_truth, 0.975, 600)
    assert ada.with_others > cleo.with_others
    assert ada.judgements == 700
