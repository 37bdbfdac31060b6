"""What was found about a judge, for people."""

from collections.abc import Iterator
from typing import Any

from accord.evaluate.checkpage import spread
from accord.evaluate.hygiene import Hygiene, Seen
from accord.evaluate.sheet import Finding, Section, Sheet, certainty
from accord.evaluate.words import count, digits, percent
from accord.maths.intervals import Estimate

SHOWN = 4
"""cases that are shown in which it differs from people most surely"""
LOST = 0.05
"""share of pairs without a verdict that is worth a warning"""
OFF = 0.1
"""calibration error that is worth a warning"""


def findings(found: Hygiene) -> list[Finding]:
    """What to know before it is trusted, the worst first."""
    every = [*_agreement(found), *_place(found), *_habits(found)]
    return sorted(every, key=lambda one: ("error", "warning", "note").index(one.severity))


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
            "It shows no liking for a place",
            "Each pair is asked both ways, here and in all of Accord: what place alone decides "
            "comes out as a tie.",
        )
    if (same := found.same) is not None:
        yield _leaning(
            same,
            "It prefers one of two identical answers",
            "It shows no preference between identical answers",
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
            else "It shows no more liking for length than people",
            told,
            "The longer of two is preferred so often. Whoever is trained on this judge learns it.",
        )
    if (own := found.own_more) is not None:
        leans = own.low > 0 or own.high < 0
        way = "more" if own.value > 0 else "less"
        yield Finding(
            "warning" if leans else "note",
            f"It likes its own answers {way} than people do"
            if leans
            else "It shows no liking for its own answers",
            f"{percent(own.value)} more often ({percent(own.low)} to {percent(own.high)})",
            "Let another model judge what this one wrote.",
        )


def _leaning(one: Estimate, leans: str, fair: str, todo: str) -> Finding:
    """Whether a share differs from one half for sure."""
    sure = one.low > 0.5 or one.high < 0.5
    return Finding("warning" if sure else "note", leans if sure else fair, spread(one), todo)


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


def told(name: str, which: str, data: str, found: Hygiene, spent: str) -> Sheet:
    """The page."""
    steady = spread(found.steady) if found.steady else "–"
    return Sheet(
        "judge",
        f"Can {name} be trusted?",
        f"{count(len(found.seen), 'pair')} of {data} that people have judged, each shown both "
        f"ways. Verdicts that hold when the two change places: {steady}. Intervals are 95%, over "
        "prompts.",
        findings(found),
        [one for one in _sections(name, found) if one.chart or one.texts],
        f"{spent}. Judge: {which}.",
    )


def _sections(name: str, found: Hygiene) -> Iterator[Section]:
    note = "Pairs that people decided, by how sure the judge is."
    yield certainty(name, found.bins, "how sure it is", note)
    wrong = [one for one in found.seen if one.case.side and one.side == -one.case.side]
    few = sorted(wrong, key=lambda one: -abs(one.q - 0.5))[:SHOWN]
    yield Section(
        "Where it differs from people most surely",
        "Read these before the numbers.",
        texts=[(_differs(one), _shown(one)) for one in few],
    )


def _differs(one: Seen) -> str:
    mine, theirs = ("first", "second") if one.side > 0 else ("second", "first")
    sure = percent(max(one.q, 1 - one.q))
    return f"{one.case.id} The judge is {sure} sure of the {mine}; people preferred the {theirs}."


def _shown(one: Seen) -> list[tuple[str, str]]:
    case = one.case
    return [("Asked.", case.prompt), ("First.", case.first), ("Second.", case.second)]
