"""Talking to a model: answers as they come, said again, changed, stopped."""

import functools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

from accord.errors import AccordError
from accord.store.judgements import talk
from accord.store.judgements.forms import BadAct
from accord.store.judgements.opening import Store, now
from accord.store.judgements.pictures import home
from accord.store.judgements.tables import Chat
from accord.web.models_known import model, models, voice
from accord.web.models_speaking import Part, Room, Speaking, room, spend
from accord.web.pictures import sendable
from accord.web.render import markdown, page
from accord.web.security import Reader, TheStore
from accord.web.talking import Voice, Wish

router = APIRouter(include_in_schema=False)
ENDS = {
    "length": "cut at the longest length",
    "stopped": "stopped",
    "cut": "broke off: the model went away",
}


class Asked(BaseModel):
    """What is said next, and how the answer is drawn."""

    text: str = Field(default="", max_length=talk.LONGEST)
    """empty: the last message is answered again"""
    at: int | None = Field(default=None, ge=0)
    """from which message on the conversation is another one"""
    temperature: float = Field(default=0.8, ge=0, le=2)
    longest: int = Field(default=256, ge=1, le=8192)
    """tokens"""
    seed: int | None = Field(default=None, ge=0, lt=2**31)

    def wish(self, place: int = 0) -> Wish:
        """For one of the answers; two with one seed would be alike."""
        return Wish(
            self.temperature, self.longest, None if self.seed is None else self.seed + place
        )

    def sampling(self, place: int = 0) -> dict[str, Any]:
        """As it is kept with an answer."""
        return vars(self.wish(place))


@router.get("/chat")
def chats() -> RedirectResponse:
    """Conversations are listed with the models."""
    return RedirectResponse("/models", 303)


@router.post("/chat")
def begin(
    request: Request, user: Reader, store: TheStore, name: Annotated[str, Form(alias="model")]
) -> RedirectResponse:
    """A new conversation with one model."""
    made = talk.open_chat(store, user.id, (model(request.app, name).name,))
    return RedirectResponse(f"/chat/{made.id}", 303)


@router.get("/chat/{chat_id}")
def show(request: Request, user: Reader, store: TheStore, chat_id: int) -> HTMLResponse:
    """A conversation: with one model, or with two side by side."""
    found = talk.chat(store, chat_id, user.id)
    told: dict[str, Any] = {"chat": found, "busy": room(request.app).busy(chat_id)}
    told["turns"] = [
        {**one, "content": words, "shown": shown}
        | {"html": markdown(words) if one["role"] == "assistant" else ""}
        for one in found.messages
        for words, shown in [talk.split(one["content"])]
    ]
    if found.study_id is None:
        told["models"] = models(request.app)
        return page(request, "models/chat.html", **told)
    told["answers"] = shown(found)
    told["voted"] = not found.blind
    return page(request, "models/side.html", **told)


@router.post(
    "/chat/{chat_id}/say", response_class=EventSourceResponse, dependencies=[Depends(spend)]
)
async def say(
    request: Request, user: Reader, store: TheStore, chat_id: int, asked: Asked
) -> AsyncIterator[ServerSentEvent]:
    """Say something; what comes back is the answer, piece by piece."""
    make = functools.partial(_answer, request.app, store, chat_id, user.id, asked)
    try:
        speaking = await run_in_threadpool(make)
    except AccordError as error:
        yield ServerSentEvent(event="done", data={"wrong": str(error)})
        return
    async for event in speaking.listen():
        yield event


@router.get("/chat/{chat_id}/stream", response_class=EventSourceResponse)
async def listen(
    request: Request, user: Reader, store: TheStore, chat_id: int
) -> AsyncIterator[ServerSentEvent]:
    """The answer that is under way, from its beginning: for a page that was loaded again."""
    await run_in_threadpool(talk.chat, store, chat_id, user.id)
    speaking = room(request.app).get(chat_id)
    if speaking is None:
        yield ServerSentEvent(event="done", data={"wrong": "No answer is under way."})
        return
    async for event in speaking.listen():
        yield event


@router.post("/chat/{chat_id}/stop")
def stop(request: Request, user: Reader, store: TheStore, chat_id: int) -> dict[str, bool]:
    """No more of it; what has been said stays."""
    talk.chat(store, chat_id, user.id)
    speaking = room(request.app).get(chat_id)
    if speaking is not None:
        speaking.stop.set()
    return {"stopped": speaking is not None}


def shown(found: Chat) -> list[dict[str, Any]]:
    """The answers that wait for a choice, in the order shown; none: nothing waits."""
    if found.pending is None:
        return []
    answers, order = found.pending["answers"], found.pending["order"]
    return [{"text": answers[i]["text"], "html": markdown(answers[i]["text"])} for i in order]


def _answer(app: Any, store: Store, chat_id: int, user_id: int, asked: Asked) -> Speaking:
    """Begin to answer what is asked."""
    here = room(app)
    if here.busy(chat_id):
        raise BadAct("an answer is under way; stop it first, or wait")
    found = _said(store, chat_id, user_id, asked)
    if found.study_id is None:
        return _one(app, here, store, found, asked)
    return _two(app, here, store, found, asked)


def _said(store: Store, chat_id: int, user_id: int, asked: Asked) -> Chat:
    found = talk.chat(store, chat_id, user_id)
    if asked.at is not None or not asked.text:
        found = rewind(store, found, asked.at)
    if asked.text:
        return talk.say(store, chat_id, user_id, asked.text)
    if not found.messages or found.messages[-1]["role"] != "user":
        raise BadAct("there is no message to answer; write one")
    return found


def rewind(store: Store, found: Chat, at: int | None) -> Chat:
    """Forget the messages from `at` on; without it, the last answer.

    Of two side by side nothing is forgotten: what was judged was judged after what was said.
    """
    messages = found.messages
    if at is None:
        at = len(messages) - (1 if messages and messages[-1]["role"] == "assistant" else 0)
    if at >= len(messages):
        return found
    if found.study_id is not None:
        raise BadAct("what was said side by side stays as it was judged; begin a new comparison")
    with store.write() as session:
        kept = session.get_one(Chat, found.id)
        kept.messages, kept.changed = kept.messages[:at], now()
    return kept


def _one(app: Any, here: Room, store: Store, found: Chat, asked: Asked) -> Speaking:
    def finish(parts: list[Part]) -> dict[str, Any]:
        part = parts[0]
        if not part.text.strip():
            return {"wrong": part.wrong or "The model said nothing; ask again."}
        talk.answered(store, found.id, found.user_id, part.text)
        said = part.wrong or ENDS.get(part.end, "")
        return {"html": str(markdown(part.text)), "text": part.text, "end": said}

    def voices() -> list[Voice]:
        return [voice(app, model(app, found.models[0]), found.user_id)]

    return _begin(app, here, found, voices, [asked.wish()], finish)


def _two(app: Any, here: Room, store: Store, found: Chat, asked: Asked) -> Speaking:
    if not found.blind:
        raise BadAct("the names have been shown; begin a new comparison")
    order = talk.turn_order(store, found)
    try:
        known = [model(app, name) for name in found.models]
    except HTTPException:
        raise BadAct("There is no model of that name any more; begin a new comparison") from None

    def finish(parts: list[Part]) -> dict[str, Any]:
        wrong = next((part.wrong for part in parts if part.wrong), "")
        if wrong:
            return {"wrong": hide(wrong, [n for one in known for n in one.names])}
        if not all(part.text.strip() for part in parts):
            return {"wrong": "One of the two said nothing; ask again."}
        answers = [
            talk.Answer(parts[order.index(i)].text, known[i].sign, asked.sampling(i))
            for i in (0, 1)
        ]
        after = talk.offer(store, found.id, found.user_id, answers)
        if after.pending is None:
            return {"alike": True, "html": str(markdown(parts[0].text))}
        told = [{**one, "html": str(one["html"])} for one in shown(after)]
        return {"key": after.pending["key"], "answers": told}

    def voices() -> list[Voice]:
        return [voice(app, known[i], found.user_id) for i in order]

    return _begin(app, here, found, voices, [asked.wish(i) for i in order], finish)


def _begin(
    app: Any,
    here: Room,
    found: Chat,
    voices: Callable[[], Sequence[Voice]],
    wishes: Sequence[Wish],
    finish: Callable[[list[Part]], dict[str, Any]],
) -> Speaking:
    def make() -> Speaking:
        said = sendable(found.messages, home(app.state.store, app.state.cfg.runs))
        return Speaking(voices, said, wishes, finish, app.state.stop)

    return here.put(found.id, make)


def hide(text: str, names: Sequence[str]) -> str:
    """A sentence without the names that are not to be known yet."""
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, "a model")
    return text
