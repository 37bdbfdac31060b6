"""Rewards behind HTTP: a server is told prompts and answers, and gives scores."""

import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection, IncompleteRead
from socket import SHUT_RDWR
from typing import Any
from urllib.parse import urlsplit

from accord.config.limits import Above0, Count
from accord.config.secrets import secret
from accord.engine.client import passes
from accord.errors import BadSettings, NoAnswer, RunMismatch
from accord.records import Invalid, Rollout
from accord.rewards.base import Score
from accord.rewards.reader import Reader, Said

PATIENCE = 30.0
"""the longest pause between two tries, seconds"""
LARGEST = (1 << 20, 1 << 16)
"""bytes of a reply beyond which it is no list of scores: of any, and more for each answer"""
SHOWN = 200
"""characters of a reply that an error quotes"""


@dataclass(frozen=True, slots=True)
class Sent:
    """One answer on its way to a server."""

    said: Said
    whole: str
    """prompt and answer in one text, control tokens included, as the policy spells them"""
    finish: str


@dataclass(frozen=True)
class Accord:
    """Accord's own words: {"answers": [{prompt, messages, response, finish}, …]} → {"scores"}."""

    def ask(self, few: Sequence[Sent]) -> dict[str, Any]:
        """The body of a request."""
        return {
            "answers": [
                {
                    "prompt": one.said.prompt,
                    "messages": one.said.messages,
                    "response": one.said.answer,
                    "finish": one.finish,
                }
                for one in few
            ]
        }

    def scores(self, told: dict[str, Any]) -> list[Any]:
        """Of each answer what the server said; LookupError or TypeError where it is not there."""
        return list(told["scores"])


@dataclass(frozen=True)
class OpenRLHF:
    """What its reward servers speak: {"query": […], "prompts": […]} → {"rewards": […]}."""

    def ask(self, few: Sequence[Sent]) -> dict[str, Any]:
        """The body of a request."""
        return {"query": [s.whole for s in few], "prompts": [s.said.prompt for s in few]}

    def scores(self, told: dict[str, Any]) -> list[Any]:
        """Of each answer what the server said."""
        return [_only(given) for given in told["rewards"]]


@dataclass(frozen=True)
class VLLM:
    """vLLM's /classify and /pooling: {"model", "input": […]} → {"data": [{probs or data}, …]}."""

    model: str | None = None
    """the model to ask for; none: the only one that is served"""
    label: int | None = None
    """number of the wanted label, where there are several"""

    def ask(self, few: Sequence[Sent]) -> dict[str, Any]:
        """The body of a request."""
        named = {"model": self.model} if self.model is not None else {}
        return {**named, "input": [one.whole for one in few]}

    def scores(self, told: dict[str, Any]) -> list[Any]:
        """Of each answer what the server said, in the order that it was asked in."""
        rows = sorted(told["data"], key=lambda row: row["index"])
        given = [row["probs"] if "probs" in row else row["data"] for row in rows]
        return [_only(one) if self.label is None else one[self.label] for one in given]


@dataclass(frozen=True)
class Server:
    """How a reward server is spoken to."""

    speaks: Accord | OpenRLHF | VLLM = Accord()
    """the protocol"""
    batch: Count = 32
    """answers in one request"""
    at_once: Count = 4
    """requests under way at a time"""
    seconds: Above0 = 60.0
    """the longest that one request may take, its reply included"""
    tries: Count = 5
    """how often a request is made where the server is silent, busy or broken"""
    pause: Above0 = 0.5
    """seconds before the second try; twice as long before each further one"""
    token: str | None = None
    """name of the environment variable that holds the access token"""
    header: str = "Authorization"
    """the header that carries it: as `Bearer …` in Authorization, bare in any other"""


