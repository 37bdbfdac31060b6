"""A model server that speaks the OpenAI protocol, and says what it is told to."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    """Answers every question with the same words, one by one."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, str] = {}
        """by the model's name there; else "MODEL heard QUESTION" """
        self.asked: list[dict[str, Any]] = []
        self.pause = 0.0
        self.status = 200
        self.cut = False
        """hangs up in the middle"""

    @property
    def url(self) -> str:
        """As clients take it."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    """One question."""

    server: Server

    def do_POST(self) -> None:
        size = int(self.headers["content-length"])
        body = json.loads(self.rfile.read(size))
        self.server.asked.append(body | {"authorization": self.headers.get("authorization")})
        self.send_response(self.server.status)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        if self.server.status != 200:
            self.wfile.write(json.dumps({"error": {"message": "no such model"}}).encode())
            return
        heard = body["messages"][-1]["content"]
        said = self.server.answers.get(body["model"], f"{body['model']} heard {heard}")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for word in said.split(" ")[: 1 if self.server.cut else None]:
                self.tell({"choices": [{"delta": {"content": word + " "}, "finish_reason": None}]})
                time.sleep(self.server.pause)
            if not self.server.cut:
                self.tell({"choices": [{"delta": {}, "finish_reason": "stop"}]})
                self.wfile.write(b"data: [DONE]\n\n")

    def tell(self, piece: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
        self.wfile.flush()

    def log_message(self, *args: Any) -> None:
        pass


@contextlib.contextmanager
def answering() -> Iterator[Server]:
    """A server that listens until the end."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)
