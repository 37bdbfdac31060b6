"""Judges with every vice, each found out; and one without any, believed."""

import random
from collections.abc import Sequence

import pytest

from accord.errors import BadData
from accord.evaluate import hygienepage, sheet
from accord.evaluate.hygiene import Case, Hygiene, cases, examined, some
from accord.evaluate.hygienepage import findings
from accord.maths.agreement import kappa
from accord.records import Comparison, Invalid, ask
from accord.rewards.base import Score
from accord.rewards.duel import Duel


def people(count: int, seed: int = 0, noise: float = 0.1) -> list[Case]:
    """Pairs in which the answer with more `good` is preferred, but for some noise."""
    rng, made = random.Random(seed), []
    for i in range(count):
        texts = [f"{'good ' * rng.randint(0, 5)}{'x' * rng.randint(0, 40)}{i}{k}" for k in (0, 1)]
        gap = worth(texts[0]) - worth(texts[1])
        side = (gap > 0) - (gap < 0)
        if side and rng.random() < noise:
            side = -side
        made.append(Case(f"prompt {i // 2}", texts[0], texts[1], side, str(i)))
    return made


def worth(text: str) -> int:
    return text.count("good")


class Judge:
    """Scores decide, and what it has a weakness for."""

    def __init__(self, first: float = 0.0, length: float = 0.0, sure: float = 1.0, silent: int = 0):
        self.first, self.length, self.sure, self.silent = first, length, sure, silent

    def __call__(self, duels: Sequence[Duel]) -> list[Score]:
        return [self.one(i, duel) for i, duel in enumerate(duels)]

    def one(self, i: int, duel: Duel) -> Score:
        if self.silent and i % self.silent == 0:
            return Invalid("it was silent")
        gap = worth(duel.first) - worth(duel.second)
        gap += self.length * (len(duel.first) - len(duel.second)) / 10 + self.first
        return 1 / (1 + 2.718281828 ** (-self.sure * gap))


def titles(found: Hygiene, severity: str) -> set[str]:
    return {one.title for one in findings(found) if one.severity == severity}


def test_a_good_judge_is_believed() -> None:
    every = people(200)
    found = examined(Judge(), every, every)
    assert found.agrees
    assert found.agrees.low > 0.8
    assert found.first
    assert found.first.value == 0.5
    assert found.steady
    assert found.steady.value == 1
    assert found.same
    assert found.same.value == 0.5
    assert titles(found, "error") == set()
    assert "It agrees with people" in titles(found, "note")
    assert found.invalid == {}


def test_kappa_is_that_of_the_definition() -> None:
    every = people(80, noise=0.3)
    found = examined(Judge(), every, every)
    pairs: dict[tuple[int, int], int] = {}
    for one in found.seen:
        for way in (1, -1):
            key = (way * one.case.side, way * one.side)
            pairs[key] = pairs.get(key, 0) + 1
    assert found.kappa
    assert found.kappa.value == pytest.approx(kappa(pairs))
    assert found.kappa.low < found.kappa.value < found.kappa.high


def test_one_that_loves_a_place_is_found_and_half_of_it_is_mended() -> None:
    every = people(200)
    fond = examined(Judge(first=2.0), every, every)
    assert fond.first
    assert fond.first.low > 0.6
    assert fond.same
    assert fond.same.low > 0.6
    assert fond.steady
    assert fond.steady.high < 0.9
    assert "It leans to the answer shown first" in titles(fond, "warning")
    assert "It prefers one of two identical answers" in titles(fond, "warning")
    last = examined(Judge(first=-2.0), every, every)
    assert "It leans to the answer shown second" in titles(last, "warning")
    assert fond.agrees
    assert fond.agrees.low > 0.75, "both ways round, place falls out"


def test_a_verdict_holds_only_if_both_ways_say_the_same() -> None:
    """A tie one way and a winner the other is no verdict that held."""
    few = [Case("p", "x", "y", 1)]

    def held(x_first: float, y_first: float) -> float:
        judge = lambda duels: [x_first if d.first == "x" else y_first for d in duels]  # noqa: E731
        found = examined(judge, few, few).steady
        assert found
        return found.value

    assert [held(1.0, 0.0), held(0.5, 0.5), held(0.0, 1.0)] == [1.0, 1.0, 1.0]
    assert [held(1.0, 0.5), held(0.5, 0.0), held(1.0, 1.0), held(0.2, 0.4)] == [0.0, 0.0, 0.0, 0.0]


