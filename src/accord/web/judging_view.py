"""An item under a lease, as the templates show it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from accord.store.judgements.forms import Task
from accord.web.differences import Piece, differ
from accord.web.judging_form import fields_of, letter
from accord.web.judging_keys import keys_of

ROLES = {"system": "Instructions to the model", "user": "User", "assistant": "Model"}
SKIP = ("cannot tell", "not my field", "too long", "not my language")
FLAG = ("personal data", "dangerous", "broken or cut off", "tells which model it is")
STRENGTHS = ((1, "slightly"), (2, "clearly"), (3, "much"))
WORDS = 600
"""words of a conversation from which on it scrolls in a box of its own, whole"""
KNOWN = 6
"""facts of a message before the others fold"""
KNOWN_LETTERS = 1200
"""letters of facts from which on they scroll in a box of their own"""


@dataclass(frozen=True)
class Turn:
    """One message of the conversation: text, and pictures by their addresses on this site."""

    role: str
    who: str
    parts: tuple[tuple[str, str], ...]
    """("text", words) or ("image", address), in the order they were said"""


@dataclass(frozen=True)
class Known:
    """What is known of one message, for who judges."""

    of: str
    """which message, where several have facts"""
    first: tuple[str, ...]
    more: tuple[str, ...]
    """folded, until somebody looks"""


@dataclass(frozen=True)
class Answer:
    """One answer, as shown at its place."""

    place: int
    letter: str
    text: str
    model: str
    pieces: tuple[Piece, ...]
    """against the other one, where there are two"""


@dataclass(frozen=True)
class Other:
    """What somebody else said about the item, for an adjudicator."""

    who: str
    verdict: str
    reason: str
    marks: tuple[str, ...]


def turns(messages: Sequence[Any], image: str, named: bool = False) -> list[Turn]:
    """The conversation; `image` is the address of its pictures without their number, or (`named`)
    without their name.
    """
    found, count = [], 0
    for message in messages:
        content = message.get("content", "")
        parts: list[tuple[str, str]] = []
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            if part.get("type") == "image":
                parts.append(("image", f"{image}/{quote(part['path']) if named else count}"))
                count += 1
            elif part.get("type") != "fact":  # stands apart: nobody said it
                parts.append(("text", str(part.get("text", ""))))
        role = str(message.get("role", "user"))
        found.append(Turn(role, ROLES.get(role, role), tuple(parts)))
    return found


def known(messages: Sequence[Any]) -> list[Known]:
    """The facts in a conversation, message by message; what a study hides is not there any more."""
    found = [
        (number, message, [str(part["text"]) for part in content if part.get("type") == "fact"])
        for number, message in enumerate(messages, 1)
        if not isinstance(content := message.get("content", ""), str)
    ]
    few = [one for one in found if one[2]]
    return [
        Known(
            f"{ROLES.get(message['role'], message['role'])}, message {number}"
            if len(few) > 1
            else "",
            tuple(facts[:KNOWN]),
            tuple(facts[KNOWN:]),
        )
        for number, message, facts in few
    ]


def answers(task: Task) -> list[Answer]:
    """The answers in the order shown, with their differences where there are two."""
    texts = [shown.text for shown in task.answers]
    pieces: Sequence[Sequence[Piece]] = differ(*texts) if len(texts) == 2 else [()] * len(texts)
    return [
        Answer(place, letter(place), shown.text, shown.model, tuple(parts))
        for place, (shown, parts) in enumerate(zip(task.answers, pieces, strict=True))
    ]


def scene(task: Task, prefs: Mapping[str, Any], image: str, named: bool = False) -> dict[str, Any]:
    """All that the templates of a task need."""
    said = turns(task.messages, image, named)
    words = sum(len(text.split()) for turn in said for kind, text in turn.parts if kind == "text")
    facts = known(task.messages)
    told = sum(len(text) for one in facts for text in (*one.first, *one.more))
    view = prefs.get("view") or task.config.view.formats
    return {
        "task": task,
        "kind": task.kind,
        "config": task.config,
        "draft": fields_of(task.draft or {}),
        "turns": said,
        "long": words > WORDS,
        "known": facts,
        "known_long": told > KNOWN_LETTERS,
        "answers": answers(task),
        "others": [other(one, task) for one in task.others],
        "keys": keys_of(prefs),
        "view": view if view in ("rendered", "plain") else "rendered",
        "strengths": STRENGTHS,
        "skips": SKIP,
        "flags": FLAG,
    }


def other(said: Mapping[str, Any], task: Task) -> Other:
    """Somebody's judgement in words.  Its ranks are by the place shown to the one who reads."""
    return Other(
        str(said.get("who") or "somebody") + (" (AI)" if said.get("kind") == "ai" else ""),
        verdict_words(said, len(task.answers)),
        str(said.get("reason") or ""),
        tuple(said.get("marks") or ()),
    )


def verdict_words(said: Mapping[str, Any], count: int) -> str:
    """A verdict as a sentence: "A is much better", "B, then A = C", "helpful 6 · 2"."""
    if said.get("act", "judge") != "judge":
        return "skipped it" if said["act"] == "skip" else "reported a problem"
    if said.get("both_bad"):
        return "both are bad" if count == 2 else "all are bad"
    ratings = said.get("ratings")
    if ratings:
        return " · ".join(f"{axis} {' / '.join(map(str, row))}" for axis, row in ratings.items())
    if said.get("rewrite") is not None:
        return "rewrote it"
    return rank_words(said.get("ranks") or (), said.get("strength"))


def rank_words(ranks: Sequence[int], strength: int | None = None) -> str:
    """An order in words."""
    groups = [
        " = ".join(letter(place) for place, rank in enumerate(ranks) if rank == level)
        for level in sorted(set(ranks))
    ]
    if len(ranks) != 2:
        return ", then ".join(groups)
    if len(groups) == 1:
        return "both are as good"
    much = f"{dict(STRENGTHS).get(strength, '')} " if strength else ""
    return f"{groups[0]} is {much}better"
