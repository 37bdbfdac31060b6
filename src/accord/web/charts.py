"""Small charts as numbers for inline SVG: the templates draw them, a table beside says the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

WIDTH, HEIGHT = 640, 140
DAYS = 30
"""at most, in a chart of days"""


@dataclass(frozen=True)
class Bar:
    """One column, in the units of the drawing."""

    x: float
    y: float
    width: float
    height: float
    label: str
    value: int


@dataclass(frozen=True)
class Span:
    """A point with its interval on a line from `least` to `most`, as shares of its length in %."""

    point: float
    low: float
    high: float
    mark: float


def days(counts: Mapping[date, int], today: date) -> list[Bar]:
    """A column for each day up to today, the empty ones too, from the first that has any."""
    if not counts:
        return []
    first = max(min(counts), today - timedelta(days=DAYS - 1))
    first = min(first, today - timedelta(days=6))
    span = [first + timedelta(days=step) for step in range((today - first).days + 1)]
    most = max(1, *(counts.get(day, 0) for day in span))
    room = WIDTH / len(span)
    bars = []
    for place, day in enumerate(span):
        count = counts.get(day, 0)
        high = round(HEIGHT * count / most, 1)
        x, width = round(place * room + room * 0.12, 1), round(room * 0.76, 1)
        bars.append(Bar(x, round(HEIGHT - high, 1), width, high, f"{day:%-d %b}", count))
    return bars


def span(
    point: float, low: float, high: float, mark: float, least: float = 0.0, most: float = 1.0
) -> Span:
    """An interval on its line; what lies outside is drawn at the edge."""

    def share(value: float) -> float:
        return round(100 * min(1.0, max(0.0, (value - least) / (most - least))), 1)

    return Span(share(point), share(low), share(high), share(mark))
