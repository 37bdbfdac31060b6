"""A chat study: one talks, two models answer side by side, and the talk goes on with the better.

Its choices are judgements like any other.  What is judged comes first: two answers of one's own
that wait, then pairs that others left open, then the talk.
"""

import functools
import random
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.responses import RedirectResponse, Response

from accord.errors import AccordError
from accord.store.judgements import studies, talk
from accord.store.judgements.forms import BadAct, Shown, Task
from accord.store.judgements.opening import Store
from accord.store.judgements.pictures import home
from accord.store.judgements.tables import Chat, Study, User
from accord.web.judging_pictures import BYTES, Saying, Sent, admitted, sees
from accord.web.judging_view import turns
from accord.web.models_chat import hide
from accord.web.models_known import Known, model, models, voice
from accord.web.models_speaking import Part, Speaking, room, spend
from accord.web.pictures import sendable
from accord.web.security import Judge, TheStore
from accord.web.talking import Voice, Wish

router = APIRouter(include_in_schema=False)
RECENT = 200
"""conversations among which the current one is looked for"""


def current(store: Store, study_id: int, user_id: int) -> Chat | None:
    """The conversation somebody has in a study: their latest."""
    mine = talk.chats(store, user_id, RECENT)
    return next((one for one in mine if one.study_id == study_id), None)


def waiting(study: Study, chat: Chat | None) -> Task | None:
    """Two answers that wait for a choice, as an item without a lease."""
    if chat is None or chat.pending is None:
        return None
    config = studies.config_of(study)
    answers, order = chat.pending["answers"], chat.pending["order"]
    shown = tuple(
        Shown(place, answers[at]["text"], "" if config.blind else chat.models[at])
        for place, at in enumerate(order)
    )
    key, draft = chat.pending["key"], chat.pending.get("draft")
    return Task(study.id, 0, 0, "chat", config, chat.messages, shown, key=key, draft=draft)


def taken_back(app: Any, chat: Chat | None) -> tuple[str, str] | None:
    """(what is said about it, what the person had said and may say otherwise) of the last step of a
    talk; None where there is no step.
    """
    if chat is None:
        return None
    if room(app).busy(chat.id):
        raise BadAct("an answer is under way; stop it first, or wait")
    found = talk.back(app.state.store, chat.id, chat.user_id)
    if found is None:
        return None
    if found.said:
        return "Taken back: say it otherwise, or something else.", found.said
    return "Taken back.", ""


def again(store: Store, chat: Chat | None) -> str:
    """The picture that was taken back with what was said; empty: none."""
    return "".join(talk.unsaid(store, chat.id, chat.user_id)[:1]) if chat else ""


def context(app: Any, chat: Chat | None, address: str) -> dict[str, Any]:
    """What the page of the talk needs, while nothing is to be chosen."""
    said = chat.messages if chat else []
    busy = chat is not None and room(app).busy(chat.id)
    asked = bool(said) and said[-1]["role"] == "user"
    shown = turns(said, f"{address}/picture", named=True)
    return {"turns": shown, "most_mb": BYTES >> 20, "busy": busy, "unanswered": asked and not busy}


@router.post(
    "/studies/{study_id}/judge/say",
    response_class=EventSourceResponse,
    dependencies=[Depends(spend)],
)
async def say(
    request: Request, store: TheStore, user: Judge, study_id: int, said: Saying
) -> AsyncIterator[ServerSentEvent]:
    """Say something (or, with no text, ask again); two answers, piece by piece."""
    begin = functools.partial(_begin, request.app, store, study_id, user.id, said)
    try:
        speaking = await run_in_threadpool(begin)
    except AccordError as error:
        yield ServerSentEvent(event="done", data={"wrong": str(error)})
        return
    async for event in speaking.listen():
        yield event


@router.get("/studies/{study_id}/judge/hear", response_class=EventSourceResponse)
async def hear(
    request: Request, store: TheStore, user: Judge, study_id: int
) -> AsyncIterator[ServerSentEvent]:
    """The answers under way, from their beginning: for a page that was loaded again."""
    chat = await run_in_threadpool(current, store, study_id, user.id)
    speaking = room(request.app).get(chat.id) if chat else None
    if speaking is None:
        yield ServerSentEvent(event="done", data={"wrong": "No answer is under way."})
        return
    async for event in speaking.listen():
        yield event


