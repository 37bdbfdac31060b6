"""What an act says: whether it fits its study, as the item's own order has it, and what it betrays.

Pages speak of answers by the place where they stood; everything stored speaks of them by their
number within the item.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accord.store.judgements.forms import Act, BadAct, Kind, StudyConfig

STRAIGHT = 10
"""verdicts in a row that say the same place: by chance once in 500, were both places as good"""
NEAR = 1
"""how far a rating may lie from the known one"""
LONGEST = 20_000
"""characters of a reason"""
Said = tuple[int, ...]


@dataclass(frozen=True)
class Verdict:
    """An act in the item's own order."""

    ranks: Said | None = None
    both_bad: bool = False
    strength: int | None = None
    ratings: dict[str, list[int]] | None = None
    rewrite: str | None = None


def verdict(act: Act, kind: Kind, config: StudyConfig, order: Sequence[int]) -> Verdict:
    """BadAct, in a sentence for the annotator, where the act does not fit."""
    _common(act, config)
    if act.act != "judge":
        if act.ranks or act.both_bad or act.strength or act.ratings or act.rewrite:
            raise BadAct(f"a {act.act} holds no verdict; send one or the other")
        return Verdict()
    if config.reason == "required" and not act.reason.strip():
        raise BadAct("this study asks for a reason: say in a few words why")
    if kind == "rate":
        _only(act, "ratings", "ratings")
        return Verdict(ratings=_ratings(act.ratings, config, order))
    if kind == "rewrite":
        _only(act, "a rewriting", "rewrite")
        if act.rewrite is None or not act.rewrite.strip():
            raise BadAct("the answer is empty; write one, or skip")
        return Verdict(rewrite=act.rewrite)
    _only(act, "a choice", "ranks", "both_bad", "strength")
    return _choice(act, config, order)


def _common(act: Act, config: StudyConfig) -> None:
    if not 1 <= len(act.key) <= 64:
        raise BadAct("an act needs the key of its page, of 1 to 64 characters")
    if act.act not in ("judge", "skip", "flag"):
        raise BadAct(f"{act.act!r} is no act; there are judge, skip and flag")
    if act.act == "judge" and config.reason == "none" and act.reason.strip():
        raise BadAct("this study takes no reasons")
    if len(act.reason) > LONGEST:
        raise BadAct(f"a reason has at most {LONGEST} characters")
    for name in ("ms_total", "ms_visible", "ms_first"):
        ms = getattr(act, name)
        if ms is not None and not 0 <= ms < 2**31:
            raise BadAct(f"{name} = {ms} is no number of milliseconds")


def _only(act: Act, what: str, *names: str) -> None:
    empty: dict[str, Any] = {
        "ranks": None,
        "both_bad": False,
        "strength": None,
        "ratings": None,
        "rewrite": None,
    }
    odd = [name for name in empty if name not in names and getattr(act, name) != empty[name]]
    if odd:
        raise BadAct(f"this study asks for {what}, not for {odd[0]}")


def _choice(act: Act, config: StudyConfig, order: Sequence[int]) -> Verdict:
    if act.both_bad:
        if "both_bad" not in config.verdicts:
            raise BadAct("'both bad' is no verdict of this study")
        if act.ranks is not None or act.strength is not None:
            raise BadAct("'both bad' goes without ranks and strength")
        return Verdict(both_bad=True)
    if act.ranks is None or len(act.ranks) != len(order):
        raise BadAct(f"a verdict gives a place to each of the {len(order)} answers")
    if any(isinstance(place, bool) or not isinstance(place, int) for place in act.ranks):
        raise BadAct("places are whole numbers, 0 the best")
    tied = len({*act.ranks}) < len(act.ranks)
    if tied and "tie" not in config.verdicts:
        raise BadAct("a tie is no verdict of this study")
    if act.strength is not None:
        if "strength" not in config.verdicts:
            raise BadAct("this study asks for no strength")
        if act.strength not in (1, 2, 3):
            raise BadAct(f"strength = {act.strength}, expected 1 (slightly) to 3 (much)")
        if len({*act.ranks}) == 1:
            raise BadAct("a tie has no strength")
    return Verdict(ranks=_own(dense(act.ranks), order), strength=act.strength)


