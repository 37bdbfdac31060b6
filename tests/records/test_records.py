"""Records hold what was said, and refuse what cannot be."""

import itertools
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from accord.records import (
    Comparison,
    Demonstration,
    Image,
    Invalid,
    Message,
    Prompt,
    Rating,
    Rollout,
    Text,
    ask,
)

ASKED = ask("why?")


def test_a_message_reads_its_texts_and_sees_its_pictures() -> None:
    parts = (Text("look: "), Image("a.png"), Text("and "), Image("b.png"), Text("say"))
    message = Message("user", parts)
    assert message.text == "look: and say"
    assert message.images == (Image("a.png"), Image("b.png"))
    assert Message.of("system", "be brief") == Message("system", (Text("be brief"),))
    assert Message("assistant", ()).text == ""


def test_ask_is_one_user_turn() -> None:
    assert list(ASKED) == [Message("user", (Text("why?"),))]
    assert Prompt(ASKED).id == ""


@pytest.mark.parametrize(
    ("ranks", "pairs"),
    [
        ((0, 1), [(0, 1)]),
        ((1, 0), [(1, 0)]),
        ((0, 0), []),
        ((0, 1, 1), [(0, 1), (0, 2)]),
        ((2, 0, 1), [(1, 0), (1, 2), (2, 0)]),
        ((7, 7, 3), [(2, 0), (2, 1)]),
    ],
)
def test_pairs_are_better_then_worse(ranks: Any, pairs: Any) -> None:
    found = Comparison(ASKED, tuple("abc"[: len(ranks)]), ranks)
    assert sorted(found.pairs()) == pairs
    assert found.tie == (not pairs)


def test_pairs_are_all_and_only_those_that_differ() -> None:
    for ranks in itertools.product(range(3), repeat=4):
        found = set(Comparison(ASKED, tuple("abcd"), ranks).pairs())
        for i, j in itertools.combinations(range(4), 2):
            assert ((i, j) in found) == (ranks[i] < ranks[j])
            assert ((j, i) in found) == (ranks[j] < ranks[i])


def test_pair_puts_the_chosen_first() -> None:
    found = Comparison.pair(ASKED, "good", "bad", judge="ada", id="7", strength=2.0)
    assert found.responses == ("good", "bad")
    assert list(found.pairs()) == [(0, 1)]
    assert (found.judge, found.id, found.strength) == ("ada", "7", 2.0)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"responses": ("one",), "ranks": (0,)}, "'c' has 1 answers; it needs 2"),
        ({"ranks": (0,)}, "'c' ranks 1 of 2 answers"),
        ({"ranks": (0, 1, 2)}, "'c' ranks 3 of 2 answers"),
        ({"p_first": 1.01}, "'c': p_first is for two answers, within 0..1"),
        ({"p_first": -0.01}, "within 0..1"),
        ({"p_first": float("nan")}, "within 0..1"),
        ({"responses": tuple("abc"), "ranks": (0, 1, 2), "p_first": 0.5}, "for two answers"),
    ],
)
def test_impossible_comparisons_are_refused(more: dict[str, Any], said: str) -> None:
    given = {"responses": ("a", "b"), "ranks": (0, 1), "id": "c"} | more
    with pytest.raises(ValueError, match=said):
        Comparison(ASKED, **given)


def test_soft_labels_may_be_certain() -> None:
    for p in (0.0, 0.5, 1.0):
        assert Comparison(ASKED, ("a", "b"), (0, 1), p_first=p).p_first == p


RECORDS = [
    Text("a"),
    Image("a.png"),
    Message.of("user", "a"),
    Prompt(ASKED, "p"),
    Demonstration(ASKED, "because"),
    Comparison.pair(ASKED, "a", "b"),
    Rating(ASKED, "a", True),
    Rollout("r", (1,), (2, 3), (-0.5, -0.1), 4, "stop"),
    Invalid("no"),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_records_are_values(record: Any) -> None:
    """Frozen, equal by content, usable as keys, and able to travel to another process."""
    name = type(record).__slots__[0]
    with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
        setattr(record, name, None)
    assert not hasattr(record, "__dict__")
    again = pickle.loads(pickle.dumps(record))
    assert again == record
    assert hash(again) == hash(record)
    assert replace(record) == record


def test_an_invalid_judgement_is_no_number() -> None:
    broken: Any = Invalid("no")
    for use in (lambda: float(broken), lambda: broken + 1.0, lambda: broken > 0.0):
        with pytest.raises(TypeError):
            use()


def test_records_load_without_torch() -> None:
    code = "import accord.records, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
