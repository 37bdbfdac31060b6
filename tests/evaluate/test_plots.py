"""Pictures show what was measured, in the page's own colours, and say it in words as well."""

import re
from typing import Any

import pytest

from accord.evaluate.plots import MOST_POINTS, Curve, curve, scatter

SCORE = Curve("score", "Score", "what it means")
SHARE = Curve("share", "Share", "what it means", form="share")


def rows(key: str, *values: Any) -> list[dict[str, Any]]:
    return [{"step": 10 * i, key: value} for i, value in enumerate(values)]


def words(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def points(svg: str, colour: str) -> int:
    return len(re.findall(rf"<use [^>]*(?:stroke|fill): var\(--{colour}\)", svg))


def test_a_curve_says_in_words_what_it_draws() -> None:
    found = curve(rows("score", 0.5, 3.0, -1.0, 2.0), SCORE, (1.5, "before"))
    assert found is not None
    assert found.alt == (
        "Score over 4 measurements: 0.50 at step 0, 2.00 at step 30, lowest −1.00, highest 3.00. "
        "Dashed line: before, 1.50."
    )
    assert "step" in words(found.svg)
    assert "before 1.50" in words(found.svg)


@pytest.mark.parametrize("values", [(), (None, None), (float("nan"),)])
def test_what_was_never_measured_is_not_drawn(values: Any) -> None:
    assert curve(rows("score", *values), SCORE) is None


@pytest.mark.parametrize("values", [(1.0,), (2.0, 2.0, 2.0), (1e-12, -1e-12), (1e12, 2e12)])
def test_odd_histories_are_drawn(values: Any) -> None:
    found = curve(rows("score", *values), SCORE, (values[0], "before"))
    assert found is not None
    assert found.svg.startswith("<svg")


def test_shares_are_percent() -> None:
    found = curve(rows("share", 0.1, 0.2, 0.6), SHARE)
    assert found is not None
    assert any(word.endswith("%") for word in words(found.svg))
    assert "10% at step 0" in found.alt


@pytest.mark.parametrize(
    ("values", "level", "anchor", "above"),
    [
        ([i / 20 for i in range(20)], 0.0, "end", True),
        ([1 - i / 20 for i in range(20)], 0.0, "start", True),
        ([abs(1 - i / 10) for i in range(21)], 0.95, "middle", True),
        ([1.0 + 0.1 * (i % 2) for i in range(20)] + [3.0], 0.95, "end", False),
    ],
    ids=["starts on it", "ends on it", "starts and ends on it", "runs along it, above"],
)
def test_the_name_of_a_level_keeps_clear_of_the_curve(
    values: list[float], level: float, anchor: str, above: bool
) -> None:
    found = curve(rows("score", *values), SCORE, (level, "before"))
    assert found is not None
    name = re.search(
        r'<text style="[^"]*text-anchor: (\w+)[^"]*" x="[^"]*" y="([^"]*)"[^>]*>before', found.svg
    )
    line = re.search(r'<path d="M [\d.]+ ([\d.]+) \nL [^"]*"[^>]*stroke-dasharray: [^0]', found.svg)
    assert name is not None
    assert line is not None
    assert name[1] == anchor
    assert (float(name[2]) < float(line[1])) == above


def test_colours_are_the_pages_and_nothing_is_loaded() -> None:
    found = curve(rows("score", 1.0, 2.0), SCORE, (1.0, "before"))
    assert found is not None
    for svg in (found.svg, scatter([(0.0, 1.0), (1.0, 2.0)], 1)):
        assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) <= {"#000000", "#ffffff"}
        assert "var(--after)" in svg
        assert "http" not in svg
        assert "<style" not in svg
        assert "font-family" not in svg, "the letters are the page's too"


def test_before_and_after_differ_in_form_as_well_as_in_colour() -> None:
    """Whoever sees no colours must tell them apart: rings and filled diamonds."""
    svg = scatter([(0.0, 0.0)] * 3 + [(1.0, 1.0)] * 5, 3)
    assert points(svg, "before") == 3
    assert points(svg, "after") == 5
    marks = dict(re.findall(r'<path id="([^"]+)" d="([^"]+)"', svg))
    used = {
        tone: re.search(rf'<use [^>]*href="#([^"]+)"[^>]*var\(--{tone}\)', svg)
        for tone in ("before", "after")
    }
    shapes = {tone: marks[found[1]] for tone, found in used.items() if found}
    assert len(re.findall(r"<use [^>]*fill-opacity: 0; stroke: var\(--before\)", svg)) == 3
    assert len(re.findall(r"<use [^>]*fill: var\(--after\)", svg)) == 5
    assert "C" in shapes["before"], "round"
    assert "C" not in shapes["after"], "with corners"


def test_many_points_are_thinned_evenly() -> None:
    svg = scatter([(float(i % 3), float(i)) for i in range(4 * MOST_POINTS)], 3 * MOST_POINTS)
    assert points(svg, "before") == 450
    assert points(svg, "after") == 150


def test_the_same_picture_from_the_same_numbers() -> None:
    given = [(i % 2 / 2, i / 7) for i in range(20)]
    assert scatter(given, 10) == scatter(given, 10)
    assert scatter(given, 10) != scatter(given, 10, seed=1)


def test_ids_of_two_pictures_do_not_meet() -> None:
    one, two = curve(rows("score", 1, 2), SCORE), curve(rows("share", 1, 2), SHARE)
    assert one is not None
    assert two is not None
    ids = [set(re.findall(r'\bid="([^"]+)"', plot.svg)) for plot in (one, two)]
    assert ids[0] & ids[1] == set()


def test_no_mark_of_a_share_is_beyond_it() -> None:
    for share in (0.0, 1.0):
        plot = curve(rows("share", *[share] * 5), SHARE)
        assert plot is not None
        marks = [float(mark) for mark in re.findall(r"(-?[\d.]+)%", " ".join(words(plot.svg)))]
        assert marks
        assert all(0 <= mark <= 100 for mark in marks)
