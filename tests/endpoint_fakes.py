"""A server that speaks as much of the OpenAI protocol as the site asks for."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from accord.web.models_known import register
from watch_fakes import site

Reply = Callable[[dict[str, Any]], list[str]]
"""a request's body -> the pieces of its answer"""


def echo(body: dict[str, Any]) -> list[str]:
    """The model's name, and what it was asked last."""
    return [f"**{body['model']}**", " heard ", body["messages"][-1]["content"]]


class Endpoint:
    """What was asked of it, and a gate that holds it after its first piece while it is shut."""

    def __init__(self, url: str):
        self.url = url
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        """what stood in Authorization"""
        self.complaint = "no room"
        """its error, where there is no answer"""
        self.gate = threading.Event()
        self.gate.set()


@contextmanager
def endpoint(reply: Reply = echo) -> Iterator[Endpoint]:
    """A server on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            made.asked.append(body)
            made.keys.append(self.headers.get("authorization", ""))
            pieces = reply(body)
            if not pieces:
                self.send_response(503)
                self.end_headers()
                self.wfile.write(json.dumps({"error": {"message": made.complaint}}).encode())
                return
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            try:
                for i, piece in enumerate(pieces):
                    if i:
                        made.gate.wait(10)
                    self.say({"choices": [{"delta": {"content": piece}, "finish_reason": None}]})
                self.say({"choices": [{"delta": {}, "finish_reason": "stop"}]})
                self.wfile.write(b"data: [DONE]\n\n")
            except OSError:
                pass  # who asked has gone away

        def say(self, told: dict[str, Any]) -> None:
            self.wfile.write(b"data: " + json.dumps(told, ensure_ascii=False).encode() + b"\n\n")
            self.wfile.flush()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Endpoint(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        made.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def talking(tmp_path: Path, reply: Reply = echo) -> Iterator[tuple[TestClient, FastAPI, Endpoint]]:
    """The site, with two models `left` and `right` at such a server."""
    with endpoint(reply) as there, site(tmp_path, tmp_path / "runs") as (client, app, store):
        for name in ("left", "right"):
            register(store, name, there.url, name)
        yield client, app, there


def begin(client: TestClient, name: str = "left") -> int:
    """A conversation with one model."""
    answer = client.post("/chat", data={"model": name}, follow_redirects=False)
    assert answer.status_code == 303
    return int(answer.headers["location"].rpartition("/")[2])


def events(text: str) -> list[tuple[str, Any]]:
    """(name, data) of a stream of events."""
    found = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line[1:])
        if "event" in lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def begin_pair(client: TestClient, left: str, right: str) -> int:
    """A blind comparison."""
    form = {"left": left, "right": right}
    answer = client.post("/compare", data=form, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return int(answer.headers["location"].rpartition("/")[2])


def say(
    client: TestClient, chat_id: int, by_place: bool = False, **body: Any
) -> tuple[Any, dict[str, Any]]:
    """(what streamed, how it ended)"""
    answer = client.post(f"/chat/{chat_id}/say", json=body)
    assert answer.status_code == 200, answer.text
    found = events(answer.text)
    assert found[-1][0] == "done"
    pieces: dict[int, str] = {0: "", 1: ""}
    for name, one in found:
        if name == "piece":
            pieces[one["place"]] += one["text"]
    return pieces if by_place else pieces[0], found[-1][1]
