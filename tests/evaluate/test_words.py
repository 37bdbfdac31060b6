"""Numbers as people read them: never rounded into another claim."""

import math

import pytest

from accord.evaluate.words import count, digits, duration, percent, signed


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (None, "not measured"),
        (math.nan, "not finite"),
        (-math.inf, "not finite"),
        (0, "0.00"),
        (-0.0, "0.00"),
        (0.123, "0.12"),
        (-1.256, "−1.26"),
        (12.34, "12.3"),
        (-123.4, "−123"),
        (0.0046, "0.005"),
        (-0.0046, "−0.005"),
        (0.00031, "0.0003"),
        (-1e-9, "0.00"),
    ],
)
def test_digits(x: float | None, said: str) -> None:
    assert digits(x) == said


def test_signed() -> None:
    assert signed(0.5) == "+0.50"
    assert signed(-0.5) == "−0.50"
    assert signed(0.0) == "0.00"
    assert signed(1e-9) == "0.00"
    assert signed(0.003) == "+0.003"


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (None, "not measured"),
        (math.nan, "not finite"),
        (0.0, "0%"),
        (1.0, "100%"),
        (0.5, "50%"),
        (0.013, "1.3%"),
        (0.0004, "under 0.1%"),
        (0.993, "99.3%"),
        (0.9996, "over 99.9%"),
    ],
)
def test_percent(x: float | None, said: str) -> None:
    assert percent(x) == said


def test_no_share_below_all_is_said_to_be_all_nor_one_above_none_none() -> None:
    for k in range(1, 5000):
        said = percent(k / 5000)
        assert said not in ("0%", "0.0%", "100%", "100.0%"), k


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.31, "0.3 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (119.7, "2 min 00 s"),
        (292, "4 min 52 s"),
        (3599.7, "1 h 00 min"),
        (7384, "2 h 03 min"),
    ],
)
def test_duration(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_count() -> None:
    assert count(1, "pair") == "1 pair"
    assert count(0, "pair") == "0 pairs"
    assert count(1200, "story", "stories") == "1,200 stories"