def _ratings(
    ratings: Mapping[str, Sequence[int]] | None, config: StudyConfig, order: Sequence[int]
) -> dict[str, list[int]]:
    if ratings is None or {*ratings} != {*config.axes}:
        raise BadAct(f"each answer is rated on {', '.join(config.axes)}")
    for axis, row in ratings.items():
        if len(row) != len(order):
            raise BadAct(f"{axis}: {len(row)} ratings for {len(order)} answers")
        for one in row:
            if isinstance(one, bool) or not isinstance(one, int) or not 1 <= one <= config.scale:
                raise BadAct(f"{axis} = {one!r}, expected a whole number of 1 to {config.scale}")
    return {axis: [*_own(ratings[axis], order)] for axis in config.axes}


def dense(places: Sequence[float]) -> Said:
    """The same order with places 0, 1, 2, ...; equal ones stay equal."""
    at = {place: rank for rank, place in enumerate(sorted({*places}))}
    return tuple(at[place] for place in places)


def _own(shown: Sequence[int], order: Sequence[int]) -> Said:
    """Values by place shown, in the item's own order."""
    own = [0] * len(order)
    for place, at in enumerate(order):
        own[at] = shown[place]
    return tuple(own)


# --- marks ---


def pattern(shown: Sequence[int], ranks: Sequence[int] | None, both_bad: bool, ratings: Any) -> str:
    """What a hand did, whatever the answers said; empty where that tells nothing."""
    if both_bad:
        return "both bad"
    if ranks is not None:
        return "ranks " + " ".join(str(ranks[at]) for at in shown)
    if ratings:
        numbers = {one for row in ratings.values() for one in row}
        return f"all {min(numbers)}" if len(numbers) == 1 else ""
    return ""


def leaks(words: Sequence[str], texts: Sequence[str]) -> bool:
    """Whether an answer holds a word that betrays who wrote it."""
    if not words:
        return False
    any_word = "|".join(re.escape(word) for word in words)
    found = re.compile(rf"(?<!\w)(?:{any_word})(?!\w)", re.IGNORECASE)
    return any(found.search(text) for text in texts)


def missed(gold: Mapping[str, Any], said: Verdict) -> bool:
    """Whether a verdict is not the known one; ratings may lie one beside it."""
    if "ratings" in gold:
        given = said.ratings or {}
        return any(
            abs(mine - right) > NEAR
            for axis, row in gold["ratings"].items()
            for mine, right in zip(given.get(axis, ()), row)
        )
    if gold.get("both_bad"):
        return not said.both_bad
    return said.ranks != dense(gold["ranks"])


def best(gold: Mapping[str, Any] | None, shown: Sequence[int]) -> str:
    """The known answer in words, by the letters under which the answers were shown; and why, where
    whoever made the item says so.
    """
    told = gold or {}
    letters = {at: chr(ord("A") + place) for place, at in enumerate(shown)}
    if "ratings" in told:
        rows = [
            f"{axis} " + ", ".join(f"{letters[at]} {row[at]}" for at in shown)
            for axis, row in told["ratings"].items()
        ]
        said = "The known ratings: " + "; ".join(rows) + "."
    elif told.get("both_bad"):
        said = "The known answer: both are bad."
    else:
        places = dense(told.get("ranks", ()))
        steps = [
            sorted(letters[at] for at, one in enumerate(places) if one == place)
            for place in sorted({*places})
        ]
        said = "The known answer: " + (
            "a tie."
            if len(steps) == 1
            else f"{steps[0][0]} is better."
            if len(places) == 2
            else ", then ".join(" and ".join(step) for step in steps) + "."
        )
    why = told.get("why")
    return f"{said} {why}" if isinstance(why, str) and why else said
