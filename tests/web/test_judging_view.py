"""Items as they are shown, verdicts as words, and keys of one's own."""

from typing import Any

import pytest

from accord.store.judgements.forms import Shown, StudyConfig, Task
from accord.web.judging_keys import KEYS, keys_of, remap
from accord.web.judging_view import WORDS, scene, turns, verdict_words


def task(*texts: str, **more: Any) -> Task:
    answers = tuple(Shown(place, text) for place, text in enumerate(texts))
    messages = more.pop("messages", [{"role": "user", "content": "Why?"}])
    return Task(1, 2, 3, "pairwise", StudyConfig(), messages, answers, "k", **more)


def test_pictures_go_by_addresses_of_this_site_whatever_they_were_called() -> None:
    parts = [{"type": "text", "text": "see"}, {"type": "image", "path": "https://spy.test/x.png"}]
    later = {"role": "assistant", "content": [{"type": "image", "path": "b.png"}]}
    found = turns([{"role": "user", "content": parts}, later], "/pictures")
    assert found[0].parts == (("text", "see"), ("image", "/pictures/0"))
    assert found[1].parts == (("image", "/pictures/1"),)


def test_a_long_conversation_is_whole_and_scrolls() -> None:
    long = [{"role": "user", "content": "word " * (WORDS + 1)}]
    shown = scene(task("a", "b", messages=long), {}, "/p")
    assert shown["long"]
    assert shown["turns"][0].parts[0][1] == long[0]["content"]
    assert not scene(task("a", "b"), {}, "/p")["long"]


def test_differences_are_for_two() -> None:
    two = scene(task("one ball", "two balls"), {}, "/p")["answers"]
    assert [piece.text for piece in two[0].pieces if piece.own] == ["one", "ball"]
    three = scene(task("a", "b", "c"), {}, "/p")["answers"]
    assert [(one.letter, one.pieces) for one in three] == [("A", ()), ("B", ()), ("C", ())]


def test_the_person_decides_how_texts_are_shown_and_then_the_study() -> None:
    assert scene(task("a", "b"), {}, "")["view"] == "rendered"
    assert scene(task("a", "b"), {"view": "plain"}, "")["view"] == "plain"


@pytest.mark.parametrize(
    ("said", "count", "words"),
    [
        ({"ranks": [0, 1]}, 2, "A is better"),
        ({"ranks": [1, 0], "strength": 3}, 2, "B is much better"),
        ({"ranks": [0, 0]}, 2, "both are as good"),
        ({"ranks": [0, 0], "both_bad": True}, 2, "both are bad"),
        ({"ranks": [1, 0, 1]}, 3, "B, then A = C"),
        ({"ratings": {"helpful": [6, 2]}}, 2, "helpful 6 / 2"),
        ({"rewrite": "so"}, 1, "rewrote it"),
        ({"act": "flag"}, 2, "reported a problem"),
    ],
)
def test_verdicts_in_words(said: dict[str, Any], count: int, words: str) -> None:
    assert verdict_words(said, count) == words


# --- keys ---


def test_keys_are_ours_until_they_are_theirs() -> None:
    assert keys_of({})["first"] == "1"
    assert keys_of({"keys": {"first": "a"}})["first"] == "a"
    assert keys_of({"shortcuts": False}) == {}


def test_a_remap_keeps_what_differs() -> None:
    wanted = {name: key for name, (key, _) in KEYS.items()}
    assert remap(wanted) == ({}, "")
    assert remap({**wanted, "first": "a", "skip": "1"}) == ({"first": "a", "skip": "1"}, "")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [({"first": "2"}, "two things"), ({"skip": "Tab"}, "leaves a field"), ({"tie": "ab"}, "ab is")],
)
def test_a_remap_that_cannot_be(wanted: dict[str, str], said: str) -> None:
    kept, wrong = remap(wanted)
    assert kept == {}
    assert said in wrong
