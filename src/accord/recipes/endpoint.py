"""A model behind an OpenAI-compatible endpoint (/v1/chat/completions), asked for answers.

What was answered is written down at once, and never asked again.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.config import digest
from accord.config.limits import Above0, Count
from accord.data.writing import messages
from accord.engine.sampler import Watch
from accord.errors import BadSettings, NoAnswer, RunMismatch
from accord.evaluate.answers import Asking
from accord.records import Prompt
from accord.store import files, journal, record

AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)
"""statuses that may pass by themselves"""
PATIENCE = 60.0
"""the longest pause between two tries, seconds"""
SHOWN = 200
"""characters of a reply that an error quotes"""


@dataclass(frozen=True)
class Endpoint:
    """How a model server is spoken to."""

    key: str | None = None
    """name of the environment variable that holds the API key"""
    at_once: Count = 4
    """requests under way at a time"""
    seconds: Above0 = 120.0
    """the longest that one request may take"""
    tries: Count = 5
    """how often a request is made where the server is silent, busy or broken"""
    pause: Above0 = 0.5
    """seconds before the second try; twice as long before each further one"""

    def secret(self) -> str | None:
        """The key; BadSettings where the environment has none by that name."""
        if self.key is None:
            return None
        if not os.environ.get(self.key):
            raise BadSettings(f"http.key={self.key}: the environment has no variable of that name")
        return os.environ[self.key].strip()


@dataclass(frozen=True)
class Heard:
    """One answer: which prompt's, which of n, its text, and why it ended."""

    place: int
    k: int
    text: str
    finish: str


