"""Simulated people who judge through a store, and a model server that echoes."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from accord.store.judgements import acts, leases, people, studies
from accord.store.judgements.forms import Act, Task
from accord.store.judgements.opening import Store, open_store


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


# --- people ---


def judge_all(
    store: Store,
    study_id: int,
    user_id: int,
    like: Callable[[str], float],
    *,
    most: int = 10_000,
    **more: Any,
) -> int:
    """Somebody who judges through the store until nothing is left; how many verdicts.

    Higher is better; the same is a tie.  What is shown is judged by its text alone.
    """
    count = 0
    while count < most and (task := leases.next_task(store, study_id, user_id)) is not None:
        acts.submit(store, user_id, verdict(task, like, **more))
        count += 1
    return count


def verdict(task: Task, like: Callable[[str], float], **more: Any) -> Act:
    """An act on a task, by what is shown."""
    worth = [like(one.text) for one in task.answers]
    told: dict[str, Any] = {"ms_total": 5000}
    if task.kind == "rewrite":
        told["rewrite"] = task.answers[0].text.strip() + " (better)"
    elif task.kind == "rate":
        top = max(*worth, 1.0)
        marks = tuple(1 + round((task.config.scale - 1) * one / top) for one in worth)
        told["ratings"] = dict.fromkeys(task.config.axes, marks)
    else:
        places = sorted(set(worth), reverse=True)
        told["ranks"] = tuple(places.index(one) for one in worth)
        if len(places) == 1:
            more.pop("strength", None)
    return Act(task.lease_id, task.key, **(told | more))


def someone(store: Store, name: str, role: str = "annotator") -> int:
    """The id of an account, made where there is none."""
    for one in people.users(store):
        if one.name == name:
            return one.id
    return people.add(store, name, role).id  # type: ignore[arg-type]


class Somebody(threading.Thread):
    """Judges what comes in, by its length, until told to stop."""

    def __init__(self, path: Path, name: str = "ada"):
        super().__init__(daemon=True)
        self.store, self.stop, self.count = open_store(path), threading.Event(), 0
        self.user = someone(self.store, name)

    def run(self) -> None:
        while not self.stop.wait(0.01):
            for row in studies.studies(self.store):
                self.count += judge_all(self.store, row.study.id, self.user, len)

    def __enter__(self) -> "Somebody":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.join()
        self.store.close()
