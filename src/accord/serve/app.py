"""The endpoint as an ASGI application: /v1/models, /v1/chat/completions, /v1/completions."""

import asyncio
import importlib.metadata
import secrets
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.responses import Response, StreamingResponse

from accord.engine.draw import Sampling
from accord.errors import BadData
from accord.records import Ids
from accord.serve.answers import Chat, Form, Letter, Text
from accord.serve.asked import ChatAsked, Said, TextAsked
from accord.serve.door import BODY, Door
from accord.serve.engine import Engine, Order
from accord.serve.pictures import Album, Shown, shows, talk
from accord.serve.wrong import Json, Wrong, install


class Lineup:
    """The models of an endpoint, by the names clients call them."""

    def __init__(self, engines: Sequence[Engine]):
        self.engines = {engine.name: engine for engine in engines}
        self.album = Album()
        """the pictures of requests under way"""
        self.touched = time.monotonic()
        """when somebody last asked anything"""

    def find(self, name: str) -> Engine:
        """The model of that name; Wrong where there is none."""
        if name not in self.engines:
            known = ", ".join(repr(one) for one in self.engines)
            said = f"there is no model {name[:200]!r} here; there is {known}"
            raise Wrong(404, said, param="model", code="model_not_found")
        return self.engines[name]

    @property
    def load(self) -> int:
        """Answers being written or waiting."""
        return sum(engine.load for engine in self.engines.values())

    def close(self) -> None:
        """Answers under way end with an error, and the models stop."""
        for engine in self.engines.values():
            engine.close()
        self.album.close()


def build(lineup: Lineup, key: str | None = None, hosts: Sequence[str] | None = None) -> FastAPI:
    """The application.  With `key`, clients must have it; `hosts`: the names it may be called by,
    which keeps pages of other sites out where there is no key.
    """
    app = FastAPI(
        title="Accord: an OpenAI-compatible endpoint",
        version=importlib.metadata.version("accord"),
        docs_url=None,
        redoc_url=None,
        middleware=[
            Middleware(Door, lineup=lineup, key=key, hosts=hosts),
            Middleware(RequestBodyLimitMiddleware, max_body_size=BODY),
        ],
    )
    install(app)

    @app.get("/health")
    def health() -> dict[str, Any]:
        """Whether it is there, and how busy."""
        engines = lineup.engines.values()
        return {
            "status": "ok",
            "answers": lineup.load,
            "slots": sum(e.stream.slots for e in engines),
        }

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        """The models one can ask."""
        return {"object": "list", "data": [_card(one) for one in lineup.engines.values()]}

    @app.get("/v1/models/{name:path}")
    def model(name: str) -> dict[str, Any]:
        """One of them."""
        return _card(lineup.find(name))

    @app.post("/v1/chat/completions", response_class=Json)
    async def chat(asked: ChatAsked, request: Request) -> Response:
        """A message of the assistant."""
        engine = lineup.find(asked.model)
        album = lineup.album
        async with album.gate if shows(asked.messages) else nullcontext():
            ids, shown = await run_in_threadpool(_spelled_chat, engine, asked.messages, album)
        form = Chat(asked, engine.policy.speller)
        return await _answered(asked, engine, (ids,), form, request, shown)

    @app.post("/v1/completions", response_class=Json)
    async def completions(asked: TextAsked, request: Request) -> Response:
        """A continuation of a text."""
        engine = lineup.find(asked.model)
        prompts = await run_in_threadpool(_spelled_texts, engine, asked.prompts)
        form = Text(asked, engine.policy.speller, prompts)
        return await _answered(asked, engine, prompts, form, request)

    return app


async def _answered(
    asked: ChatAsked | TextAsked,
    engine: Engine,
    prompts: tuple[Ids, ...],
    form: Form,
    request: Request,
    shown: Sequence[Shown] = (),
) -> Response:
    order = Order(
        prompts,
        secrets.randbits(53) if asked.seed is None else asked.seed,
        asked.n,
        Sampling(asked.temperature, asked.top_p, asked.top_k, asked.min_p),
        asked.longest,
        asked.best,
        asked.stops,
        reads=isinstance(asked, TextAsked) and asked.echo and asked.logprobs is not None,
    )
    letter = Letter(form, engine, engine.ask(order, shown))
    if asked.stream:
        return StreamingResponse(
            letter.stream(asked.usage),
            media_type="text/event-stream",
            headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
        )
    whole, gone = asyncio.create_task(letter.whole()), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((whole, gone), return_when=asyncio.FIRST_COMPLETED)
        if not whole.done():
            return Response(status_code=499)  # nobody reads it
        return Json(whole.result())
    finally:
        letter.line.close()
        for task in (whole, gone):
            task.cancel()


async def _gone(request: Request) -> None:
    """Returns once the client has hung up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _spelled_chat(
    engine: Engine, messages: Sequence[Said], album: Album
) -> tuple[Ids, list[Shown]]:
    speller = engine.policy.speller
    said, shown = talk(messages, album, speller.sight is not None)
    try:
        return speller.prompt_ids(said), shown
    except BadData as error:
        where = str(error)
        for one in shown:
            where = where.replace(str(one.path), "a picture")
        raise Wrong(400, where, param="messages") from None


def _spelled_texts(engine: Engine, prompts: list[str] | list[list[int]]) -> tuple[Ids, ...]:
    """Texts as they stand, without a template; what looks like a control token in them is text."""
    speller = engine.policy.speller
    rows = engine.policy.model.trunk.model.get_input_embeddings().num_embeddings
    spelled: list[Ids] = []
    for prompt in prompts:
        if not isinstance(prompt, str):
            if max(prompt) >= rows:
                said = f"id {max(prompt)} is beyond this model's vocabulary of {rows}"
                raise Wrong(400, said, param="prompt")
            spelled.append(tuple(prompt))
            continue
        try:
            spelled.append(speller.opening(prompt))
        except BadData as error:
            raise Wrong(400, str(error), param="prompt") from None
    return tuple(spelled)


def _card(engine: Engine) -> dict[str, Any]:
    return {
        "id": engine.name,
        "object": "model",
        "created": engine.born,
        "owned_by": "accord",
        "context": engine.stream.room,
        "fingerprint": engine.fingerprint,
    }
