"""New items: what is wrong with one, and how its prompt, answers and itself are stored once."""

import hashlib
import json
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from accord.records import plain
from accord.store.judgements.forms import Kind, NewItem
from accord.store.judgements.opening import now
from accord.store.judgements.tables import Author, Item, Prompt, Response, User

LOCK = 0x41636F72
"""of PostgreSQL: one import at a time"""
HUMAN = "human:"
"""before an annotator's pseudonym, as the model of an answer that they wrote"""
MOST = 26
"""answers of an item: one letter each"""
LEAST: dict[Kind, int] = {"pairwise": 2, "rank": 2, "rate": 1, "rewrite": 0, "chat": 2}
QUESTION = "Why is the sky blue? Answer in **one** sentence."
KNOWN = "Air scatters short waves of light more than long ones."
EXAMPLE = (
    "Air scatters short waves of sunlight more than long ones, so *blue* reaches us from all over "
    "the sky.",
    "The sky is blue because it reflects the sea.",
    "I'm sorry, I can't help with that.",
)


def sha(*parts: Any) -> str:
    """sha256 (hex) of values as canonical JSON."""
    told = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(told.encode()).hexdigest()


def flaw(kind: Kind, item: NewItem) -> str:
    """Why an item cannot be asked about, in a sentence; empty where it can."""
    count = len(item.answers)
    most = 2 if kind in ("pairwise", "chat") else MOST
    if not LEAST[kind] <= count <= most:
        wanted = f"{LEAST[kind]}" if most == LEAST[kind] else f"{LEAST[kind]} to {most}"
        return f"it has {count} answers; a study of kind {kind} asks about {wanted}"
    if kind in ("pairwise", "rank", "chat") and len({*item.answers}) == 1:
        return "its answers are all the same"
    for name in ("models", "rewards"):
        if (got := len(getattr(item, name))) not in (0, count):
            return f"it has {got} {name} for {count} answers"
    return _talk_flaw(item.messages) or _gold_flaw(kind, item)


def _talk_flaw(messages: list[Any]) -> str:
    if not messages:
        return "it has no messages"
    for one in messages:
        if not isinstance(one, dict) or one.get("role") not in ("system", "user", "assistant"):
            return "a message is {role, content}, the role system, user or assistant"
        content = one.get("content")
        if not isinstance(content, str) and not (
            isinstance(content, list) and all(_part(part) for part in content)
        ):
            return "a message's content is text, or a list of {type: text|image|fact} parts"
    if messages[-1]["role"] == "assistant":
        return "its last message is the assistant's: there is nothing to answer"
    return ""


def _part(part: Any) -> bool:
    if not isinstance(part, dict):
        return False
    _, key = plain.KINDS.get(part.get("type", ""), (None, ""))
    return isinstance(part.get(key), str)


def _gold_flaw(kind: Kind, item: NewItem) -> str:
    gold = item.gold
    if gold is None:
        return ""
    if kind == "rewrite":
        return "a rewriting has no right answer to compare with: gold is for verdicts and ratings"
    if kind == "rate":
        ratings = gold.get("ratings")
        if not isinstance(ratings, dict) or not ratings:
            return 'gold of a rating is {"ratings": {axis: [a number for each answer]}}'
        if any(len(row) != len(item.answers) for row in ratings.values()):
            return "its gold does not rate each answer"
        return ""
    if gold.get("both_bad") is True:
        return ""
    ranks = gold.get("ranks")
    if not isinstance(ranks, list | tuple) or len(ranks) != len(item.answers):
        return 'gold is {"ranks": [a place for each answer]} or {"both_bad": true}'
    return ""


def alone(session: Session) -> None:
    """PostgreSQL: nobody else stores items till this transaction ends: two would trip over the
    same new prompt.  SQLite has one writer anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:one)"), {"one": LOCK})


def put(session: Session, study_id: int, item: NewItem) -> Item | None:
    """The stored item, or None where the study has it already."""
    prompt = _prompt(session, item)
    answers = [_response(session, prompt, item, place) for place in range(len(item.answers))]
    hash = sha(prompt.hash, [one.hash for one in answers])
    known = select(Item.id).where(Item.study_id == study_id, Item.hash == hash)
    if session.scalar(known) is not None:
        return None
    made = Item(
        study_id=study_id,
        prompt_id=prompt.id,
        hash=hash,
        responses=[one.id for one in answers],
        gold=item.gold,
        turn=-item.priority,
        propensity=item.propensity,
        asked=None,
        created=now(),
    )
    session.add(made)
    session.flush()
    written = [one.model.removeprefix(HUMAN) for one in answers if one.model.startswith(HUMAN)]
    if written:
        for user_id in session.scalars(select(User.id).where(User.pseudonym.in_(written))):
            session.add(Author(item_id=made.id, user_id=user_id))
    return made


def _prompt(session: Session, item: NewItem) -> Prompt:
    hash = sha(item.messages)
    found = session.scalars(select(Prompt).where(Prompt.hash == hash)).first()
    if found is None:
        found = Prompt(hash=hash, messages=item.messages, source=item.source)
        session.add(found)
        session.flush()
    return found


def _response(session: Session, prompt: Prompt, item: NewItem, place: int) -> Response:
    said, model = item.answers[place], item.models[place] if item.models else ""
    hash = sha(said, model, item.sampling)
    query = select(Response).where(Response.prompt_id == prompt.id, Response.hash == hash)
    found = session.scalars(query).first()
    if found is None:
        found = Response(prompt_id=prompt.id, hash=hash, text=said, model=model, created=now())
        found.sampling = item.sampling
        found.reward = item.rewards[place] if item.rewards else None
        session.add(found)
        session.flush()
    return found
