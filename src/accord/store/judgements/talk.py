"""Conversations with models.  A choice between two answers is a judgement of a chat study.

chat = talk.open_chat(store, user, ("old", "new"), study_id=study)
talk.say(store, chat.id, user, "Hello")        # then the page asks the models, and
talk.offer(store, chat.id, user, answers)      # two answers wait, in an order of their own
talk.choose(store, chat.id, user, act)         # stored; the talk goes on with the better one
talk.back(store, chat.id, user)                # and takes it back: both answers wait again
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from accord.errors import BadSettings
from accord.store.judgements import filling
from accord.store.judgements.accounts import locked
from accord.store.judgements.acts import known, last_act, submitted, taken_back
from accord.store.judgements.audit import note
from accord.store.judgements.counting import recount, standing
from accord.store.judgements.forms import (
    Act,
    BadAct,
    Gone,
    NewItem,
    NotThere,
    Receipt,
    StudyConfig,
)
from accord.store.judgements.leases import extend, hold
from accord.store.judgements.opening import Store, now
from accord.store.judgements.studies import config_of, create, get
from accord.store.judgements.tables import Chat, Event, Item, Judgement, Lease, Response, Study

ARENA = "Side by side"
"""name of the study that holds verdicts between any two models"""
UNSAID = "unsaid"
"""in the log: a message was taken back"""
LONGEST = 100_000
"""characters of a message"""


@dataclass(frozen=True)
class Answer:
    """What a model said."""

    text: str
    model: str
    sampling: dict[str, Any] = field(default_factory=dict)


def arena(store: Store, by: int | None = None) -> Study:
    """The study of blind comparisons between any two models, made where it is not."""
    with store.read() as session:
        found = session.scalars(select(Study).where(Study.name == ARENA)).first()
    if found is not None:
        return found
    config = StudyConfig(
        question="Which answer is better?", verdicts=("tie", "both_bad"), reveal=True
    )
    return create(store, ARENA, "chat", config, by)


def open_chat(
    store: Store,
    user_id: int,
    models: Sequence[str] = (),
    *,
    study_id: int | None = None,
    blind: bool = False,
) -> Chat:
    """A new conversation: with one model, or with two side by side (choices need a study).

    A chat study that names its models brings them, and whether they are named; one model of a study
    is asked twice.
    """
    with store.write() as session:
        names = [*models]
        if study_id is not None:
            study = get(session, study_id)
            if study.kind != "chat":
                raise BadSettings(f"{study.name!r} is a study of kind {study.kind}, not a chat")
            config = config_of(study)
            names, blind = [*config.talk.models] or names, config.blind
            names = names * 2 if len(names) == 1 else names
        if not 1 <= len(names) <= 2 or (study_id is not None and len(names) != 2):
            raise BadSettings(f"{len(names)} models; a chat is with one, or two side by side")
        if study_id is None and len(names) == 2:
            raise BadSettings("two models side by side need a study for the choices")
        at = now()
        made = Chat(user_id=user_id, study_id=study_id, models=names, blind=blind)
        made.seed, made.messages, made.created, made.changed = secrets.token_hex(8), [], at, at
        session.add(made)
        session.flush()
    return made


def chat(store: Store, chat_id: int, user_id: int) -> Chat:
    """A conversation of one's own."""
    with store.read() as session:
        return _get(session, chat_id, user_id)


def chats(store: Store, user_id: int, limit: int = 50) -> list[Chat]:
    """Somebody's conversations, the latest first."""
    query = select(Chat).where(Chat.user_id == user_id).order_by(Chat.changed.desc())
    with store.read() as session:
        return [*session.scalars(query.limit(limit))]


def say(store: Store, chat_id: int, user_id: int, text: str, pictures: Sequence[str] = ()) -> Chat:
    """The user's next message, with pictures by their names in the folder of the site."""
    if not text.strip() or len(text) > LONGEST:
        raise BadAct(f"a message has 1 to {LONGEST} characters")
    with store.write() as session:
        found = _get(session, chat_id, user_id)
        if found.pending is not None:
            raise BadAct("two answers wait for your choice; choose first")
        if found.messages and found.messages[-1]["role"] == "user":
            raise BadAct("the last message has no answer yet; wait for it, or ask for it again")
        shown = [{"type": "image", "path": one} for one in pictures]
        _append(found, "user", [*shown, {"type": "text", "text": text}] if shown else text)
    return found


def answered(store: Store, chat_id: int, user_id: int, text: str) -> Chat:
    """The answer of the one model of a conversation."""
    with store.write() as session:
        found = _waiting(session, chat_id, user_id)
        _append(found, "assistant", text)
    return found


