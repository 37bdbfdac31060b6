"""Processes that hold models for the site: begun when somebody talks, ended when nobody does.

No torch here.  A worker listens on this machine alone, wants a key that only its parent knows, and
ends when its parent does, however that came about.
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

from accord.errors import NoAnswer

KEY = "ACCORD_API_KEY"
END_S, HEALTH_S = 5.0, 30.0
"""seconds to end, and to say how it is: a busy machine is slow, and a worker that is killed for it
loses its answers"""


class Reached(NamedTuple):
    """Where a model answers."""

    url: str
    """as the `openai` client takes it: ends in /v1"""
    key: str


@dataclass
class _Worker:
    model: str
    key: str
    process: "subprocess.Popen[str]"
    log: IO[bytes]
    url: str = ""
    used: float = field(default_factory=time.monotonic)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def health(self) -> int | None:
        """Answers under way; none: it does not answer.  Asking keeps it from ending as idle."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        address = f"{self.url.removesuffix('/v1')}/health"
        with (
            suppress(OSError, ValueError, KeyError),
            opener.open(address, timeout=HEALTH_S) as answer,
        ):
            return int(json.load(answer)["answers"])
        return None

    def end(self) -> None:
        """Its standard input ends, and with it the worker; else it is killed."""
        with suppress(OSError):
            if self.process.stdin is not None:
                self.process.stdin.close()
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.log.close()

    def complaint(self) -> str:
        """The last line it wrote."""
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("error: ") if lines else "it said nothing"


class Workers:
    """At most `most` of them.  For any number of threads."""

    def __init__(
        self,
        *,
        most: int = 2,
        idle: float = 900.0,
        patience: float = 180.0,
        words: Sequence[str] = (),
    ):
        """`idle`: seconds after which an unused one ends by itself; `patience`: seconds it may take
        to begin; `words`: settings of `accord endpoint` that each is given: dtype=bf16.
        """
        self.most, self.idle, self.patience, self.words = most, idle, patience, tuple(words)
        self._known: dict[str, _Worker] = {}
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._closed = False

    def url(self, model: str | Path) -> Reached:
        """Where that model answers, begun if need be; it goes by the last part of its path.

        NoAnswer says why it does not begin.
        """
        name = str(model)
        with self._lock:
            own = self._locks.setdefault(name, threading.Lock())
        with own:  # two who ask for the same model wait for one worker
            worker = self._known.get(name)
            if worker is None or not worker.alive or worker.health() is None:
                worker = self._begin(name)
            worker.used = time.monotonic()
            return Reached(worker.url, worker.key)

    def close(self) -> None:
        """All of them end."""
        with self._lock:
            self._closed = True
            ended, self._known = list(self._known.values()), {}
        for worker in ended:
            worker.end()

    def _begin(self, name: str) -> _Worker:
        self._make_room(name)
        key, log = secrets.token_urlsafe(24), tempfile.TemporaryFile()  # noqa: SIM115  it stays open
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "accord", "endpoint", f"model={name}"),
                *(f"name={Path(name).name}", "port=0", f"idle={self.idle}", "attached=true"),
                *self.words,
            ],
            env=os.environ | {KEY: key},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        worker = _Worker(name, key, process, log)
        timer = threading.Timer(self.patience, process.kill)
        timer.start()
        assert process.stdout is not None
        worker.url = process.stdout.readline().strip()  # empty where it ended before
        timer.cancel()
        if not worker.url:
            process.wait()
            said = worker.complaint()
            worker.end()
            raise NoAnswer(f"{name} does not begin to answer: {said}")
        with self._lock:
            if not self._closed:
                self._known[name] = worker
                return worker
        worker.end()
        raise NoAnswer("the site is going down")

    def _make_room(self, name: str) -> None:
        """End what is dead, and of too many the one that was used longest ago and is not busy."""
        with self._lock:
            for one in [n for n, w in self._known.items() if n == name or not w.alive]:
                self._known.pop(one).end()
            while len(self._known) >= self.most:
                idle = [w for w in self._known.values() if not w.health()]
                if not idle:
                    raise NoAnswer(
                        f"{self.most} models are answering, and this site holds no more at once: "
                        "try again when one is done"
                    )
                self._known.pop(min(idle, key=lambda w: w.used).model).end()
