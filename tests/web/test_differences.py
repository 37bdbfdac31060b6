"""Words that differ: nothing is lost, and what is shared is shared."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.web.differences import MOST, Piece, differ

TEXTS = st.text(alphabet="ab .\n", max_size=40)


def test_a_changed_word_is_the_only_one_marked() -> None:
    first, second = differ("Throw one ball, twice.", "Throw three balls, twice.")
    assert [piece.text for piece in first if piece.own] == ["one", "ball"]
    assert [piece.text for piece in second if piece.own] == ["three", "balls"]


@given(TEXTS, TEXTS)
def test_joined_again_they_are_the_texts(left: str, right: str) -> None:
    first, second = differ(left, right)
    assert "".join(piece.text for piece in first) == left
    assert "".join(piece.text for piece in second) == right
    shared = [["".join(p.text for p in side if not p.own)] for side in (first, second)]
    assert shared[0] == shared[1]


def test_equal_texts_have_nothing_of_their_own() -> None:
    assert differ("the same", "the same") == ([Piece("the same", False)],) * 2


@pytest.mark.parametrize("count", [MOST // 4, MOST])
def test_a_model_that_repeats_itself_does_not_keep_the_page_waiting(count: int) -> None:
    left, right = "so it is " * count, "is it so " * count
    began = time.perf_counter()
    first, _ = differ(left, right)
    assert time.perf_counter() - began < 3
    assert "".join(piece.text for piece in first) == left