def test_one_that_loves_length_is_found() -> None:
    every = people(300)
    found = examined(Judge(length=3.0), every, every)
    assert found.longer_more
    assert found.longer_more.low > 0
    assert "It likes the longer answer more than people do" in titles(found, "warning")
    short = examined(Judge(length=-3.0), every, every)
    assert "It likes the shorter answer more than people do" in titles(short, "warning")


def test_a_coin_is_called_one() -> None:
    every = people(200)

    def coin(duels: Sequence[Duel]) -> list[Score]:
        return [float(random.Random(f"{d.first}|{d.second}").random() < 0.5) for d in duels]

    found = examined(coin, every, every)
    assert "It may be no better than a coin" in titles(found, "error")
    assert findings(found)[0].severity == "error", "the worst comes first"


def test_certainty_is_held_against_what_came_of_it() -> None:
    every = people(400, noise=0.3)
    sure = examined(Judge(sure=9.0), every, every)
    fair = examined(Judge(sure=0.4), every, every)
    assert sure.error
    assert fair.error
    assert sure.error > 0.2 > fair.error
    assert "Its certainty is not to be taken at its word" in titles(sure, "warning")
    total = sum(n for *_, n in sure.bins)
    assert total == sum(one.case.side != 0 for one in sure.seen)
    by_hand = sum(n * abs(c - right) for c, right, n in sure.bins) / total
    assert sure.error == pytest.approx(by_hand)


def test_what_cannot_be_judged_is_counted_and_never_a_number() -> None:
    every = people(60)
    found = examined(Judge(silent=5), every, every)
    lost = found.invalid["it was silent"]
    assert len(found.seen) + lost == 60
    assert "Pairs without a verdict" in titles(found, "warning")
    with pytest.raises(BadData, match="none of 60 pairs could be judged: it was silent"):
        examined(Judge(silent=1), every, every)
    first = every[0].first

    def mad(duels: Sequence[Duel]) -> list[Score]:
        given = Judge()(duels)
        return [2.0 if d.first == first else p for d, p in zip(duels, given, strict=True)]

    assert examined(mad, every, every).invalid == {"2 is no probability": 1}


def test_its_own_answers() -> None:
    every = people(200)
    own = {(case.prompt, case.first) for case in every}

    class Vain(Judge):
        def one(self, i: int, duel: Duel) -> Score:
            mine = [(duel.prompt, text) in own for text in (duel.first, duel.second)]
            return 0.5 + 0.4 * (mine[0] - mine[1])

    found = examined(Vain(), every, every, own=own)
    assert found.own_more
    assert found.own_more.low > 0.2
    assert "It likes its own answers more than people do" in titles(found, "warning")
    fair = examined(Judge(), every, every, own=own)
    assert "It shows no liking for its own answers" in titles(fair, "note")
    assert examined(Judge(), every, every).own_more is None


def test_cases_are_all_pairs_of_a_row_and_each_is_asked_once() -> None:
    rows = [
        Comparison(ask("q"), ("a", "b", "c"), (0, 1, 1)),
        Comparison(ask("q"), ("b", "a"), (0, 1)),
        Comparison(ask("q"), ("b", "b"), (0, 1)),
    ]
    every = cases(rows, lambda talk: str(talk[-1].text))
    assert [(c.first, c.second, c.side) for c in every] == [
        ("b", "a", -1), ("c", "a", -1), ("c", "b", 0), ("a", "b", -1),
    ]  # fmt: skip
    few = some(every, 10, seed=0)
    assert len(few) == 3
    found = examined(Judge(), every, few)
    assert found.people == 0.0, "two people said the opposite of one pair"
    assert len(some(people(50), 7, seed=0)) == 7
    assert some(people(50), 7, seed=0) != some(people(50), 7, seed=1)


def test_the_page_says_it_all_and_answers_are_text() -> None:
    every = people(60, noise=0.3)
    every[0] = Case("prompt 0", "good <script>alert(1)</script>", "bad", -1, "x")
    found = examined(Judge(first=1.0), every, every)
    page = sheet.render(hygienepage.told("me", "judge me", "a.jsonl", found, "spent nothing"))
    assert "<script>" not in page
    assert "Can me be trusted?" in page
    for one in findings(found):
        assert one.title in page
    told = hygienepage.numbers(found)
    assert told["agrees"]["value"] == found.agrees.value  # type: ignore[union-attr]
    assert told["own_more"] is None
