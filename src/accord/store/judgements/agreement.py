"""Whether annotators agree, and whether they judge answers or places.

Of two answers none is "the first" by nature: every verdict on a pair is counted both ways round.
Else chance would seem likelier where files put the better answer first, and agreement smaller.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from accord.maths.agreement import Level, Values, alike, alpha, kappa
from accord.maths.intervals import Estimate, proportion, redrawn
from accord.store.judgements.opening import Store
from accord.store.judgements.studies import get
from accord.store.judgements.tables import User
from accord.store.judgements.votes import Vote, by_item, is_pair, other_way, places, table, votes

WORK = 400_000
"""units drawn again for an interval, in all"""
LEAST, MOST = 200, 1000
"""draws"""
Lot = tuple[Values, ...]
"""what was said of the units of one item: drawn again as one"""


@dataclass(frozen=True)
class Kappa:
    """Two annotators, beyond chance."""

    first: User
    second: User
    kappa: float | None
    """Cohen's; None where both said one thing all the time"""
    alike: float
    """share of the same verdicts"""
    n: int
    """what both judged"""


@dataclass(frozen=True)
class Agreement:
    """Of the people in a study; AI judges appear among the kappas alone."""

    alpha: float | None
    """Krippendorff's"""
    low: float | None
    high: float | None
    """its 95 % interval, items drawn again; None where too many draws leave it undefined"""
    level: Level
    undefined_why: str
    """a sentence where alpha is None, else empty"""
    raw: float | None
    """share of the same verdicts among all pairs of annotators of a thing"""
    kappas: list[Kappa]
    position: Estimate | None
    """how often the answer shown first was found better than the last, of those that differ; 95 %
    by Wilson.  One half says that places do not matter.  None where nothing differs"""
    position_n: int
    n: int
    """items that two or more people judged"""


def report(store: Store, study_id: int) -> Agreement:
    """All of it, over verdicts that count; adjudicators' and those on known items are left out."""
    with store.read() as session:
        kind = get(session, study_id).kind
        every = votes(session, study_id)
    few = [one for one in every if not one.judgement.final and not one.gold]
    people = [one for one in few if not one.ai]
    level: Literal["nominal", "ordinal"] = "ordinal" if kind == "rate" else "nominal"
    lots = _lots(people)
    units = _units(lots)
    value = alpha(units, level)
    sure = _interval(lots, level) if value is not None else None
    sides = [pair for one in people if (pair := places(one.judgement)) is not None]
    first, last = sum(a > b for a, b in sides), sum(a < b for a, b in sides)
    return Agreement(
        alpha=value,
        low=sure[0] if sure else None,
        high=sure[1] if sure else None,
        level=level,
        undefined_why="" if value is not None else _why(kind, people, lots),
        raw=alike(units),
        kappas=_kappas(few),
        position=proportion(first, first + last) if first + last else None,
        position_n=first + last,
        n=sum(lots.values()),
    )


def _lots(few: Sequence[Vote]) -> Counter[Lot]:
    """Items that two or more judged, alike ones counted; who said what is forgotten."""
    found: Counter[Lot] = Counter()
    for theirs in by_item(few).values():
        rows = [row for row in _both_ways(theirs) if len(row) > 1]
        if said := [tuple(sorted(row.values())) for row in rows]:
            found[tuple(said)] += 1
    return found


def _both_ways(few: Sequence[Vote]) -> Iterator[dict[int, int]]:
    """annotator -> value, of every unit; a pair's verdicts also as if it stood the other way."""
    for unit, said in table(few).items():
        yield said
        if is_pair(unit):
            yield {who: other_way(value) for who, value in said.items()}


def _units(lots: Mapping[Lot, int]) -> Counter[Values]:
    found: Counter[Values] = Counter()
    for lot, count in lots.items():
        for unit in lot:
            found[unit] += count
    return found


def _interval(lots: Mapping[Lot, int], level: Level) -> tuple[float, float] | None:
    work = sum(len(lot) * count for lot, count in lots.items())
    draws = min(MOST, max(LEAST, WORK // work))
    return redrawn(lots, lambda again: alpha(_units(again), level), draws=draws)


def _why(kind: str, people: Sequence[Vote], lots: Mapping[Lot, int]) -> str:
    if kind == "rewrite":
        return "Texts neither agree nor disagree: look at them."
    if not people:
        return "Nothing has been judged yet."
    if not lots:
        return "No item was judged by two people; raise the overlap to learn whether they agree."
    return (
        "All said the same of everything, so there was no chance to disagree, and agreement beyond "
        "chance has no meaning."
    )


def _kappas(few: Sequence[Vote]) -> list[Kappa]:
    """Every two annotators who judged something in common, most in common first."""
    users = {one.user.id: one.user for one in few}
    pairs: dict[tuple[int, int], Counter[tuple[int, int]]] = {}
    common: Counter[tuple[int, int]] = Counter()
    for said in table(few).values():
        common.update(combinations(sorted(said), 2))
    for said in _both_ways(few):
        for a, b in combinations(sorted(said), 2):
            pairs.setdefault((a, b), Counter())[said[a], said[b]] += 1
    found = []
    for (a, b), counts in pairs.items():
        same = sum(count for (x, y), count in counts.items() if x == y) / counts.total()
        found.append(Kappa(users[a], users[b], kappa(counts), same, common[a, b]))
    return sorted(found, key=lambda one: (-one.n, one.first.name, one.second.name))