def offer(store: Store, chat_id: int, user_id: int, answers: Sequence[Answer]) -> Chat:
    """Two answers that wait for a choice, kept so that a page may be loaded again.

    `pending["order"]` says which stands at which place.  Two alike answers leave no choice: the
    talk goes on with them at once, and nothing is judged.
    """
    if len(answers) != 2:
        raise BadAct(f"{len(answers)} answers; two are compared")
    with store.write() as session:
        found = _waiting(session, chat_id, user_id)
        if found.study_id is None:
            raise BadAct("this chat is with one model")
        config = config_of(get(session, found.study_id))
        if config.reveal and config.blind and not found.blind:
            raise BadAct("the models' names have been shown: open a new chat to compare again")
        if answers[0].text == answers[1].text:
            _append(found, "assistant", answers[0].text)
            return found
        found.pending = {
            "answers": [vars(one) for one in answers],
            "order": _order(found, config),
            "key": secrets.token_hex(16),
        }
    return found


def turn_order(store: Store, found: Chat) -> list[int]:
    """Which model's answer of the coming turn stands at which place, as `offer` will keep it: so
    answers may be shown while they are being written.
    """
    with store.read() as session:
        if found.study_id is None:
            raise BadAct("this chat is with one model")
        return _order(found, config_of(get(session, found.study_id)))


def choose(
    store: Store, chat_id: int, user_id: int, act: Act, *, go_on: int | None = None
) -> Receipt:
    """The verdict on the two answers that wait, by their places shown; `act.key` is the pending
    one's, `act.lease_id` is 0.

    The talk goes on with the answer at place `go_on`; by default the better one, the first of a
    tie.  After 'both bad', a skip or a flag without `go_on` new answers are wanted.
    """
    if act.lease_id:
        raise BadAct("a choice in a chat has no lease yet: lease_id = 0")
    with store.write() as session:
        locked(session, user_id)
        found = _get(session, chat_id, user_id)
        if again := known(session, user_id, act):
            return again
        if found.pending is None or found.study_id is None:
            raise BadAct("no answers wait for a choice here; load the page again")
        if act.key != found.pending["key"]:
            raise BadAct("these answers have been replaced; load the page again")
        order = found.pending["order"]
        lease = _held(session, found) or _leased(session, found, found.study_id, found.pending)
        receipt = submitted(session, user_id, replace(act, lease_id=lease.id))
        place = _best(act) if go_on is None else go_on
        if place not in (None, 0, 1):
            raise BadAct(f"go_on = {place}, expected the place 0 or 1")
        if place is not None:
            _append(found, "assistant", found.pending["answers"][order[place]]["text"])
        found.pending, found.changed = None, now()
        if config_of(get(session, found.study_id)).reveal and act.act == "judge":
            found.blind = False
    return receipt


# --- taking back ---


@dataclass(frozen=True)
class Back:
    """What was taken back."""

    said: str = ""
    """what the user had said, to be said otherwise; empty: a choice, whose answers wait again"""
    pictures: tuple[str, ...] = ()
    """shown with it"""


def back(store: Store, chat_id: int, user_id: int) -> Back | None:
    """Take the last step of a study's conversation back: a choice, or what was said after it.

    A choice is superseded, never removed; answers that nobody chose from are gone.  None where
    there is no step, or where the user's last act is no choice of this conversation: `acts.undo`.
    """
    with store.write() as session:
        user, found = locked(session, user_id), _get(session, chat_id, user_id)
        if found.study_id is None or user.excluded is not None:
            return None
        last, (chosen, turn) = last_act(session, user_id, found.study_id), _chosen(session, found)
        if last is not None and last is not chosen and last.created > found.changed:
            return None
        if chosen is not None and found.pending is None and len(found.messages) <= turn + 1:
            _wait_again(session, found, taken_back(session, chosen), turn)
            return Back()
        if found.pending is None and not found.messages:
            return None
        return _unsaid(session, found, turn)


def unsaid(store: Store, chat_id: int, user_id: int) -> tuple[str, ...]:
    """The pictures of the message of this conversation that was taken back last: they may be shown
    again.
    """
    query = select(Event).where(Event.user_id == user_id, Event.what == UNSAID)
    with store.read() as session:
        last = session.scalars(query.order_by(Event.id.desc()).limit(1)).first()
    about = last.about if last else {}
    return tuple(about.get("pictures", ())) if about.get("chat") == chat_id else ()


def split(content: str | Sequence[Mapping[str, Any]]) -> tuple[str, tuple[str, ...]]:
    """(the words, the pictures by their names) of a message as it is kept."""
    if isinstance(content, str):
        return content, ()
    words = "".join(one["text"] for one in content if one["type"] == "text")
    return words, tuple(one["path"] for one in content if one["type"] == "image")


