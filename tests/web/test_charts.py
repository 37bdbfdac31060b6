"""Columns and intervals lie where their numbers say."""

from datetime import date

from accord.web.charts import HEIGHT, WIDTH, days, span


def test_every_day_has_a_column_and_the_highest_fills_the_drawing() -> None:
    bars = days({date(2026, 3, 1): 2, date(2026, 3, 9): 8}, date(2026, 3, 10))
    assert [bar.value for bar in bars] == [2, 0, 0, 0, 0, 0, 0, 0, 8, 0]
    assert (bars[8].y, bars[8].height, bars[0].height) == (0, HEIGHT, HEIGHT / 4)
    assert bars[-1].x + bars[-1].width < WIDTH
    assert (bars[0].label, bars[-1].label) == ("1 Mar", "10 Mar")


def test_a_first_day_is_shown_with_the_week_before_it() -> None:
    assert len(days({date(2026, 3, 10): 1}, date(2026, 3, 10))) == 7
    assert days({}, date(2026, 3, 10)) == []


def test_an_interval_stays_on_its_line() -> None:
    found = span(0.5, -0.2, 1.3, 0.75)
    assert (found.point, found.low, found.high, found.mark) == (50, 0, 100, 75)
