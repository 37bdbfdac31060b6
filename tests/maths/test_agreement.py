"""Alpha: published values, the definition written slowly, and what is undefined."""

import csv
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from accord.maths.agreement import Level, alike, alpha, kappa


def slowly(units: Sequence[Sequence[int]], level: Level) -> float:
    """Mean squared difference within units, over that between all pairable values."""
    units = [unit for unit in units if len(unit) > 1]
    every = [value for unit in units for value in unit]
    n = len(every)

    def far(c: int, k: int) -> float:
        if c == k or level == "nominal":
            return float(c != k)
        between = sum(min(c, k) <= g <= max(c, k) for g in every)
        return (between - (every.count(c) + every.count(k)) / 2) ** 2

    def mean(values: Sequence[int]) -> float:
        pairs = [far(values[i], values[j]) for i in range(len(values)) for j in range(len(values))]
        return sum(pairs) / (len(values) * (len(values) - 1))

    return 1 - sum(len(unit) * mean(unit) for unit in units) / n / mean(every)


def counted(units: Sequence[Sequence[int]]) -> Counter[tuple[int, ...]]:
    return Counter(tuple(unit) for unit in units)


@pytest.mark.parametrize(("level", "value"), [("nominal", 0.743), ("ordinal", 0.815)])
def test_the_published_example(level: Level, value: float, shared: Callable[[str], Path]) -> None:
    """Krippendorff 2011, part C: four observers, twelve units, some values missing."""
    rows = list(csv.reader(shared("data/llmfao/codings.csv").read_text().splitlines()))
    units = [[int(value) for value in column if value] for column in zip(*rows, strict=True)]
    assert alpha(counted(units), level) == pytest.approx(value, abs=5e-4)


@pytest.mark.parametrize("level", ["nominal", "ordinal"])
@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_its_definition(level: Level, seed: int) -> None:
    rng = random.Random(seed)
    units = [[rng.choice((1, 1, 2, 4)) for _ in range(rng.randint(1, 5))] for _ in range(30)]
    assert alpha(counted(units), level) == pytest.approx(slowly(units, level), rel=1e-9)
    pairs = [(a == b) for u in units for i, a in enumerate(u) for b in u[i + 1 :]]
    assert alike(counted(units)) == pytest.approx(sum(pairs) / len(pairs))


def test_ends_and_what_is_undefined() -> None:
    assert alpha({(0, 0): 3, (1, 1): 2}) == 1.0
    assert alpha({(0, 1): 5}) == pytest.approx(-0.8)
    assert alpha({(0, 0): 9}) is None
    assert alpha({(0,): 9, (1,): 2}) is None
    assert alike({(0,): 9}) is None


# --- kappa ---


def kappa_slowly(said: Sequence[tuple[int, int]]) -> float:
    """From every judgement of the one with every judgement of the other."""
    n = len(said)
    same = sum(a == b for a, b in said) / n
    chance = sum(a == b for a, _ in said for _, b in said) / n**2
    return (same - chance) / (1 - chance)


def test_kappa_of_two_known_tables() -> None:
    """Of 50 grants: both yes 20, only the first 5, only the second 10, both no 15 (0.7, 0.5)."""
    assert kappa({(1, 1): 20, (1, 0): 5, (0, 1): 10, (0, 0): 15}) == pytest.approx(0.4)
    assert kappa({(1, 1): 45, (1, 0): 15, (0, 1): 25, (0, 0): 15}) == pytest.approx(
        0.1304, abs=1e-4
    )


@pytest.mark.parametrize("seed", range(20))
def test_kappa_is_its_definition(seed: int) -> None:
    rng = random.Random(seed)
    said = [(rng.randrange(4), rng.choice((0, 1, 2))) for _ in range(rng.randrange(3, 40))]
    value = kappa(Counter(said))
    assert value == pytest.approx(kappa_slowly(said))
    assert kappa(Counter((b, a) for a, b in said)) == pytest.approx(value)


def test_kappa_of_nothing_and_of_one_value_is_undefined() -> None:
    assert kappa({}) is None
    assert kappa({(1, 1): 7}) is None
    assert kappa({(1, 0): 7}) == 0.0
    assert kappa({(1, 1): 3, (0, 0): 4}) == 1.0
