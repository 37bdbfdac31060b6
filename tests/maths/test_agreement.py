"""Krippendorff's alpha and plain agreement, against published values and an independent sum."""

import csv
import random
from collections import Counter
from itertools import permutations

import pytest

from accord.maths.agreement import alike, alpha

# Krippendorff 2011, example C: four observers, twelve units, values missing
EXAMPLE = (
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
)


def units(rows):
    columns = zip(*(row.split() for row in rows), strict=True)
    return Counter(tuple(int(v) for v in column if v != ".") for column in columns)


@pytest.mark.parametrize(("level", "value"), [("nominal", 0.743), ("ordinal", 0.815)])
def test_the_published_example(level, value):
    assert alpha(units(EXAMPLE), level) == pytest.approx(value, abs=5e-4)


def test_the_table_of_llmfao_is_that_example(shared):
    with shared("data/llmfao/codings.csv").open(newline="") as file:
        table = [" ".join(cell or "." for cell in row) for row in csv.reader(file)]
    assert alpha(units(table)) == pytest.approx(0.743, abs=5e-4)


def test_alpha_is_one_less_observed_over_expected():
    rng = random.Random(1)
    many = [tuple(rng.choices((0, 1, 2), (5, 2, 1), k=rng.randint(2, 4))) for _ in range(40)]
    values = [v for unit in many for v in unit]
    n = len(values)
    observed = sum(
        (a != b) / (len(unit) - 1) for unit in many for a, b in permutations(unit, 2)
    ) / len(values)
    expected = sum(a != b for a, b in permutations(values, 2)) / (n * (n - 1))
    assert alpha(Counter(many)) == pytest.approx(1 - observed / expected)


def test_its_ends():
    assert alpha({(0, 0): 3, (1, 1): 3}) == 1
    assert alpha({(0, 1): 6}) < 0
    assert alpha({(1, 1): 9}) is None, "without a chance to disagree nothing was shown"
    assert alpha({(0,): 4, (1,): 4}) is None
    assert alike({(0, 0, 1): 1}) == pytest.approx(1 / 3)
    assert alike({(0,): 3}) is None


def test_one_value_alone_changes_nothing():
    known = units(EXAMPLE)
    assert alpha({**known, (7,): 5}) == alpha(known)
