"""Alpha: published values, the definition written slowly, and what is undefined."""

import csv
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from accord.maths.agreement import Level, alike, alpha, calibrated, kappa, mcnemar


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


def test_mcnemar_is_a_fair_coin_thrown() -> None:
    assert mcnemar(1, 8) == pytest.approx(2 * (1 + 9) / 512)
    assert mcnemar(8, 1) == mcnemar(1, 8)
    assert mcnemar(0, 6) == pytest.approx(2 / 64)
    assert mcnemar(0, 0) == mcnemar(5, 5) == 1
    # by listing: as many heads or fewer, or as many tails or fewer
    for b, c in ((2, 5), (3, 4), (0, 3)):
        n, few = b + c, min(b, c)
        heads = [bin(throw).count("1") for throw in range(2**n)]
        far = sum(k <= few or k >= n - few for k in heads) / 2**n
        assert mcnemar(b, c) == pytest.approx(min(1.0, far))


def test_calibration_by_hand() -> None:
    error, bins = calibrated([(0.95, 1.0), (0.91, 0.0), (0.35, 1.0)])
    assert bins == [(0.35, 1.0, 1), (pytest.approx(0.93), 0.5, 2)]
    assert error == pytest.approx((0.65 + 2 * 0.43) / 3)
    # from ½ on, bins are half as wide: 0.56 and 0.52 part, which they do not from 0 on
    assert [n for *_, n in calibrated([(0.52, 1.0), (0.56, 0.0)], 0.5)[1]] == [1, 1]
    assert [n for *_, n in calibrated([(0.52, 1.0), (0.56, 0.0)])[1]] == [2]
    assert calibrated([(1.0, 1.0), (0.97, 1.0)])[1] == [(pytest.approx(0.985), 1.0, 2)]
    assert calibrated([(0.5, 0.5)], 0.5) == (0.0, [(0.5, 0.5, 1)])


def test_who_is_as_sure_as_right_has_no_error() -> None:
    rng = random.Random(3)
    sure = [rng.uniform(0.5, 1) for _ in range(20_000)]
    fair = [(p, float(rng.random() < p)) for p in sure]
    assert calibrated(fair, 0.5)[0] < 0.02
    assert calibrated([(p, float(rng.random() < 0.75)) for p in sure], 0.5)[0] > 0.1
