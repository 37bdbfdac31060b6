"""What a stage holds of a file that is longer than memory: a few bytes a row, and one lot."""

import tracemalloc
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from accord.data import comparisons, sources, spool
from accord.data.comparisons import Spelled, lots, spell_pairs, split, without
from accord.data.spool import Picked, Spool
from accord.data.stream import Stream
from accord.recipes import reward, sft, stages
from accord.recipes.common import Named
from accord.recipes.pipeline import Records, _without
from accord.recipes.stage import Place
from accord.records import Comparison, Prompt, ask
from toys import ToySpeller

COUNT = 1500
LENGTH = 4000
"""characters of an answer"""
PART = 0.25
"""of what all rows take in memory, at most"""


def pairs() -> Iterator[Comparison]:
    for i in range(COUNT):
        yield Comparison.pair(ask(f"why {i % 750}"), f"{i}" + "a" * LENGTH, f"b{i}", id=f"c{i}")


def spelled() -> Iterator[Spelled]:
    for i in range(COUNT):
        yield Spelled((1, 300 + i % 750), ((1000 + i,) * 300, (7,)), (0, 1), None, None, "")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "HELD", 2**18)
    monkeypatch.setattr(comparisons, "LOT", 128)


def on_disk(kind: str) -> Any:
    if kind == "records":
        make = sources._MAKE["comparisons"]
        found = spool.gather(pairs(), sources._size, sources._spell, make)
    else:
        found = spool.gather(spelled(), comparisons._size, comparisons._line, comparisons._unline)
    assert isinstance(found, Spool)
    return found


def peak(work: Callable[[], Any]) -> float:
    """Bytes of Python objects at the worst moment."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("small")
def test_rows_that_answer_a_test_prompt_are_left_out_on_disk() -> None:
    rows = on_disk("records")
    tests = [Prompt(ask(f"why {i}")) for i in range(0, 750, 3)]
    told: list[str] = []
    kept: list[Any] = []

    def work() -> None:
        place = Place(out=".", tell=told.append)  # type: ignore[arg-type]
        kept.append(_without(place, Records((), rows), tests).comparisons)

    assert peak(work) < PART * peak(lambda: [*rows])
    assert isinstance(kept[0], Picked)
    assert [row.id for row in kept[0]] == [f"c{i}" for i in range(COUNT) if i % 3]
    assert told == [
        "500 of 1500 comparisons answer one of the 250 prompts kept for the report, and are not "
        "learned from"
    ]


def test_a_list_stays_a_list() -> None:
    rows = [Comparison.pair(ask(x), "1", "2") for x in "aba"]
    assert without(rows, [Prompt(ask("a"))]) == rows[1:2]
    assert without(rows, []) == rows
    assert without((), [Prompt(ask("a"))]) is not None


def test_lots_hold_every_item_once() -> None:
    for count in (0, 1, 4, 5, 9):
        items = list(range(count))
        assert [x for few in lots(items, 4) for x in few] == items
        assert all(len(few) <= 4 for few in lots(items, 4))


@pytest.mark.usefixtures("small")
def test_names_are_given_as_rows_are_looked_at() -> None:
    rows = on_disk("spelled")
    held = peak(lambda: [Stream(Named(rows), 8, 0).at(step) for step in range(3)])
    assert held < PART * peak(lambda: [*rows])
    assert (Named(rows)[3].id, Named(rows)[-1].id) == ("#3", f"#{COUNT - 1}")
    few = [Spelled((1,), ((2,),), (0,), None, None, name) for name in ("a", "b", "a", "")]
    assert [row.id for row in Named(few)] == ["a#0", "b", "a#2", "#3"]
    assert [row.id for row in Named(few)[2:]] == ["a#2", "#3"]


class Judge:
    """Scores an answer by its first token, and keeps count of what it is shown at once."""

    most = 0
    zero = (0.0, 0.0)

    def score(self, tokens: Any) -> torch.Tensor:
        self.most = max(self.most, len(tokens))
        return tokens.ids_BT[torch.arange(len(tokens)), tokens.length_B - 1].double()

    def normalise(self, gain: float, bias: float) -> None:
        self.zero = (gain, bias)


@pytest.mark.usefixtures("small")
def test_a_reward_model_s_zero_and_measures_take_one_lot_at_a_time() -> None:
    rows, judge = on_disk("spelled"), Judge()
    numbers: dict[str, float] = {}

    def work() -> None:
        answers = stages._references(reward.RewardModel(), SimpleNamespace(), rows, 0)  # type: ignore[arg-type]
        reward.normalise(judge, answers, "mean")  # type: ignore[arg-type]
        numbers.update(reward.measure(judge, rows[:1000]))  # type: ignore[arg-type]

    held = peak(work)
    assert judge.zero == (1.0, -(1000 + (COUNT - 1) / 2))
    assert judge.most == 2 * comparisons.LOT, "two answers to each"
    assert numbers["accuracy"] == 1
    assert numbers["margin"] == pytest.approx(1000 + 999 / 2 - 7)
    assert held < PART * peak(lambda: [*rows])


@pytest.mark.usefixtures("small")
def test_held_out_loss_is_the_mean_over_all_tokens() -> None:
    rows = on_disk("spelled")
    policy = SimpleNamespace(logp=lambda tokens: -tokens.ids_BT.double() * tokens.mask_BT)
    found = sft.measure(policy, rows)  # type: ignore[arg-type]
    assert found == pytest.approx(1000 + (COUNT - 1) / 2)
    few = list(rows[:5])
    assert sft.measure(policy, few) == pytest.approx(1002)  # type: ignore[arg-type]


def test_the_split_of_named_rows_is_that_of_their_prompts() -> None:
    few = [Comparison.pair(ask("ab"[i % 2]), "c", "d", id=f"{i}") for i in range(8)]
    (rows, _), (again, _) = (spell_pairs(some, ToySpeller()) for some in (few, iter(few)))
    assert [*rows] == [*again]
    assert {len(side) for side in split(rows, 0.5)} == {4}
