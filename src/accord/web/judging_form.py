"""What a judging page sends back, read into an `Act`.  A draft is the same fields, not sent yet."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, Request

from accord.errors import BadData
from accord.store.judgements.forms import Act, Kind, StudyConfig

KEPT = ("verdict", "strength", "reason", "rewrite", "base", "as_is", "bad")
"""fields of a draft, beside `rank_0` and `rate_AXIS_0`"""
PAIRS = {"first": (0, 1), "second": (1, 0), "tie": (0, 0)}
LONGEST = 100_000
"""characters of a reason or a rewrite"""
SECONDS = 24 * 3600
MOST_FIELDS = 400


async def posted(request: Request) -> dict[str, str]:
    """The fields of a form; files are not expected here."""
    form = await request.form(max_files=0, max_fields=MOST_FIELDS)
    return {name: value for name, value in form.items() if isinstance(value, str)}


Posted = Annotated[dict[str, str], Depends(posted)]


def read_act(fields: Mapping[str, str], kind: Kind, config: StudyConfig) -> Act:
    """BadData, in one sentence, for what the page should not have let through."""
    act = fields.get("act", "judge")
    if act not in ("judge", "skip", "flag"):
        raise BadData(f"{act!r} is not something to do with an item: judge, skip or flag")
    lease, key = _number(fields, "lease"), fields.get("key", "")
    if lease is None or not key:
        raise BadData("the page was sent without its item: load it again")
    common: dict[str, Any] = {
        "lease_id": lease,
        "key": key,
        "reason": _text(fields, "reason"),
        "tags": (fields[f"{act}_tag"],) if act != "judge" and fields.get(f"{act}_tag") else (),
        **{name: _number(fields, name) for name in ("ms_total", "ms_visible", "ms_first")},
        "facts": {"1": True, "0": False}.get(fields.get("facts", "")),
    }
    if act != "judge":
        return Act(act=act, **common)  # type: ignore[arg-type]  # looked at above
    if config.reason == "required" and not fields.get("reason", "").strip():
        raise BadData("this study asks why: write a sentence in the field below the answers")
    if config.view.read_all and fields.get("read") != "1":
        raise BadData("scroll all answers to their ends before the verdict")
    return Act(**(common | READERS[kind](fields, config)))


def _pair(fields: Mapping[str, str], config: StudyConfig) -> dict[str, Any]:
    verdict = fields.get("verdict", "")
    if verdict == "bad":
        return {"both_bad": True}
    if verdict not in PAIRS:
        raise BadData("choose one of the verdicts below the answers")
    strength = None
    if "strength" in config.verdicts and verdict != "tie":
        strength = _number(fields, "strength")
        if strength is None:
            raise BadData("say how much better it is: slightly, clearly or much")
    return {"ranks": PAIRS[verdict], "strength": strength}


def _rank(fields: Mapping[str, str], config: StudyConfig) -> dict[str, Any]:
    count = sum(re.fullmatch(r"rank_\d+", name) is not None for name in fields)
    places = [_number(fields, f"rank_{place}") for place in range(count)]
    if fields.get("bad") == "1":
        return {"both_bad": True}
    left = [letter(place) for place, rank in enumerate(places) if rank is None]
    if left or count < 2:
        raise BadData(f"every answer needs a place; {', '.join(left)} has none")
    order = sorted({rank for rank in places if rank is not None})
    return {"ranks": tuple(order.index(rank) for rank in places if rank is not None)}


def _rate(fields: Mapping[str, str], config: StudyConfig) -> dict[str, Any]:
    count = _number(fields, "answers") or 1
    ratings: dict[str, tuple[int, ...]] = {}
    for axis in config.axes:
        numbers = [_number(fields, f"rate_{axis}_{place}") for place in range(count)]
        left = [place for place, number in enumerate(numbers) if number is None]
        if left:
            which = f" of answer {letter(left[0])}" if count > 1 else ""
            raise BadData(f"a number for {axis!r}{which} is missing")
        ratings[axis] = tuple(number for number in numbers if number is not None)
    return {"ratings": ratings}


def _rewrite(fields: Mapping[str, str], config: StudyConfig) -> dict[str, Any]:
    text = _text(fields, "rewrite")
    if not text.strip():
        raise BadData("the rewritten answer is empty: write what it should have said, or skip")
    as_is = {"tags": ("as it stands",)} if fields.get("as_is") else {}
    return {"rewrite": text, **as_is}


READERS = {"pairwise": _pair, "rank": _rank, "rate": _rate, "rewrite": _rewrite, "chat": _pair}


def read_draft(fields: Mapping[str, str]) -> dict[str, str]:
    """What is worth keeping of a page that was not sent."""
    return {
        name: value[:LONGEST]
        for name, value in fields.items()
        if value and (name in KEPT or re.match(r"(rank|rate)_", name))
    }


def fields_of(draft: Mapping[str, Any]) -> dict[str, str]:
    """A draft as fields: one that a page sent, or (after undo) what had been said by place."""
    if "ranks" not in draft:
        return {name: str(value) for name, value in draft.items()}
    found = {"reason": draft.get("reason") or "", "rewrite": draft.get("rewrite") or ""}
    ranks, ratings = draft["ranks"] or [], draft.get("ratings") or {}
    found |= {f"rank_{place}": str(rank + 1) for place, rank in enumerate(ranks)}
    found |= {
        f"rate_{axis}_{place}": str(number)
        for axis, row in ratings.items()
        for place, number in enumerate(row)
    }
    if draft.get("both_bad"):
        found |= {"verdict": "bad", "bad": "1"}
    pair = next((name for name, pair in PAIRS.items() if tuple(ranks) == pair), "")
    found.setdefault("verdict", pair)
    found["strength"] = str(draft.get("strength") or "")
    found["as_is"] = "1" if "as it stands" in (draft.get("tags") or ()) else ""
    return {name: value for name, value in found.items() if value}


def letter(place: int) -> str:
    """A, B, C ... of an answer by its place."""
    return chr(ord("A") + place) if place < 26 else str(place + 1)


def _number(fields: Mapping[str, str], name: str) -> int | None:
    text = fields.get(name, "").strip()
    if not text:
        return None
    if not re.fullmatch(r"\d{1,9}", text):
        raise BadData(f"{name} is no whole number: {text[:20]!r}")
    value = int(text)
    return min(value, SECONDS * 1000) if name.startswith("ms_") else value


def _text(fields: Mapping[str, str], name: str) -> str:
    text = fields.get(name, "").replace("\r\n", "\n")
    if len(text) > LONGEST:
        raise BadData(f"the {name} is longer than {LONGEST} characters")
    return text
