"""Variety by hand, and against sets written slowly."""

import random

import pytest

from accord.maths.ngrams import commonest, distinct, longest_run, repetition


def test_distinct_by_hand() -> None:
    texts = ["abab", "abc"]
    assert distinct(texts, 1) == 3 / 7
    assert distinct(texts, 2) == 3 / 5  # ab ba ab | ab bc
    assert distinct(texts, 4) == 1.0
    assert distinct(texts, 5) is None
    assert distinct([], 1) is None


def test_repetition_by_hand() -> None:
    assert repetition("abcd") == 0.0
    assert repetition("aaaaa") == 0.5
    assert repetition("ababab", 2) == pytest.approx(1 - 2 / 5)
    assert repetition("abc") is None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [1, 2, 3])
def test_against_slices(seed: int, n: int) -> None:
    rng = random.Random(seed)
    texts = [[rng.choice("abc") for _ in range(rng.randint(0, 9))] for _ in range(6)]
    grams = [tuple(w[i : i + n]) for w in texts for i in range(len(w) - n + 1)]
    assert distinct(texts, n) == (len(set(grams)) / len(grams) if grams else None)
    for words in texts:
        own = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        want = None if not own else 1 - len(set(own)) / len(own)
        assert repetition(words, n) == want


@pytest.mark.parametrize(
    ("words", "most", "run"),
    [
        ("", 8, 0),
        ("a", 8, 1),
        ("a b c", 8, 1),
        ("a b b c", 8, 2),
        ("very very very good", 8, 3),
        ("x go on go on go on go", 8, 3),
        ("a b c a b c", 8, 2),
        ("a b c a b c", 2, 1),
        ("a b a c a d", 8, 1),
        ("a a b a a b a a b", 8, 3),
    ],
)
def test_the_longest_run_by_hand(words: str, most: int, run: int) -> None:
    assert longest_run(words.split(), most) == run


def test_the_commonest_counts_texts_and_not_times() -> None:
    texts = ["ababab", "cd", "xcd"]
    assert commonest(texts, 2) == (("c", "d"), 2 / 3)
    assert commonest(texts, 7) is None
    assert commonest([["b"], ["a"]], 1) == (("b",), 0.5)
