"""How long things are: quantiles, and a histogram whose bins grow."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import chain, count, pairwise

from accord.data.check.sheet import Sheet
from accord.maths.intervals import quantile

SHARES = {"min": 0.0, "p10": 0.1, "median": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


@dataclass(frozen=True)
class Bar:
    """How many have a length from `low` to `high`, both included."""

    low: int
    high: int
    count: int


@dataclass(frozen=True)
class Lengths:
    """Of one sort of thing."""

    what: str
    quantiles: dict[str, float]
    bars: tuple[Bar, ...]


def lengths(sheet: Sheet) -> list[Lengths]:
    """Of prompts, answers, and both together."""
    if not sheet.lines:
        return []
    measured = partial(measure, limit=sheet.limit)
    found = [measured("prompts", (line.sizes[0] for line in sheet.lines))]
    if sheet.kind == "comparisons":
        pairs = [(line.sizes[1][i], line.sizes[1][j]) for line, i, j in sheet.pairs()]
        if pairs:
            found.append(measured("preferred answers", (better for better, _ in pairs)))
            found.append(measured("other answers", (worse for _, worse in pairs)))
    elif sheet.kind == "demonstrations":
        found.append(measured("answers", (n for line in sheet.lines for n in line.sizes[1])))
    if sheet.kind != "prompts":
        found.append(measured("prompt and longest answer", (line.size for line in sheet.lines)))
    return found


def measure(what: str, sizes: Iterable[int], limit: int | None = None) -> Lengths:
    """Quantiles, and bars over all that is between the shortest and the longest.

    No bar reaches across the limit: what is in one fits, or it does not.
    """
    ordered = sorted(sizes)
    edges = list(_edges(ordered[-1]))
    if limit is not None and limit + 1 < edges[-1]:
        edges = sorted({*edges, limit + 1} - {limit})
    first = bisect_right(edges, ordered[0]) - 1
    counts = [0] * len(edges)
    for size in ordered:
        counts[bisect_right(edges, size) - 1] += 1
    bars = [
        Bar(low, high - 1, counts[i]) for i, (low, high) in enumerate(pairwise(edges)) if i >= first
    ]
    return Lengths(what, {k: quantile(ordered, q) for k, q in SHARES.items()}, tuple(bars))


def _edges(most: int) -> Iterable[int]:
    """0, 1, 2, 3, 4, 6, 8, 12, 16, 24, …: two bins to a doubling, one edge beyond the longest."""
    for edge in chain((0, 1, 2, 3), (m << e for e in count(1) for m in (2, 3))):
        yield edge
        if edge > most:
            return
