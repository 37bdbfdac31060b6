"""What texts look like, by hand."""

import pytest

from accord.evaluate.style import style, variety


def test_by_hand() -> None:
    texts = ["One two three four five.", "one TWO three four; six", "", "go go go go now"]
    found = style(texts, [True, True, False, True], [6, 7, 1, 6])
    assert found.answers == 4
    assert found.ended == 0.75
    assert found.empty == 0.25
    assert found.length == 5.0
    assert found.length_median == 6.0
    assert found.distinct_1 == pytest.approx(8 / 15)
    assert found.looping == 0.25
    assert (found.shared, found.phrase) == (0.5, "one two three four")
    assert found.repetition == 0.0


def test_repetition_is_the_mean_over_answers_long_enough() -> None:
    found = style(["a a a a a", "a b c d e", "a"], [True] * 3, [1, 1, 1])
    assert found.repetition == pytest.approx(0.25)
    assert style(["", "a"], [True] * 2, [1, 2]).repetition is None
    assert style(["", ""], [True] * 2, [1, 2]).shared is None


def test_variety_is_of_equally_many_words() -> None:
    old, new = ["a b c d"], ["a b a b a b a b"]
    assert variety(old, new) == (1.0, pytest.approx(2 / 3))
    assert variety(new, old) == (pytest.approx(2 / 3), 1.0)
    assert variety([""], ["a b"]) == (None, None)