class Server:
    """One model at one address: `http://host:8000/v1` or, of several, `…/v1#name`."""

    def __init__(self, url: str, how: Endpoint):
        import httpx

        self.url, _, self.called = url.partition("#")
        self.url = self.url.rstrip("/")
        if "@" in self.url.split("://", 1)[-1].split("/", 1)[0]:
            raise BadSettings(
                "a password in model=http://… would be written into artifacts and logs; put it in "
                "an environment variable and say http.key=ITS_NAME"
            )
        secret = how.secret()
        self.how, self._hidden = how, secret
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        limits = httpx.Limits(max_connections=how.at_once)
        self.http = httpx.Client(headers=headers, timeout=how.seconds, limits=limits)
        self.called = self.called or self._only()

    def close(self) -> None:
        """Hang up."""
        self.http.close()

    def ask(self, prompt: Prompt, asking: Asking, n: int, seed: int) -> list[tuple[str, str]]:
        """Up to n answers to a prompt: (text, why it ended)."""
        how = asking.how
        body: dict[str, Any] = {
            "model": self.called,
            "messages": messages(prompt.messages),
            "n": n,
            "max_tokens": asking.longest,
            "temperature": how.temperature,
            "top_p": how.top_p,
            "seed": seed,
        }
        if how.top_k:
            body["top_k"] = how.top_k
        told = self._request("POST", "/chat/completions", body)
        try:
            return [
                (str(one["message"]["content"] or ""), str(one.get("finish_reason") or ""))
                for one in told["choices"]
            ]
        except (LookupError, TypeError):
            raise self._odd("gave a reply without choices", json.dumps(told)) from None

    def _only(self) -> str:
        """The name of the only model that is served."""
        told = self._request("GET", "/models", None)
        names = [one.get("id") for one in told.get("data", []) if isinstance(one, dict)]
        if len(names) != 1:
            shown = ", ".join(map(str, names[:8])) or "none"
            raise BadSettings(
                f"model={self.url}: it serves {shown}; say which: model={self.url}#NAME"
            )
        return str(names[0])

    def _request(self, verb: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        import httpx

        why, pause = "", 0.0
        for n in range(self.how.tries):
            time.sleep(pause)
            pause = min(PATIENCE, self.how.pause * 2**n)
            try:
                reply = self.http.request(verb, self.url + path, json=body)
            except httpx.HTTPError as error:
                why = f"{type(error).__name__}: {error}"
                continue
            if reply.status_code in AGAIN:
                why = f"status {reply.status_code}: {self._quoted(reply.text)}"
                with_ = reply.headers.get("retry-after", "")
                pause = min(PATIENCE, float(with_)) if with_.isdigit() else pause
                continue
            if reply.status_code != 200:
                raise self._odd(f"refused with status {reply.status_code}", reply.text)
            try:
                told = reply.json()
                if isinstance(told, dict):
                    return told
            except ValueError:
                pass  # said below, as any other reply that is no object
            raise self._odd("gave a reply that is no JSON object", reply.text)
        raise NoAnswer(
            f"{self.url}: no answer after {self.how.tries} tries ({why}); see to the server, then "
            "the same command goes on with what is still to be asked"
        )

    def _odd(self, what: str, text: str) -> NoAnswer:
        return NoAnswer(f"{self.url} {what}: {self._quoted(text)}")

    def _quoted(self, text: str) -> str:
        text = text.replace(self._hidden, "…") if self._hidden else text
        return repr(text[:SHOWN] + ("…" if len(text) > SHOWN else ""))


def asked(
    server: Server,
    prompts: Sequence[Prompt],
    file: Path,
    asking: Asking,
    *,
    watch: Watch | None = None,
) -> list[list[Heard]]:
    """n answers of a server to each prompt, written to the file as they come.

    The same again asks for what is missing.  RunMismatch where the file holds answers of another
    model, to other prompts, or drawn otherwise.
    """
    about = {
        "model": f"{server.url}#{server.called}",
        "prompts": digest([messages(one.messages) for one in prompts]),
        **asking.told(),
    }
    heard = _there(file, about)
    if watch and heard:
        watch(len(heard))
    known: list[list[Heard]] = [[] for _ in prompts]
    for one in heard:
        known[one.place].append(one)
    with files.writing(str(file)), file.open("ab") as out:
        for few in _rounds(server, prompts, known, asking):
            out.write(b"".join(map(_line, few)))
            out.flush()
            if watch:
                watch(len(few))
    return [sorted(few, key=lambda one: one.k) for few in known]


def _rounds(
    server: Server, prompts: Sequence[Prompt], known: list[list[Heard]], asking: Asking
) -> Iterator[list[Heard]]:
    """What comes back, prompt by prompt; a server that gives fewer than n is asked again."""

    def one(place: int) -> list[Heard]:
        taken = {h.k for h in known[place]}
        missing = [k for k in range(asking.n) if k not in taken]
        seed = (asking.seed + 1) * 1_000_003 + place * asking.n + missing[0]
        said = server.ask(prompts[place], asking, len(missing), seed % 2**31)
        if not said:
            raise NoAnswer(f"{server.url}: no choices for prompt {prompts[place].id or place}")
        return [Heard(place, k, *told) for k, told in zip(missing, said, strict=False)]

    pool = ThreadPoolExecutor(server.how.at_once)
    try:
        waiting = [i for i, few in enumerate(known) if len(few) < asking.n]
        under_way: set[Future[list[Heard]]] = set()
        while waiting or under_way:
            while waiting and len(under_way) < server.how.at_once:
                under_way.add(pool.submit(one, waiting.pop(0)))
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            broken = None
            for future in done:
                if broken := future.exception() or broken:
                    continue
                few = future.result()
                known[few[0].place] += few
                if len(known[few[0].place]) < asking.n:
                    waiting.append(few[0].place)
                yield few
            if broken is not None:
                raise broken
    finally:
        pool.shutdown(cancel_futures=True)


def _there(file: Path, about: Mapping[str, Any]) -> list[Heard]:
    rows = list(journal.rows(file))
    if rows:
        changes = record.differences(rows[0], dict(about))
        if changes:
            raise RunMismatch(
                f"{file} holds answers made otherwise: {record.said(*changes[0])}. Give another "
                "folder (out=...), or the settings it was made with"
            )
    heard = [Heard(**row) for row in rows[1:]]
    with files.writing(str(file)):  # without a last line that a crash has cut
        file.parent.mkdir(parents=True, exist_ok=True)
        head = json.dumps(about).encode() + b"\n"
        files.write_whole(file, head + b"".join(map(_line, heard)))
    return heard


def _line(one: Heard) -> bytes:
    told = {"place": one.place, "k": one.k, "text": one.text, "finish": one.finish}
    return json.dumps(told).encode() + b"\n"
