"""What AI feedback did, stage by stage, as one page that loads nothing."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from accord.evaluate.checkpage import spread
from accord.evaluate.plots import Line, tradeoff
from accord.evaluate.report import marked
from accord.evaluate.words import digits, percent
from accord.maths.intervals import Estimate
from accord.store import files

FILE, NUMBERS = "feedback.html", "feedback.json"
BINS = 5


@dataclass(frozen=True)
class Row:
    """Some answers in numbers, each with its 95 % interval."""

    name: str
    gentle: Estimate
    """share without a word that hurts or scares"""
    helpful: Estimate
    """share that names an animal"""
    words: Estimate
    """words that hurt or scare, per answer"""


@dataclass(frozen=True)
class Variant:
    """Preference models on one kind of label."""

    name: str
    pairs: int
    right: Sequence[float]
    """of each seed: how often the gentler of two answers has the higher score"""


@dataclass(frozen=True)
class Told:
    """All that the page says."""

    simulated: str
    """what is simulated, in words; empty where nothing is"""
    which: str
    constitution: str
    rounds: Sequence[Row]
    stages: Sequence[Row]
    labels: Sequence[tuple[float, bool]]
    """(q, whether the first is the gentler) of labelled pairs that differ"""
    variants: Sequence[Variant]
    stories: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    """(beginning, (stage, story))"""
    pattern: re.Pattern[str]
    """what is marked in stories"""
    files: Sequence[tuple[str, str]]


def bins(labels: Sequence[tuple[float, bool]]) -> list[tuple[float, float, int]]:
    """(mean certainty, share right, pairs) of each fifth of max(q, 1 - q) that has some."""
    rows: list[list[tuple[float, float]]] = [[] for _ in range(BINS)]
    for q, first in labels:
        sure = max(q, 1 - q)
        right = 0.5 if q == 0.5 else float((q > 0.5) == first)
        rows[min(BINS - 1, int((2 * sure - 1) * BINS))].append((sure, right))
    return [
        (fmean(sure for sure, _ in few), fmean(right for _, right in few), len(few))
        for few in rows
        if few
    ]


def numbers(told: Told) -> dict[str, Any]:
    """As JSON."""

    def row(one: Row) -> dict[str, Any]:
        return {"name": one.name} | {
            key: {"value": e.value, "low": e.low, "high": e.high}
            for key, e in (("gentle", one.gentle), ("helpful", one.helpful), ("words", one.words))
        }

    return {
        "simulated": told.simulated,
        "which": told.which,
        "rounds": [row(one) for one in told.rounds],
        "stages": [row(one) for one in told.stages],
        "calibration": [list(one) for one in bins(told.labels)],
        "variants": [
            {"name": one.name, "pairs": one.pairs, "right": list(one.right)}
            for one in told.variants
        ],
    }


def write(told: Told, folder: Path) -> None:
    """Page and numbers into a folder."""
    (folder / NUMBERS).write_bytes(files.dump(numbers(told)))
    (folder / FILE).write_text(render(told), encoding="utf-8")


def render(told: Told) -> str:
    """The page as text."""
    folder = Path(__file__).parent / "page"
    first, last = told.stages[0], told.stages[-1]
    sure = bins(told.labels)
    return _template().render(
        told=told,
        verdict=_verdict(first, last),
        rounds=_lines(told.rounds, "round"),
        calibration=_calibration(sure) if len(sure) > 1 else None,
        stories=[
            (begun, [(name, marked(text.strip(), told.pattern)) for name, text in rows])
            for begun, rows in told.stories
        ],
        css="".join((folder / name).read_text("utf-8") for name in ("report.css", "check.css")),
    )


def _verdict(first: Row, last: Row) -> str:
    a, b = first.gentle, last.gentle
    sure = b.low > a.high
    moved = "rose" if b.value > a.value else "fell" if b.value < a.value else "stayed"
    told = f"Gentle stories {moved} from {percent(a.value)} to {percent(b.value)}"
    return f"{told}." if sure else f"{told}; the intervals overlap, so this may be chance."


def _lines(rows: Sequence[Row], x: str) -> str:
    """Both shares over the rounds."""
    made = []
    for name, key in (("gentle", "gentle"), ("names an animal", "helpful")):
        every = [getattr(row, key) for row in rows]
        errors = [(0.0, (one.high - one.low) / 4) for one in every]
        made.append(Line(name, [(float(i), one.value) for i, one in enumerate(every)], errors))
    return tradeoff(made, f"{x} (0: as answered)", "share of stories")


def _calibration(sure: Sequence[tuple[float, float, int]]) -> str:
    errors = [(0.0, (right * (1 - right) / n) ** 0.5) for _, right, n in sure]
    points = [(at, right) for at, right, _ in sure]
    fair = Line("as sure as it is right", [(0.5, 0.5), (1.0, 1.0)], role="limit")
    labels = Line("labels", points, errors)
    return tradeoff([fair, labels], "how sure a label is", "how often right")


@cache
def _template() -> Template:
    env = Environment(
        loader=PackageLoader("accord.evaluate", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(spread=spread, percent=percent, digits=digits, mean=fmean)
    return env.get_template("feedback.html.jinja")
