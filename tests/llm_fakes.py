"""Those who are asked, made up: an LLM of this process, and a server with every fault."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from accord.engine.draw import Sampling
from accord.engine.llm import Ask, Spoken
from accord.records import Invalid

Speak = Callable[[Ask], str]
Weigh = Callable[[Ask, Sequence[str]], Sequence[float]]


class FakeLLM:
    """Says what a function says, and counts."""

    def __init__(
        self,
        speak: Speak = lambda ask: f"heard {ask.messages[-1].text}",
        weigh: Weigh = lambda ask, options: [-float(i) for i in range(len(options))],
        which: str = "fake",
    ):
        self.speak, self.weighs, self.which = speak, weigh, which
        self.asked: list[Ask] = []

    def say(
        self, asks: Sequence[Ask], *, longest: int, how: Sampling = Sampling()
    ) -> list[Spoken | Invalid]:
        """What the function says; a text that begins with "!" is why there is no answer."""
        self.asked += asks
        texts = [self.speak(ask) for ask in asks]
        return [
            Invalid(text[1:]) if text.startswith("!") else Spoken(text, True, 10, len(text.split()))
            for text in texts
        ]

    def weigh(
        self, asks: Sequence[Ask], options: Sequence[Sequence[str]]
    ) -> list[tuple[float, ...] | Invalid]:
        """What the function says."""
        self.asked += asks
        return [tuple(self.weighs(ask, few)) for ask, few in zip(asks, options, strict=True)]


class Server(ThreadingHTTPServer):
    """Speaks OpenAI's protocol, and on demand what it should not.

    `fault(n, body)` names what befalls the n-th request: an HTTP status, alone or with a message,
    or one of "prose",
    "empty", "odd" (JSON of another kind), "hang up", "slow", "filter"; None: nothing.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, fault: Callable[[int, dict[str, Any]], Any] = lambda n, body: None):
        self.fault = fault
        self.asked: list[dict[str, Any]] = []
        self.answered = 0
        self.latency = 0.0
        self.headers: dict[str, str] = {}
        """sent with every status that is not 200"""
        self.speak: Callable[[dict[str, Any]], str] = lambda body: f"heard {_last(body)}"
        self.top: Callable[[dict[str, Any]], dict[str, float]] = lambda body: {"A": -0.1, "B": -2.4}
        self.now = self.most = 0
        """requests under way, and the most there ever were"""
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """Its address, with the name of its model."""
        return f"http://127.0.0.1:{self.server_port}/v1#fake"


@contextmanager
def served(fault: Callable[[int, dict[str, Any]], Any] = lambda n, body: None) -> Iterator[Server]:
    """A server on a free port, for as long as it is needed."""
    server = Server(fault)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _last(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"] if "messages" in body else body["prompt"])


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._give(200, {"data": [{"id": "fake"}]})

    def do_POST(self) -> None:
        here = self.server
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with here.lock:
            here.asked.append(body)
            n = len(here.asked) - 1
            here.now += 1
            here.most = max(here.most, here.now)
        try:
            time.sleep(here.latency)
            self._befall(here.fault(n, body), body)
        finally:
            with here.lock:
                here.now -= 1

    def _befall(self, fault: Any, body: dict[str, Any]) -> None:
        if isinstance(fault, tuple):
            status, why = fault
            self._give(status, {"error": {"message": why}}, self.server.headers)
        elif isinstance(fault, int):
            self._give(fault, {"error": {"message": f"fault {fault}"}}, self.server.headers)
        elif fault == "prose":
            self._give(200, "I would rather talk about the weather.")
        elif fault == "empty":
            self._give(200, "")
        elif fault == "odd":
            self._give(200, {"choices": [{"message": None}]})
        elif fault == "hang up":
            self.close_connection = True
            self.connection.close()
        elif fault == "slow":
            time.sleep(1.0)
            self._give(200, self._answer(body))
        elif fault == "filter":
            self._give(200, self._answer(body, "content_filter"))
        else:
            with self.server.lock:
                self.server.answered += 1
            self._give(200, self._answer(body))

    def _answer(self, body: dict[str, Any], why: str = "stop") -> dict[str, Any]:
        here, usage = self.server, {"prompt_tokens": 10, "completion_tokens": 5}
        if body.get("echo"):
            pieces = [body["prompt"][i : i + 1] for i in range(len(body["prompt"]))]
            told = {
                "tokens": pieces,
                "text_offset": list(range(len(pieces))),
                "token_logprobs": [None, *(-0.5 if p != "B" else -1.5 for p in pieces[1:])],
            }
            return {"choices": [{"text": body["prompt"], "logprobs": told}], "usage": usage}
        text = here.speak(body)
        choice: dict[str, Any] = {"message": {"content": text}, "text": text, "finish_reason": why}
        if body.get("logprobs"):
            top = [{"token": k, "logprob": v} for k, v in here.top(body).items()]
            choice["logprobs"] = {"content": [{"token": "", "logprob": 0, "top_logprobs": top}]}
        return {"choices": [choice], "usage": usage}

    def _give(self, status: int, told: Any, more: dict[str, str] | None = None) -> None:
        said = (told if isinstance(told, str) else json.dumps(told)).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(said)))
        for key, value in (more or {}).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(said)
