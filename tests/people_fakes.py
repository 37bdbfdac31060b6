"""Simulated people who judge through a store, and a model server that echoes."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Talker(ThreadingHTTPServer):
    """Speaks OpenAI's protocol: answers `echo QUESTION k`."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.models = ["echo"]
        self.broken: set[str] = set()
        self.few, self.busy, self.refuses = False, 0, ""
        super().__init__(("127.0.0.1", 0), _Echo)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Echo(BaseHTTPRequestHandler):
    server: Talker

    def do_GET(self) -> None:
        self.server.keys.append(self.headers.get("Authorization", ""))
        self._say(200, {"data": [{"id": name} for name in self.server.models]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        here, asked = self.server, body["messages"][-1]["content"]
        if here.refuses:
            return self._say(401, {"error": here.refuses})
        if here.busy or asked in here.broken:
            here.busy -= bool(here.busy)
            return self._say(503, {"error": "busy"})
        here.asked.append(body)
        n = 1 if here.few else body["n"]
        start = body["seed"]
        texts = [f"echo {asked} {k if not here.few else start}" for k in range(n)]
        told = [{"message": {"content": text}, "finish_reason": "stop"} for text in texts]
        return self._say(200, {"choices": told})

    def _say(self, status: int, told: dict[str, Any]) -> None:
        said = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass
