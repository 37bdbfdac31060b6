"""The verdict in what a judge wrote; Invalid, with its words, where there is none."""

import json
import re
from collections.abc import Mapping, Sequence

from accord.records import Invalid
from accord.rewards.base import Score

_MARK = re.compile(r"\[\[\s*([ABC])\s*\]\]")
_GRADE = re.compile(r"\[\[\s*(-?\d+(?:\.\d+)?)\s*\]\]")
_YES = re.compile(r"\[\[\s*(yes|no)\s*\]\]", re.IGNORECASE)
_BETTER = {"a": 1.0, "b": 0.0, "tie": 0.5, "c": 0.5}
_DECIDED = {"yes": 1.0, "no": 0.0}
SHOWN = 60


def parsed(text: str) -> Score:
    """[[A]], [[B]] or [[C]] (a tie) in what a judge wrote, as MT-Bench asks for; Invalid where
    there is none, or more than one that differ.
    """
    return _only(_MARK.findall(text), {"A": 1.0, "B": 0.0, "C": 0.5}, text)


def graded(text: str, most: int) -> Score:
    """[[3]]: a number from 1 to `most`."""
    found = {float(one) for one in _GRADE.findall(text)}
    if len(found) != 1:
        return _none(found, text)
    return _within(found.pop(), most, text)


def decided(text: str) -> Score:
    """[[yes]] or [[no]]."""
    return _only([one.lower() for one in _YES.findall(text)], _DECIDED, text)


def better(text: str) -> Score:
    """{"better": "A" | "B" | "tie"}."""
    return _said(text, "better", _BETTER)


def answered(text: str) -> Score:
    """{"answer": "yes" | "no"}."""
    return _said(text, "answer", _DECIDED)


def rated(text: str, most: int) -> Score:
    """{"grade": 3}."""
    told = _object(text, "grade")
    given = told.get("grade") if told else None
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return Invalid(f"no grade in {text.strip()[-SHOWN:]!r}")
    try:
        return _within(float(given), most, text)
    except ValueError:
        return Invalid(f"no grade in {text.strip()[-SHOWN:]!r}")


def _said(text: str, key: str, known: Mapping[str, float]) -> Score:
    told = _object(text, key)
    word = str(told[key]).strip().lower() if told else ""
    if word not in known:
        return Invalid(f"no {key!r} in {text.strip()[-SHOWN:]!r}")
    return known[word]


def _object(text: str, key: str) -> Mapping[str, object] | None:
    """The last JSON object with that key, whatever is written around it."""
    found, reader, at = None, json.JSONDecoder(), text.find("{")
    while at >= 0:
        try:
            told, end = reader.raw_decode(text, at)
        except (ValueError, RecursionError):
            at = text.find("{", at + 1)
            continue
        if isinstance(told, dict) and key in told:
            found = told
        at = text.find("{", end)
    return found


def _only(found: Sequence[str], known: Mapping[str, float], text: str) -> Score:
    return known[found[0]] if len({*found}) == 1 else _none({*found}, text)


def _none(found: set[str] | set[float], text: str) -> Invalid:
    what = "no verdict" if not found else "several verdicts"
    return Invalid(f"{what} in {text.strip()[-SHOWN:]!r}")


def _within(grade: float, most: int, text: str) -> Score:
    return grade if 1 <= grade <= most else Invalid(f"{grade:g} is no grade from 1 to {most}")