def _chosen(session: Session, found: Chat) -> tuple[Judgement | None, int]:
    """The last choice of this conversation that stands, and how many messages there were then; -1
    where there is none.
    """
    query = (
        select(Judgement, Item)
        .join(Item, Item.id == Judgement.item_id)
        .where(Item.study_id == found.study_id, Judgement.user_id == found.user_id, standing())
        .where(Judgement.created >= found.created, Judgement.final.is_(False))
        .order_by(Judgement.id.desc())
    )
    for judged, item in session.execute(query):
        drawn = session.get_one(Response, item.responses[0]).sampling
        if drawn.get("chat") == found.id:
            return judged, drawn["turn"]
    return None, -1


def _wait_again(session: Session, found: Chat, lease: Lease, turn: int) -> None:
    item = session.get_one(Item, lease.item_id)
    answers = [session.get_one(Response, one) for one in item.responses]
    found.messages, found.changed = found.messages[:turn], now()
    found.pending = {
        "answers": [
            vars(Answer(one.text, one.model, one.sampling["each"][place]))
            for place, one in enumerate(answers)
        ],
        "order": lease.order,
        "key": secrets.token_hex(16),
        "lease": lease.id,
        "draft": lease.draft,
    }


def _unsaid(session: Session, found: Chat, turn: int) -> Back:
    """Without the answers that wait and, unless they were asked for once more, the last message."""
    messages, pending = found.messages, found.pending
    if pending is not None and (lease := session.get(Lease, pending.get("lease", 0))):
        lease.state = "released"  # what its user takes back nobody else is asked about
        session.get_one(Item, lease.item_id).asked = 0
        session.flush()
        recount(session, Item.id == lease.item_id)
    found.pending, found.changed = None, now()
    said = Back()
    if len(messages) > turn:
        at = max(i for i, one in enumerate(messages) if one["role"] == "user")
        found.messages, said = messages[:at], Back(*split(messages[at]["content"]))
    about = {"study": found.study_id, "chat": found.id, "turn": len(messages)}
    about |= {"pictures": [*said.pictures]} if said.pictures else {}
    note(session, found.user_id, UNSAID, **about)
    return said


# --- within a transaction ---


def _order(found: Chat, config: StudyConfig) -> list[int]:
    turn = Random(f"{found.seed}/{len(found.messages)}")
    return turn.sample((0, 1), 2) if config.shuffle else [0, 1]


def _get(session: Session, chat_id: int, user_id: int) -> Chat:
    found = session.get(Chat, chat_id)
    if found is None or found.user_id != user_id:
        raise NotThere(f"there is no chat {chat_id} of yours")
    return found


def _waiting(session: Session, chat_id: int, user_id: int) -> Chat:
    found = _get(session, chat_id, user_id)
    if found.pending is not None or not found.messages or found.messages[-1]["role"] != "user":
        raise BadAct("there is no message that waits for an answer")
    return found


def _append(chat: Chat, role: str, content: str | list[Any]) -> None:
    chat.messages = [*chat.messages, {"role": role, "content": content}]
    chat.changed = now()


def _best(act: Act) -> int | None:
    ranks = act.ranks
    return None if ranks is None else min((0, 1), key=lambda place: ranks[place])


def _held(session: Session, chat: Chat) -> Lease | None:
    """Of answers that wait again: the lease that they had, unless its place was given on."""
    assert chat.pending is not None
    lease = session.get(Lease, chat.pending.get("lease", 0))
    if lease is None:
        return None
    try:
        return hold(session, lease.id, chat.user_id)
    except Gone:
        if lease.state == "done":
            raise
        return None  # others judge those; what is chosen here is an item of its own


def _leased(session: Session, chat: Chat, study_id: int, pending: dict[str, Any]) -> Lease:
    """The item of these two answers, under a lease of who chose."""
    answers = pending["answers"]
    item = NewItem(
        messages=chat.messages,
        answers=tuple(one["text"] for one in answers),
        models=tuple(one["model"] for one in answers),
        source=f"chat {chat.id}",
        sampling={
            "chat": chat.id,
            "turn": len(chat.messages),
            "key": pending["key"],
            "each": [one["sampling"] for one in answers],
        },
    )
    filling.alone(session)
    made = filling.put(session, study_id, item)
    assert made is not None  # its key was never seen
    lease = Lease(item_id=made.id, user_id=chat.user_id, order=pending["order"], seed=chat.seed)
    lease.state, lease.issued, lease.adjudicates, lease.draft = "active", now(), False, None
    extend(lease, config_of(session.get_one(Study, study_id)))
    session.add(lease)
    session.flush()
    return lease
