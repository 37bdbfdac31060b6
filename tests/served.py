"""Endpoints for tests: tiny models behind a real server on a free port."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import openai
import uvicorn

import tongues
from accord.engine.roles import Policy
from accord.serve.app import Lineup, build
from accord.serve.endpoint import Server, listen
from accord.serve.engine import Engine
from tiny import tiny

KEY = "sesame"


def chat_folder(path: Path, *, places: int = 512, seed: int = 0) -> Path:
    """A model of a few thousand weights with a byte-level vocabulary and a chat template."""
    words = tongues.byte_level(size=400)
    tongues.folder(path, words, tongues.CHATML)
    size = words.get_vocab_size()
    model = tiny(vocab_size=size, max_position_embeddings=places, seed=seed, attn="eager")
    model.save_pretrained(path)
    return path


@dataclass
class Served:
    """A running endpoint."""

    url: str
    lineup: Lineup
    server: Server

    @property
    def engine(self) -> Engine:
        """Its first model."""
        return next(iter(self.lineup.engines.values()))

    @property
    def policy(self) -> Policy:
        """Of the first model."""
        return self.engine.policy

    @cached_property
    def client(self) -> openai.OpenAI:
        """The official client."""
        return openai.OpenAI(base_url=self.url, api_key=KEY, max_retries=0)

    @property
    def patient(self) -> openai.AsyncOpenAI:
        """The same for coroutines."""
        return openai.AsyncOpenAI(base_url=self.url, api_key=KEY, max_retries=0)

    def post(self, path: str, body: Any) -> httpx.Response:
        """A request by hand."""
        headers = {"authorization": f"Bearer {KEY}"}
        return httpx.post(f"{self.url}/{path}", json=body, headers=headers, timeout=60)

    def rested(self, seconds: float = 10) -> bool:
        """Whether nothing is under way, at the latest after so long."""
        until = time.monotonic() + seconds
        while self.lineup.load and time.monotonic() < until:
            time.sleep(0.01)
        return self.lineup.load == 0


@contextmanager
def served(**folders: Path) -> Iterator[Served]:
    """One model for each name."""
    with serving([Engine(name, Policy.open(at)) for name, at in folders.items()]) as one:
        yield one


@contextmanager
def serving(engines: list[Engine], key: str | None = KEY) -> Iterator[Served]:
    """These engines, until the end of the block."""
    lineup, door = Lineup(engines), listen("127.0.0.1", 0)
    app = build(lineup, key, None if key else ("127.0.0.1",))
    config = uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=3)
    server, up = Server(config, lineup, None), threading.Event()
    server.ready = up.set
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
    thread.start()
    try:
        assert up.wait(30)
        one = Served(f"http://127.0.0.1:{door.getsockname()[1]}/v1", lineup, server)
        yield one
        one.client.close()
    finally:
        server.end()
        thread.join(30)
        door.close()