class Remote:
    """Scores by a server.

    One that is busy or away is asked again; one that stays away, or says what nobody can read,
    ends the run with NoAnswer, and the same command goes on from the last commit.
    """

    def __init__(self, url: str, reader: Reader, server: Server = Server()):
        self.url, self.reader, self.server = url, reader, server
        self._at = urlsplit(url)
        if self._at.username or self._at.password:
            raise BadSettings(
                "a password in reward=http://… would be written into artifacts and logs; put it in "
                "an environment variable and say http.token=ITS_NAME"
            )
        if not self._at.hostname:
            raise BadSettings(f"reward={url}: there is no host in it")
        self._token = secret(server.token, "http.token")
        self._lock = threading.Lock()
        self.model: str | None = None
        """what the server calls its model, if it says"""
        if isinstance(server.speaks, Accord):  # a greeting: is it there, and who is it
            self._request([])

    @property
    def which(self) -> str:
        """The address, the protocol, and what the server calls its model."""
        model = self.model or getattr(self.server.speaks, "model", None) or "unnamed"
        return f"server {self.url} {self.server.speaks} model {model}"

    def __call__(self, rollouts: Sequence[Rollout]) -> list[Score]:
        """One score per rollout."""
        sent = [
            Sent(said, self.reader.whole(rollout), rollout.finish)
            for said, rollout in zip(self.reader(rollouts), rollouts, strict=True)
        ]
        size = self.server.batch
        lots = [sent[at : at + size] for at in range(0, len(sent), size)]
        pool = ThreadPoolExecutor(self.server.at_once)
        try:
            return [score for scores in pool.map(self._request, lots) for score in scores]
        finally:
            pool.shutdown(cancel_futures=True)

    def _request(self, few: Sequence[Sent]) -> list[Score]:
        most = LARGEST[0] + len(few) * LARGEST[1]
        body = self._post(json.dumps(self.server.speaks.ask(few)).encode(), most)
        try:
            told = json.loads(body)
            scores = self.server.speaks.scores(told)
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise self._odd("gave a reply that cannot be read", body) from error
        if len(scores) != len(few):
            raise self._odd(f"gave {len(scores)} scores for {len(few)} answers", body)
        self._recognise(told.get("model"))
        return [_score(given) for given in scores]

    def _recognise(self, model: object) -> None:
        with self._lock:
            if isinstance(model, str) and self.model is None:
                self.model = model
            if isinstance(model, str) and model != self.model:
                raise RunMismatch(
                    f"{self.url} answered as {self.model!r} and now as {model!r}: scores of two "
                    "models do not compare; serve the first again, or begin another run"
                )

    def _post(self, body: bytes, most: int) -> bytes:
        why = ""
        for n in range(self.server.tries):
            wait = min(PATIENCE, self.server.pause * 2 ** (n - 1)) if n else 0.0
            time.sleep(wait)
            try:
                status, reply = self._once(body, most)
            except TimeoutError:
                why = f"no reply within {self.server.seconds:g} s"
                continue
            except (OSError, HTTPException) as error:
                why = f"{type(error).__name__}: {error}"
                continue
            if status == 200 and len(reply) > most:
                raise self._odd(f"gave a reply of more than {most:,} bytes", reply)
            if status == 200:
                return reply
            if not passes(status):
                raise self._odd(f"refused with status {status}", reply)
            why = f"status {status}: {self._quoted(reply)}"
        raise NoAnswer(
            f"{self.url}: no scores after {self.server.tries} tries ({why}); see to the server, "
            "then the same command goes on from the last commit"
        )

    def _once(self, body: bytes, most: int) -> tuple[int, bytes]:
        """One request; of its reply `most` bytes are read, and one more where there are more.

        TimeoutError where the whole of it takes too long, a trickle included.
        """
        kind = HTTPSConnection if self._at.scheme == "https" else HTTPConnection
        line = kind(self._at.hostname or "", self._at.port, timeout=self.server.seconds)
        late = threading.Event()
        line.connect()
        socket = line.sock

        def hang_up() -> None:
            late.set()
            with suppress(OSError):  # it may be over by now
                socket.shutdown(SHUT_RDWR)

        timer = threading.Timer(self.server.seconds, hang_up)
        timer.daemon = True
        timer.start()
        try:
            path = (self._at.path or "/") + (f"?{self._at.query}" if self._at.query else "")
            line.request("POST", path, body, self._headers())
            reply = line.getresponse()
            said = reply.read(most + 1)
            if reply.length and len(said) <= most:  # it hung up in mid-sentence
                raise IncompleteRead(said, reply.length)
            if not late.is_set():
                return reply.status, said
        except (OSError, HTTPException):
            if not late.is_set():
                raise
        finally:
            timer.cancel()
            line.close()
        raise TimeoutError

    def _headers(self) -> dict[str, str]:
        told = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._token is None:
            return told
        bearer = self.server.header.lower() == "authorization"
        return told | {self.server.header: f"Bearer {self._token}" if bearer else self._token}

    def _odd(self, what: str, body: bytes) -> NoAnswer:
        return NoAnswer(f"{self.url} {what}: {self._quoted(body)}")

    def _quoted(self, body: bytes) -> str:
        """The beginning of a reply, the token taken out should the server echo it."""
        text = body.decode(errors="replace")
        text = text.replace(self._token, "…") if self._token else text
        return repr(text[:SHOWN] + ("…" if len(text) > SHOWN else ""))


def _only(given: Any) -> Any:
    """A number, also where it comes as a list of one."""
    if isinstance(given, list) and len(given) != 1:
        raise TypeError(f"{len(given)} numbers for one answer")
    return given[0] if isinstance(given, list) else given


def _shown(given: Any) -> str:
    try:
        said = json.dumps(given)
    except RecursionError:
        return "lists in lists without end"
    return said[:SHOWN] + ("…" if len(said) > SHOWN else "")


def _score(given: Any) -> Score:
    """A number; a text is the reason why there is none."""
    if isinstance(given, str):
        return Invalid(given)
    if given is None or isinstance(given, bool) or not isinstance(given, int | float):
        return Invalid(f"the server gave {_shown(given)}")
    try:
        score = float(given)
    except OverflowError:
        return Invalid("the score is a whole number beyond all measure")
    return score if abs(score) < float("inf") else Invalid(f"the score is {given}")
