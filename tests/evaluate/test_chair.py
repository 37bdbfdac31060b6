"""Objects named that are not there, counted by hand."""

import pytest

from accord.errors import BadData
from accord.evaluate.chair import chair


def test_mentions_and_descriptions_are_counted() -> None:
    found = chair(
        [["dog", "Puppy ", "cat"], ["cup"], []],
        [["dog"], ["cup", "table"], ["sun"]],
        {"puppy": "dog"},
    )
    assert found.instances is not None
    assert found.instances.value == 1 / 4
    assert found.instances.low <= 1 / 4 <= found.instances.high
    assert found.sentences.value == 1 / 3
    assert found.mentions == 4
    assert list(found.wrong) == [("cat",), (), ()]


def test_synonyms_decide() -> None:
    without = chair([["puppy"]], [["dog"]])
    assert without.sentences.value == 1
    assert chair([["puppy"]], [["dog"]], {"puppy": "dog"}).sentences.value == 0
    assert chair([["dog"]], [["puppy"]], {"puppy": "dog"}).sentences.value == 0


def test_a_mention_counts_as_often_as_it_is_made() -> None:
    found = chair([["cat", "cat", "dog"]], [["dog"]])
    assert found.instances is not None
    assert found.instances.value == 2 / 3


def test_where_nothing_is_mentioned_there_is_no_share() -> None:
    found = chair([[], []], [["dog"], []])
    assert found.instances is None
    assert found.sentences.value == 0
    with pytest.raises(BadData, match="1 descriptions and 2 pictures"):
        chair([["a"]], [["a"], ["b"]])
