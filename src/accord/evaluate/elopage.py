"""The standings of several models, for people."""

import math
from collections.abc import Iterator, Sequence

from accord.evaluate.elo import Rated, Standings
from accord.evaluate.plots import Line, tradeoff
from accord.evaluate.sheet import Finding, Section, Sheet
from accord.evaluate.words import count, percent


def told(found: Standings, by: str, prompts: int, n: int, *, over: str = "step") -> Sheet:
    """The page."""
    games = sum(one.wins + one.ties + one.losses for one in found.matches)
    return Sheet(
        "elo",
        f"{count(len(found.players), 'model')}, judged by {by}",
        f"{count(prompts, 'prompt')}, {count(n, 'answer')} to each, {count(games, 'game')}; "
        "intervals are 95%, over prompts.",
        list(_findings(found)),
        [_table(found.players), _curve(found.players, over), _who_beats_whom(found)],
        "Bradley–Terry: 1000 points are a player of mean strength; 400 more win ten games of "
        "eleven. Elo: start 1000, K 4, in a random order of the games; K 4 moves slowly, so few "
        "games leave all near 1000.",
    )


def _findings(found: Standings) -> Iterator[Finding]:
    known = [one for one in found.players if one.points is not None]
    if found.note:
        yield Finding("warning", "Who cannot be placed", found.note)
    if len(known) > 1:
        best = max(known, key=lambda one: one.points.value if one.points else 0)
        others = [one for one in known if one is not best]
        alike = [o.name for o in others if o.points and best.points and _overlap(o, best)]
        yield Finding(
            "note",
            f"{best.name} is the strongest",
            _spread(best) + (f"; {', '.join(alike)} may be as strong" if alike else ""),
        )
        last = max(known, key=lambda one: one.step)
        if last is not best and not _overlap(last, best):
            yield Finding(
                "warning",
                f"The last, {last.name}, is weaker than {best.name}",
                f"{_spread(last)} beside {_spread(best)}",
                "It may have been trained too long.",
            )
    if found.lost:
        reason, n = next(iter(found.lost.items()))
        lost = sum(found.lost.values())
        told = f"{lost}, most often ({n}): {reason}"
        yield Finding("warning", "Pairs that could not be judged", told, "They count for nobody.")


def _overlap(a: Rated, b: Rated) -> bool:
    assert a.points is not None
    assert b.points is not None
    return a.points.low <= b.points.high and b.points.low <= a.points.high


def _table(players: Sequence[Rated]) -> Section:
    rows = [
        [
            one.name,
            _spread(one),
            f"{one.elo:.0f}"
            + (f" ({one.elo_low:.0f} to {one.elo_high:.0f})" if one.elo_low is not None else ""),
            percent(one.rate),
            str(one.games),
        ]
        for one in sorted(players, key=lambda one: -(one.points.value if one.points else -math.inf))
    ]
    columns = ["model", "Bradley–Terry, in Elo points", "Elo", "won", "games"]
    return Section("Who is how strong", "", columns, rows)


def _spread(one: Rated) -> str:
    if one.points is None:
        return "–"
    if not math.isfinite(one.points.low + one.points.high):
        return f"{one.points.value:.0f} (no interval)"
    return f"{one.points.value:.0f} ({one.points.low:.0f} to {one.points.high:.0f})"


def _curve(players: Sequence[Rated], over: str) -> Section:
    few = sorted((one for one in players if one.points is not None), key=lambda one: one.step)
    points = [(one.step, one.points.value) for one in few if one.points]
    if len(points) < 2:
        return Section("On the way", "")
    spread = [(one.points.high - one.points.low) / 4 for one in few if one.points]
    errors = [(0.0, half if math.isfinite(half) else 0.0) for half in spread]
    every = sorted(players, key=lambda one: one.step)
    lines = [
        Line("Bradley–Terry", points, errors),
        Line("Elo", [(one.step, one.elo) for one in every]),
    ]
    alt = "; ".join(f"{one.name}: {_spread(one)}" for one in few)
    return Section("On the way", "", chart=tradeoff(lines, over, "Elo points"), alt=alt)


def _who_beats_whom(found: Standings) -> Section:
    names = [one.name for one in found.players]
    rows = [
        [
            f"{names[one.second]} against {names[one.first]}",
            str(one.wins),
            str(one.ties),
            str(one.losses),
            "–"
            if one.rate is None
            else f"{percent(one.rate.value)} ({percent(one.rate.low)} to {percent(one.rate.high)})",
        ]
        for one in found.matches
    ]
    return Section("Who beats whom", "", ["", "wins", "ties", "losses", "win rate"], rows)
