"""Several models on the same prompts, two by two: Bradley–Terry strengths and Elo.

A game is one answer of either to one prompt.  Prompts are drawn again for intervals: answers to one
prompt are no independent witnesses.
"""

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from accord.evaluate.match import Many
from accord.evaluate.winrate import number
from accord.maths.intervals import Estimate, estimate
from accord.maths.tournament import Winner
from accord.records import Invalid
from accord.store.judgements.ranking import START, Game, Table, table

Meets = Literal["all", "chain"]
Points = Callable[[int, int], Many]
"""(one player, another) -> of each prompt, of each pair of answers: 1 where the second won"""


@dataclass(frozen=True)
class Match:
    """Two players."""

    first: int
    second: int
    rate: Estimate | None
    """how often the second beats the first, a tie being half; None where nothing was judged"""
    wins: int
    """of the second"""
    ties: int
    losses: int


@dataclass(frozen=True)
class Rated:
    """A player in Elo points, 1000 being a player of mean strength."""

    name: str
    step: float
    """where it stands on the way: a number in its name, or its place"""
    games: int
    rate: float
    points: Estimate | None
    """of Bradley–Terry: 1000 + 400 log10(m p), p its share of the strength of m players; None where
    none is finite"""
    elo: float
    """sequential, in a random order of the games"""
    elo_low: float | None
    elo_high: float | None


@dataclass(frozen=True)
class Standings:
    """What came out."""

    players: Sequence[Rated]
    """in the order in which they were named"""
    matches: Sequence[Match]
    lost: Mapping[str, int]
    """why pairs of answers could not be judged, and how often: they count for nobody"""
    note: str
    """who is cut off from the others, in a sentence; empty where nobody is"""


def meetings(players: int, meets: Meets) -> list[tuple[int, int]]:
    """Who meets whom: all, or in a chain, each the one before it and the first."""
    if meets == "all":
        return list(itertools.combinations(range(players), 2))
    return sorted({(0, k) for k in range(1, players)} | {(k - 1, k) for k in range(1, players)})


def standings(
    names: Sequence[str],
    steps: Sequence[float],
    pairs: Sequence[tuple[int, int]],
    points: Points,
    *,
    draws: int = 200,
    seed: int = 0,
) -> Standings:
    """All games played.  BadData where nothing could be judged."""
    games: list[tuple[Game, int]] = []
    matches, lost = [], Counter[str]()
    for i, j in pairs:
        found = points(i, j)
        for place, few in enumerate(found):
            for point in few:
                if (value := number(point)) is None:
                    lost[point.reason if isinstance(point, Invalid) else "not a number"] += 1
                else:
                    games.append(((names[i], names[j], _winner(value)), place))
        matches.append(_match(i, j, found, seed))
    random.Random(f"elo/{seed}").shuffle(games)  # Elo depends on the order
    made = table([game for game, _ in games], units=[at for _, at in games], draws=draws, seed=seed)
    return Standings(_rated(names, steps, made), matches, dict(lost.most_common()), made.note)


def _rated(names: Sequence[str], steps: Sequence[float], made: Table) -> list[Rated]:
    rows = {row.name: row for row in made.rows}
    known = sum(row.strength is not None for row in made.rows)
    found = []
    for name, step in zip(names, steps, strict=True):
        if (row := rows.get(name)) is None:  # none of its games could be judged
            found.append(Rated(name, step, 0, 0.5, None, START, None, None))
            continue
        points = None
        if row.strength:
            low, high = row.interval or (row.strength, row.strength)
            points = Estimate(*(_points(p, known) for p in (row.strength, low, high)))
            if row.interval is None:
                points = Estimate(points.value, -math.inf, math.inf)
        low_elo, high_elo = row.elo_interval or (None, None)
        found.append(Rated(name, step, row.games, row.rate, points, row.elo, low_elo, high_elo))
    return found


def _points(p: float, players: int) -> float:
    return START + 400 * math.log10(p * players) if p > 0 else -math.inf


def _winner(point: float) -> Winner:
    return "tie" if point == 0.5 else "y" if point > 0.5 else "x"


def _match(i: int, j: int, points: Many, seed: int) -> Match:
    valid = [[value for p in few if (value := number(p)) is not None] for few in points]
    means = [fmean(few) for few in valid if few]
    every = [value for few in valid for value in few]
    wins, losses = sum(v > 0.5 for v in every), sum(v < 0.5 for v in every)
    rate = estimate(means, seed=seed, draws=500) if means else None
    return Match(i, j, rate, wins, len(every) - wins - losses, losses)
