"""How sure a number is: intervals of proportions, of means, and of any number made from units."""

import math
import random
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev
from typing import TypeVar

U = TypeVar("U", bound=Hashable)
CONFIDENCE = 0.95
DRAWS = 2000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and the interval it lies in."""

    value: float
    low: float
    high: float


def wilson(rate: float, count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The score interval of a proportion (Wilson 1927, JASA 22:209).

    For a mean of wins, ties (½) and losses it is too wide rather than too narrow.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    shrink = 1 + z * z / count
    centre = (rate + z * z / (2 * count)) / shrink
    half = z / shrink * math.sqrt(rate * (1 - rate) / count + z * z / (4 * count * count))
    return max(0.0, centre - half), min(1.0, centre + half)


def proportion(yes: int, count: int) -> Estimate:
    """A share with its Wilson interval; `count` is at least 1."""
    return Estimate(yes / count, *wilson(yes / count, count))


def estimate(
    values: Sequence[float], *, seed: int = 0, draws: int = DRAWS, share: bool = True
) -> Estimate:
    """A mean over units with its 95 % interval by a bootstrap; of shares (`share`) that are all 0
    or all 1, or another number alike, Wilson's: drawn again, equal numbers say nothing of spread.
    """
    value = fmean(values)
    if share and len(set(values)) == 1:
        return Estimate(value, *wilson(value, len(values)))
    return Estimate(value, *bootstrap(values, seed=seed, draws=draws))


def over_seeds(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """The mean of a few seeds with Student's t interval; of one seed, with no interval but all."""
    value, count = fmean(values), len(values)
    if count < 2:
        return Estimate(value, -math.inf, math.inf)
    half = student(count - 1, confidence) * stdev(values) / math.sqrt(count)
    return Estimate(value, value - half, value + half)


def student(freedom: int, confidence: float = CONFIDENCE) -> float:
    """The two-sided quantile of Student's t (Student 1908), by bisection of its distribution."""
    low, high = 0.0, 1000.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < confidence else (low, middle)
    return low


def _within(t: float, freedom: int) -> float:
    """P(|T| < t), by the finite series for whole degrees of freedom (Abramowitz, Stegun 26.7)."""
    angle = math.atan(t / math.sqrt(freedom))
    cos2, term, total = math.cos(angle) ** 2, 1.0, 0.0
    odd = freedom % 2
    if odd:
        term = math.cos(angle)
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= cos2 * (k / (k + 1))
    if odd:
        return 2 / math.pi * (angle + math.sin(angle) * total)
    return math.sin(angle) * total


def bootstrap(
    values: Sequence[float], *, seed: int = 0, draws: int = DRAWS, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """The percentile interval of the mean (Efron 1979), the same for the same seed.

    Each value is one prompt: a difference of two scores stays a pair when it is drawn again.
    """
    rng = random.Random(f"bootstrap/{seed}")
    means = sorted(fmean(rng.choices(values, k=len(values))) for _ in range(draws))
    tail = (1 - confidence) / 2
    return quantile(means, tail), quantile(means, 1 - tail)


def redrawn(
    units: Mapping[U, int],
    number: Callable[[Mapping[U, int]], float | None],
    *,
    seed: int = 0,
    draws: int = 1000,
    confidence: float = CONFIDENCE,
) -> tuple[float, float] | None:
    """The percentile interval of a number made from units: alike units are one key, counted.

    Units are drawn again whole (Efron 1979).  None where more than one draw in twenty leaves the
    number undefined: an interval of the others would be of something else.
    """
    every = [unit for unit, count in units.items() for _ in range(count)]
    rng = random.Random(f"redrawn/{seed}")
    drawn = [number(Counter(rng.choices(every, k=len(every)))) for _ in range(draws)]
    values = sorted(value for value in drawn if value is not None)
    if len(values) < 0.95 * draws:
        return None
    tail = (1 - confidence) / 2
    return quantile(values, tail), quantile(values, 1 - tail)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Of numbers in rising order, by linear interpolation (type 7 of Hyndman and Fan 1996)."""
    at = share * (len(ordered) - 1)
    floor, rest = int(at), at - int(at)
    ceiling = min(floor + 1, len(ordered) - 1)
    return ordered[floor] + rest * (ordered[ceiling] - ordered[floor])
