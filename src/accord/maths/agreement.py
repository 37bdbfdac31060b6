"""How far judges agree beyond chance: Krippendorff's alpha, Cohen's kappa, plain agreement; whether
two of them are unlike (McNemar), and how far certainty agrees with what came of it.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Literal

Values = tuple[int, ...]
"""what the judges of one unit said, each once; their order says nothing"""
Level = Literal["nominal", "ordinal"]
BINS = 10


def alpha(units: Mapping[Values, int], level: Level = "nominal") -> float | None:
    """Krippendorff's alpha of units, alike ones counted under one key: 1 - D_o / D_e.

    Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", parts C and E: coincidences
    o_ck of values that different judges gave one unit, with their metric differences.  A unit with
    one value has nothing to agree with and is left out.  None where it is undefined: nothing was
    judged twice, or all values are equal and there was no chance to disagree.
    """
    o = _coincidences(units)
    n_c: dict[int, float] = defaultdict(float)
    for (c, _), count in o.items():
        n_c[c] += count
    n = sum(n_c.values())
    apart = _differences(n_c, level)
    expected = sum(n_c[c] * n_c[k] * far for (c, k), far in apart.items())
    if not expected:
        return None
    observed = sum(o.get(pair, 0.0) * far for pair, far in apart.items())
    return 1 - (n - 1) * observed / expected


def kappa(pairs: Mapping[tuple[int, int], int]) -> float | None:
    """Cohen's kappa of two judges: (p_o - p_e) / (1 - p_e), from how often each (a, b) was said.

    Cohen 1960, "A Coefficient of Agreement for Nominal Scales".  None where both said one value all
    the time, or nothing.
    """
    n = sum(pairs.values())
    first: dict[int, int] = defaultdict(int)
    second: dict[int, int] = defaultdict(int)
    for (a, b), count in pairs.items():
        first[a] += count
        second[b] += count
    chance = sum(count * second.get(a, 0) for a, count in first.items())
    if chance == n * n:
        return None
    same = sum(count for (a, b), count in pairs.items() if a == b)
    return (n * same - chance) / (n * n - chance)


def alike(units: Mapping[Values, int]) -> float | None:
    """The share of equal values among all pairs of judges who judged the same unit."""
    equal = pairs = 0
    for values, count in units.items():
        m = len(values)
        pairs += count * m * (m - 1)
        equal += count * sum(values.count(c) - 1 for c in values)
    return equal / pairs if pairs else None


def mcnemar(b: int, c: int) -> float:
    """Two-sided exact p of b questions that one alone answers rightly, c that the other alone does:
    2 P(X ≤ min(b, c)) of b + c throws of a fair coin, at most 1.

    McNemar 1947, "Note on the sampling error of the difference between correlated proportions".
    """
    n = b + c
    tail = sum(math.comb(n, k) for k in range(min(b, c) + 1)) / 2**n
    return min(1.0, 2 * tail)


def calibrated(
    sure: Sequence[tuple[float, float]], low: float = 0.0
) -> tuple[float, list[tuple[float, float, int]]]:
    """Expected calibration error Σ n_b / n |mean certainty - share right| of (certainty, right), in
    ten bins from `low` to 1 (Guo et al. 2017, eq. 5); and (certainty, share right, n) of each bin
    that has some.
    """
    bins: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for p, right in sure:
        bins[min(BINS - 1, int((p - low) / (1 - low) * BINS))].append((p, right))
    rows = [
        (fmean(p for p, _ in few), fmean(right for _, right in few), len(few))
        for _, few in sorted(bins.items())
    ]
    return sum(n * abs(p - right) for p, right, n in rows) / len(sure), rows


def _coincidences(units: Mapping[Values, int]) -> dict[tuple[int, int], float]:
    """o_ck: ordered pairs of values within units, each unit weighing as many values as it has."""
    o: dict[tuple[int, int], float] = defaultdict(float)
    for values, count in units.items():
        for i, c in enumerate(values):
            for j, k in enumerate(values):
                if i != j:
                    o[c, k] += count / (len(values) - 1)
    return o


def _differences(n_c: Mapping[int, float], level: Level) -> dict[tuple[int, int], float]:
    """The squared difference of every two values: 1, or by the ranks that lie between them."""
    apart: dict[tuple[int, int], float] = {}
    for c in n_c:
        for k in n_c:
            if c == k:
                continue
            between = sum(n for g, n in n_c.items() if min(c, k) <= g <= max(c, k))
            apart[c, k] = 1.0 if level == "nominal" else (between - (n_c[c] + n_c[k]) / 2) ** 2
    return apart