@router.post("/studies/{study_id}/judge/hush")
def hush(request: Request, store: TheStore, user: Judge, study_id: int) -> dict[str, bool]:
    """No more of it; what was said so far is offered."""
    chat = current(store, study_id, user.id)
    speaking = room(request.app).get(chat.id) if chat else None
    if speaking is not None:
        speaking.stop.set()
    return {"stopped": speaking is not None}


@router.post("/studies/{study_id}/judge/fresh")
def fresh(request: Request, store: TheStore, user: Judge, study_id: int) -> Response:
    """Another conversation; the one before it stays as it was judged."""
    _open(request.app, studies.study(store, study_id), user.id)
    return RedirectResponse(f"/studies/{study_id}/judge", 303)


def _open(app: Any, study: Study, user_id: int) -> Chat:
    """With the models of the study; where it names none, with two by lot."""
    names: list[str] = []
    if not studies.config_of(study).talk.models:
        names = [one.name for one in models(app) if one.kind == "endpoint" or app.state.workers]
        if len(names) < 2:
            raise BadAct("this study names no models, and there are not two here; tell its manager")
    drawn = random.SystemRandom().sample(names, 2) if names else []
    return talk.open_chat(app.state.store, user_id, drawn, study_id=study.id)


def _begin(app: Any, store: Store, study_id: int, user_id: int, said: Sent) -> Speaking:
    study = studies.study(store, study_id)
    if study.status != "open":
        raise BadAct(f"this study is {study.status}")
    with store.read() as session:
        user = session.get_one(User, user_id)
        if not studies.takes_part(session, study, user):
            raise BadAct(f"you are not a member of the study {study.name!r}; ask its manager")
    chat = current(store, study_id, user_id) or _open(app, study, user_id)
    here = room(app)
    if here.busy(chat.id):
        raise BadAct("an answer is under way; stop it first, or wait")
    if said.pictured and not all(map(sees, _known(app, chat))):
        raise BadAct("a model of this study reads text alone: say it without the picture")
    shown = admitted(app, store, study, chat, said)
    if said.text:
        chat = talk.say(store, chat.id, user_id, said.text, shown)
    talk_of = studies.config_of(study).talk
    wish = Wish(talk_of.temperature, talk_of.longest)
    return here.put(chat.id, lambda: _speak(app, store, chat, wish))


def _known(app: Any, chat: Chat) -> list[Known]:
    try:
        return [model(app, name) for name in chat.models]
    except HTTPException:
        raise BadAct("a model of this study is not there any more; tell its manager") from None


def _speak(app: Any, store: Store, chat: Chat, wish: Wish) -> Speaking:
    known = _known(app, chat)
    order = talk.turn_order(store, chat)

    def voices() -> list[Voice]:
        return [voice(app, known[at], chat.user_id) for at in order]

    def finish(parts: list[Part]) -> dict[str, Any]:
        return _offer(store, chat, known, wish, [parts[order.index(at)] for at in (0, 1)])

    said = sendable(chat.messages, home(store, app.state.cfg.runs))
    return Speaking(voices, said, [wish, wish], finish, app.state.stop)


def _offer(
    store: Store, chat: Chat, known: list[Known], wish: Wish, parts: list[Part]
) -> dict[str, Any]:
    wrong = next((part.wrong for part in parts if part.wrong), "")
    if wrong:
        names = [name for one in known if chat.blind for name in one.names]
        return {"wrong": hide(wrong, names)}
    if not all(part.text.strip() for part in parts):
        return {"wrong": "One of the two said nothing; ask again."}
    answers = [
        talk.Answer(part.text, one.sign, {**vars(wish), "finish": part.end})
        for part, one in zip(parts, known, strict=True)
    ]
    after = talk.offer(store, chat.id, chat.user_id, answers)
    return {"ready": True, "alike": after.pending is None}
