"""Who has beaten whom: when strengths of Bradley and Terry exist, and when they do not."""

from collections.abc import Container, Hashable, Iterable, Mapping
from typing import Any, Literal, TypeVar

P = TypeVar("P", bound=Hashable)
Winner = Literal["x", "y", "tie"]
Game = tuple[P, P, Winner]


def beaten(games: Iterable[Game[P]]) -> dict[P, dict[P, float]]:
    """wins[i][j]: how often i beat j, a tie being half a win for either; nobody plays himself."""
    wins: dict[P, dict[P, float]] = {}
    for x, y, winner in games:
        for player in (x, y):
            wins.setdefault(player, {})
        if x == y:
            continue
        share = {"x": 1.0, "y": 0.0, "tie": 0.5}[winner]
        for i, j, w in ((x, y, share), (y, x, 1 - share)):
            if w:
                wins[i][j] = wins[i].get(j, 0.0) + w
    return wins


def leagues(wins: Mapping[P, Mapping[P, float]]) -> list[list[P]]:
    """The strongly connected parts of the graph of wins, the largest first.

    Within one, everybody has beaten everybody else, if only by way of others: the likelihood of
    Bradley and Terry has its maximum at finite strengths if, and only if, there is one part (Ford
    1957, "Solution of a ranking problem from binary comparisons").
    """
    lost: dict[P, dict[P, float]] = {player: {} for player in wins}
    for player, others in wins.items():
        for other, count in others.items():
            lost[other][player] = count
    found: list[list[P]] = []
    left: dict[P, None] = dict.fromkeys(wins)
    while left:
        first = next(iter(left))
        both = _reached(first, wins, left) & _reached(first, lost, left)
        found.append([player for player in left if player in both])
        for player in both:
            del left[player]
    return sorted(found, key=len, reverse=True)  # stable: of equal size, as they came


def _reached(first: P, edges: Mapping[Any, Iterable[P]], among: Container[P]) -> set[P]:
    seen, todo = {first}, [first]
    while todo:
        for other in edges[todo.pop()]:
            if other in among and other not in seen:
                seen.add(other)
                todo.append(other)
    return seen
