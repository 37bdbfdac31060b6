"""What was found about a judge, in a terminal and as one page that loads nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from rich.markup import escape

from accord.data.check.texts import visible
from accord.evaluate.checkpage import spread
from accord.evaluate.hygiene import Hygiene, Seen
from accord.evaluate.plots import Line, tradeoff
from accord.evaluate.words import count, digits, percent
from accord.maths.intervals import Estimate

FILE = "judge.html"
SHOWN = 4
"""cases that are shown in which it differs from people most surely"""
LOST = 0.05
"""share of pairs without a verdict that is worth a warning"""
OFF = 0.1
"""calibration error that is worth a warning"""
COLOURS = {"error": "red", "warning": "yellow", "note": "green"}


@dataclass(frozen=True)
class Finding:
    """One habit, or that there is none."""

    severity: str
    """error, warning, or note"""
    title: str
    number: str
    todo: str


def findings(found: Hygiene) -> list[Finding]:
    """What to know before it is trusted, the worst first."""
    every = [*_agreement(found), *_place(found), *_habits(found)]
    return sorted(every, key=lambda one: list(COLOURS).index(one.severity))


def _agreement(found: Hygiene) -> Iterator[Finding]:
    if (agrees := found.agrees) is not None:
        people = f"; two people agree in {percent(found.people)}" if found.people else ""
        kappa = f"; κ {digits(found.kappa.value)}" if found.kappa else ""
        told = f"{spread(agrees)}{kappa}{people}"
        if agrees.low > 0.5:
            yield Finding("note", "It agrees with people", told, "More often than a coin would.")
        else:
            yield Finding(
                "error",
                "It may be no better than a coin",
                told,
                "Half lies within the interval. Ask more pairs (pairs=), or another judge.",
            )
    total = len(found.seen) + sum(found.invalid.values())
    if lost := sum(found.invalid.values()):
        (reason, n), *_ = found.invalid.items()
        yield Finding(
            "warning" if lost > LOST * total else "note",
            "Pairs without a verdict",
            f"{lost} of {total}, most often ({n}): {reason}",
            "They count for nobody. verdict=odds needs no words to be read.",
        )
    if found.error is not None:
        fair = found.error <= OFF
        yield Finding(
            "note" if fair else "warning",
            "Its certainty can be taken at its word"
            if fair
            else "Its certainty is not to be taken at its word",
            f"calibration error {percent(found.error)}",
            "Soft labels say how sure it is; a wrong certainty is learned too. "
            "Clamp them, or draw on several verdicts.",
        )


def _place(found: Hygiene) -> Iterator[Finding]:
    if (first := found.first) is not None:
        which = "first" if first.value > 0.5 else "second"
        yield _leaning(
            first,
            f"It leans to the answer shown {which}",
            "Where an answer stands plays no part",
            "Each pair is asked both ways, here and in all of Accord: what place alone decides "
            "comes out as a tie.",
        )
    if (same := found.same) is not None:
        yield _leaning(
            same,
            "It prefers one of two identical answers",
            "Identical answers are equal to it",
            "The same text twice should be a tie on average.",
        )


def _habits(found: Hygiene) -> Iterator[Finding]:
    if (more := found.longer_more) is not None and found.longer and found.longer_by_people:
        told = f"{spread(found.longer)}; people {percent(found.longer_by_people.value)}"
        leans = more.low > 0 or more.high < 0
        way = "longer" if more.value > 0 else "shorter"
        yield Finding(
            "warning" if leans else "note",
            f"It likes the {way} answer more than people do"
            if leans
            else "Length counts to it as it does to people",
            told,
            "The longer of two is preferred so often. Whoever is trained on this judge learns it.",
        )
    if (own := found.own_more) is not None:
        leans = own.low > 0 or own.high < 0
        yield Finding(
            "warning" if leans else "note",
            "It likes its own answers more than people do"
            if own.low > 0
            else "It does not favour its own answers",
            f"{percent(own.value)} more often ({percent(own.low)} to {percent(own.high)})",
            "Let another model judge what this one wrote.",
        )


def _leaning(one: Estimate, leans: str, fair: str, todo: str) -> Finding:
    """Whether a share differs from one half for sure."""
    sure = one.low > 0.5 or one.high < 0.5
    return Finding("warning" if sure else "note", leans if sure else fair, spread(one), todo)


def lines(told: "Told") -> Iterator[str]:
    """For a terminal, with rich's markup."""
    yield f"[bold]{escape(told.judge)}[/] on {count(len(told.found.seen), 'pair')}"
    for one in findings(told.found):
        yield f"[{COLOURS[one.severity]}]{escape(one.title)}[/]: {escape(one.number)}"
    yield f"[dim]{escape(told.spent)}[/]"


@dataclass(frozen=True)
class Told:
    """All that the page says."""

    judge: str
    """a name for people"""
    which: str
    """what it is, exactly"""
    data: str
    found: Hygiene
    spent: str


def numbers(found: Hygiene) -> dict[str, Any]:
    """As JSON."""
    names = "agrees kappa first steady longer longer_by_people longer_more same own_more"
    every = {name: getattr(found, name) for name in names.split()}
    told: dict[str, Any] = {
        name: None if one is None else {"value": one.value, "low": one.low, "high": one.high}
        for name, one in every.items()
    }
    return told | {
        "pairs": len(found.seen),
        "invalid": dict(found.invalid),
        "people": found.people,
        "calibration_error": found.error,
        "bins": [list(row) for row in found.bins],
    }


def render(told: Told) -> str:
    """The page as text."""
    folder = Path(__file__).parent / "page"
    css = "".join((folder / name).read_text("utf-8") for name in ("report.css", "check.css"))
    found = told.found
    return _template().render(
        told=told,
        findings=findings(found),
        steady=spread(found.steady) if found.steady else None,
        chart=_chart(found) if len(found.bins) > 1 else None,
        apart=_apart(found.seen),
        css=css,
    )


def _chart(found: Hygiene) -> str:
    """How often it is right, where it is so sure."""
    errors = [(0.0, (right * (1 - right) / n) ** 0.5) for _, right, n in found.bins]
    points = [(sure, right) for sure, right, _ in found.bins]
    return tradeoff(
        [
            Line("as sure as it is right", [(0.5, 0.5), (1.0, 1.0)], role="limit"),
            Line("this judge", points, errors),
        ],
        "how sure it is",
        "how often people agree",
    )


def _apart(seen: Sequence[Seen]) -> list[Seen]:
    """The cases in which it is most sure of what people did not say."""
    wrong = [one for one in seen if one.case.side and one.side == -one.case.side]
    return sorted(wrong, key=lambda one: -abs(one.q - 0.5))[:SHOWN]


@cache
def _template() -> Template:
    env = Environment(
        loader=PackageLoader("accord.evaluate", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(visible=visible, percent=percent)
    return env.get_template("hygiene.html.jinja")
