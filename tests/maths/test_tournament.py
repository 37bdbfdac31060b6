"""Leagues against reachability written slowly, and the cases in which strengths run away."""

import itertools
import random

import pytest

from accord.maths.tournament import beaten, leagues


def slowly(wins: dict[str, dict[str, float]]) -> set[frozenset[str]]:
    """Who reaches whom, by Warshall's algorithm; parts are those who reach each other."""
    reach = {(i, j): i == j or j in wins[i] for i in wins for j in wins}
    for k, i, j in itertools.product(wins, wins, wins):
        reach[i, j] = reach[i, j] or (reach[i, k] and reach[k, j])
    return {frozenset(j for j in wins if reach[i, j] and reach[j, i]) for i in wins}


def test_wins_are_counted() -> None:
    games = [("a", "b", "x"), ("a", "b", "x"), ("b", "a", "x"), ("b", "c", "tie"), ("c", "a", "y")]
    assert beaten(games) == {
        "a": {"b": 2.0, "c": 1.0},
        "b": {"a": 1.0, "c": 0.5},
        "c": {"b": 0.5},
    }


def test_nobody_plays_himself() -> None:
    assert beaten([("a", "a", "x"), ("b", "a", "tie")]) == {"a": {"b": 0.5}, "b": {"a": 0.5}}


@pytest.mark.parametrize("seed", range(30))
def test_leagues_are_what_reaches_each_other(seed: int) -> None:
    rng = random.Random(seed)
    names = "abcdefgh"[: rng.randint(1, 8)]
    games = [
        (rng.choice(names), rng.choice(names), rng.choice(("x", "x", "x", "tie")))
        for _ in range(rng.randint(1, 12))
    ]
    wins = beaten(games)
    found = leagues(wins)
    assert {frozenset(part) for part in found} == slowly(wins)
    assert sorted(player for part in found for player in part) == sorted(wins)
    assert [len(part) for part in found] == sorted(map(len, found), reverse=True)


@pytest.mark.parametrize(
    ("games", "sizes"),
    [
        ([("a", "b", "x")], [1, 1]),
        ([("a", "b", "x"), ("b", "a", "x")], [2]),
        ([("a", "b", "tie")], [2]),
        ([("a", "b", "x"), ("b", "c", "x"), ("c", "a", "x")], [3]),
        ([("a", "b", "x"), ("b", "c", "x"), ("a", "c", "x")], [1, 1, 1]),
        ([("a", "b", "tie"), ("c", "d", "tie")], [2, 2]),
        ([("a", "b", "tie"), ("b", "c", "tie"), ("c", "d", "y")], [3, 1]),
        ([], []),
    ],
)
def test_by_hand(games, sizes) -> None:
    assert [len(part) for part in leagues(beaten(games))] == sizes


def test_the_largest_comes_first_whoever_was_met_first() -> None:
    games = [("z", "a", "x"), ("a", "b", "tie"), ("b", "c", "tie")]
    assert leagues(beaten(games)) == [["a", "b", "c"], ["z"]]
