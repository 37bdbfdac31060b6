"""Correlations against numpy, and the parting of two rewards."""

import math
import random
from typing import Any

import numpy as np
import pytest

from accord.evaluate.trend import (
    _line,
    parting,
    pearson,
    recent,
    series,
    smooth,
    spearman,
)

rng = np.random.default_rng(0)
SAMPLES = [
    (rng.normal(size=30), rng.normal(size=30)),
    (rng.integers(0, 3, 40) / 2.0, rng.normal(size=40)),  # a rule's few levels: many equal ranks
    (np.arange(12.0), np.arange(12.0) ** 3),
    (1e9 + rng.normal(size=25), rng.normal(size=25)),
    (np.array([0.0, 1.0]), np.array([3.0, -3.0])),
]


def ranks(x: np.ndarray) -> np.ndarray:
    """Mean place of equal values, straight from the definition."""
    return np.array([(x < v).sum() + ((x == v).sum() - 1) / 2 for v in x])


@pytest.mark.parametrize(("x", "y"), SAMPLES)
def test_correlations_are_numpys(x: np.ndarray, y: np.ndarray) -> None:
    assert pearson(list(x), list(y)) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-9)
    want = np.corrcoef(ranks(x), ranks(y))[0, 1]
    assert spearman(list(x), list(y)) == pytest.approx(want, abs=1e-12)


def test_spearman_knows_order_alone() -> None:
    x = [0.1, 0.5, 2.0, 3.0, 9.0]
    assert spearman(x, [math.exp(v) for v in x]) == pytest.approx(1)
    assert spearman(x, [-math.exp(v) for v in x]) == pytest.approx(-1)
    assert pearson(x, [math.exp(v) for v in x]) < 0.96


@pytest.mark.parametrize("same", [([1.0, 1.0], [1.0, 2.0]), ([1.0, 2.0], [0.0, 0.0]), ([1], [1])])
def test_what_does_not_vary_has_no_correlation(same: Any) -> None:
    assert pearson(*same) is None
    assert spearman(*same) is None
    assert pearson([], []) is None


@pytest.mark.parametrize("n", [5, 8, 30])
def test_a_slope_is_sure_where_the_t_test_says_so(n: int) -> None:
    """Residuals at right angles to the line leave slope and error as they were put in."""
    x, noise = np.arange(n) * 10.0, rng.normal(size=n)
    rest = noise - np.polyval(np.polyfit(x, noise, 1), x)
    error = np.sqrt((rest**2).sum() / (n - 2) / ((x - x.mean()) ** 2).sum())
    point = {5: 3.182, 8: 2.447, 30: 2.048}[n]
    for times, sure in ((0.97, False), (1.03, True)):
        for sign in (1, -1):
            slope = sign * times * point * error
            change, found = _line(list(zip(x, slope * x + rest, strict=True)))
            assert change == pytest.approx(slope * (x[-1] - x[0]))
            assert found == sure
    assert _line([(1.0, 2.0)] * 5) == (0.0, False)


def rows(learned: float, true: float, *, noise: float = 0.02, n: int = 40) -> list[dict[str, Any]]:
    """Both rise for half of the time, then move by these amounts."""
    dice, found = random.Random(5), []
    for step in range(n):
        late = max(0.0, (step - n / 2) / (n / 2))
        early = min(1.0, step / (n / 2))
        found.append(
            {
                "step": step,
                "objective/scores": early + learned * late + dice.gauss(0, noise),
                "eval/true": 0.5 * early + true * late + dice.gauss(0, noise),
            }
        )
    return found


def test_parting_is_found_where_one_rises_and_the_other_falls() -> None:
    found = parting(rows(1.0, -0.4))
    assert found is not None
    assert found.found
    assert found.since == 20
    assert found.learned == pytest.approx(1.0, abs=0.1)
    assert found.true == pytest.approx(-0.4, abs=0.1)


@pytest.mark.parametrize(
    ("learned", "true", "noise"),
    [(1.0, 0.4, 0.02), (-1.0, -0.4, 0.02), (-1.0, 0.4, 0.02), (1.0, -0.1, 0.1), (0.3, -0.1, 2.0)],
    ids=["both rise", "both fall", "the good way round", "one hardly falls", "lost in noise"],
)
def test_parting_is_not_found_elsewhere(learned: float, true: float, noise: float) -> None:
    found = parting(rows(learned, true, noise=noise))
    assert found is not None
    assert not found.found


def test_chance_parts_two_rewards_rarely() -> None:
    """Of two lines without a trend, one up and one down beyond 2.5 % each: hardly ever."""
    dice, found = random.Random(3), 0
    for _ in range(300):
        history = [
            {"step": s, "objective/scores": dice.gauss(0, 1), "eval/true": dice.gauss(0, 1)}
            for s in range(20)
        ]
        told = parting(history)
        found += told is not None and told.found
    assert found <= 3


def test_parting_needs_measurements() -> None:
    history = rows(1.0, -0.4, n=9)  # the later half: steps 4 to 8
    assert parting(history) is not None
    assert parting(history[:8]) is None
    assert parting([]) is None
    assert (
        parting([{"step": row["step"], "eval/true": row["eval/true"]} for row in history]) is None
    )


def test_a_rare_measurement_is_placed_by_its_step() -> None:
    history = rows(1.0, -0.4, n=120)
    for row in history:
        if row["step"] % 10:
            row["eval/true"] = None
    found = parting(history)
    assert found is not None
    assert found.found
    assert found.true == pytest.approx(-0.4, abs=0.1)


def test_series_takes_what_was_measured() -> None:
    history = [
        {"step": 10, "a": 1},
        {"step": 20, "a": None},
        {"step": 30, "a": math.nan},
        {"step": 40},
        {"a": 2.5},
    ]
    assert series(history, "a") == [(10.0, 1.0), (4.0, 2.5)]
    assert series(history, "b") == []


def test_recent_is_the_last_tenth() -> None:
    history = [{"step": i, "kl": float(i)} for i in range(40)]
    assert recent(history, "kl") == fmean_of(36, 37, 38, 39)
    assert recent(history[:14], "kl") == 13.0
    assert recent(history[:3], "kl") == 2.0
    assert recent(history, "nothing") is None


def fmean_of(*values: float) -> float:
    return sum(values) / len(values)


def test_smooth_keeps_lines_and_lowers_noise() -> None:
    line = [2.0 * i for i in range(60)]
    assert smooth(line)[3:-3] == pytest.approx(line[3:-3])
    assert smooth([1.0, 2.0, 4.0]) == [1.0, 2.0, 4.0]  # too short to mean anything away
    noise = [float((-1) ** i) for i in range(60)]
    assert max(map(abs, smooth(noise))) < 0.3
    assert smooth([]) == []
