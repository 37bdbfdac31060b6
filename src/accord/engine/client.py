"""A server that speaks OpenAI's protocol over HTTP: many requests at once, each seen through.

What may pass by itself (silence, 429, 5xx, a reply that is no JSON) is tried again with growing
pauses; a server that answers nobody any more ends in NoAnswer; a single request that it will not
answer while others go through is `Invalid`.
"""

import asyncio
import contextlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from queue import SimpleQueue
from typing import Any

from accord.config.limits import Above0, Count
from accord.config.secrets import secret
from accord.errors import BadSettings, NoAnswer
from accord.records import Invalid

AGAIN = (408, 409, 425, 429)
"""statuses that may pass by themselves; so may those from 500 on, a proxy's own (52x) among them"""
OURS = (401, 402, 403, 404, 405)
"""statuses that every further request would meet too; so are those of a move (3xx)"""
PATIENCE = 60.0
"""the longest pause between two tries that we choose; a server may ask for a longer one"""
LONG = 5.0
"""a pause of so many seconds is told"""
SHOWN = 200
"""characters of a reply that an error quotes"""
_DICE = random.Random()
"""so that those who were turned away together do not come back together"""
Body = Mapping[str, Any]
Call = tuple[str, Body | None]
"""a path below the address, and what is sent there"""
Reply = dict[str, Any] | Invalid


@dataclass(frozen=True)
class Endpoint:
    """How a model server is spoken to."""

    key: str | None = None
    """name of the environment variable that holds the API key"""
    at_once: Count = 4
    """requests under way at a time"""
    per_minute: Count | None = None
    """the most requests begun in a minute, where the server has such a limit"""
    seconds: Above0 = 120.0
    """the longest that one request may take"""
    tries: Count = 5
    """how often a request is made where the server is silent, busy or broken"""
    pause: Above0 = 0.5
    """seconds before the second try; twice as long before each further one"""
    longest_wait: Above0 = 600.0
    """the longest that a server may ask us to wait (Retry-After) before we give up, seconds"""

    def secret(self) -> str | None:
        """The key; BadSettings where the environment has none by that name."""
        return secret(self.key, "http.key")


@dataclass
class _Seen:
    """What the server has done so far."""

    last: float = 0.0
    """when it last answered properly"""
    begun: float = -1e9
    """when a request may begin, by the limit of requests a minute"""
    told: float = field(default=-1e9)


class Client:
    """One model at one address: `http://host:8000/v1` or, of several, `…/v1#name`."""

    def __init__(
        self, url: str, how: Endpoint = Endpoint(), tell: Callable[[str], None] = lambda _: None
    ):
        self.url, _, self.model = url.partition("#")
        self.url = self.url.rstrip("/")
        if "@" in self.url.split("://", 1)[-1].split("/", 1)[0]:
            raise BadSettings(
                "a password in http://… would be written into artifacts and logs; put it in an "
                "environment variable and say http.key=ITS_NAME"
            )
        self.how, self.tell = how, tell
        self._secret = how.secret()
        self._seen = _Seen()
        self.model = self.model or self._only()

    @property
    def which(self) -> str:
        """Address and name."""
        return f"{self.url}#{self.model}"

    @property
    def _tries(self) -> str:
        return f"{self.how.tries} {'try' if self.how.tries == 1 else 'tries'}"

    def post(self, path: str, body: Body | None) -> Reply:
        """One request; without a body it is a GET."""
        return next(iter(self.answered([(path, body)])))[1]

    def answered(self, calls: Iterable[Call]) -> Iterator[tuple[int, Reply]]:
        """(which call, its reply) as they come, `at_once` under way at a time.

        `calls` are drawn one by one, each when there is room for it.  NoAnswer where the server is
        gone; what was answered before has been given by then.
        """
        heard: SimpleQueue[tuple[int, Reply] | BaseException | None] = SimpleQueue()
        loop = asyncio.new_event_loop()
        work = loop.create_task(self._all(enumerate(calls), heard.put))

        def run() -> None:
            with contextlib.closing(loop):
                try:
                    loop.run_until_complete(work)
                    heard.put(None)
                except BaseExceptionGroup as several:
                    heard.put(several.exceptions[0])
                except BaseException as error:  # noqa: BLE001  raised again where it is read
                    heard.put(error)

        # a loop of its own thread: who calls may stand in another loop
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            while (given := heard.get()) is not None:
                if isinstance(given, BaseException):
                    raise given
                yield given
        finally:
            if not work.done():
                loop.call_soon_threadsafe(work.cancel)
            thread.join()

    async def _all(
        self,
        calls: Iterable[tuple[int, Call]],
        put: Callable[[tuple[int, Reply]], None],
    ) -> None:
        async def serve() -> None:
            for place, (path, body) in calls:
                put((place, await self._patient(http, path, body)))

        async with self._http() as http, asyncio.TaskGroup() as group:
            for _ in range(self.how.at_once):
                group.create_task(serve())

    def _http(self) -> Any:
        import httpx

        headers = {"Authorization": f"Bearer {self._secret}"} if self._secret else {}
        limits = httpx.Limits(max_connections=self.how.at_once)
        return httpx.AsyncClient(headers=headers, timeout=self.how.seconds, limits=limits)

    async def _patient(self, http: Any, path: str, body: Body | None) -> Reply:
        """A reply, after as many tries as it takes."""
        begun, why, pause = time.monotonic(), "", 0.0
        for n in range(self.how.tries):
            await self._wait(pause, why)
            await self._turn()
            pause = min(PATIENCE, self.how.pause * 2**n) * _DICE.uniform(0.75, 1.25)
            status, text, asked = await self._once(http, path, body)
            if status == 200:
                told = _object(text)
                if told is not None:
                    self._seen.last = time.monotonic()
                    return told
                why = f"a reply that is no JSON object: {self._quoted(text)}"
                continue
            why = f"status {status}: {self._quoted(text)}" if status else text
            if status in OURS or 300 <= status < 400:
                raise NoAnswer(f"{self.url} refused with {why}")
            if status and not passes(status):
                self._seen.last = time.monotonic()  # it is there, and dislikes this one
                return Invalid(f"{self.url} refused with {why}")
            if asked > self.how.longest_wait:
                raise NoAnswer(
                    f"{self.url} asks to wait {asked:.0f} s ({why}), longer than "
                    f"http.longest_wait={self.how.longest_wait:g}: the same command later goes on"
                )
            pause = max(pause, asked)
        if self._seen.last > begun:  # it answers others
            return Invalid(f"{self.url}: no answer after {self._tries} ({why})")
        raise NoAnswer(
            f"{self.url}: no answer after {self._tries} ({why}); see to the server, then "
            "the same command goes on with what is still to be asked"
        )

    async def _once(self, http: Any, path: str, body: Body | None) -> tuple[int, str, float]:
        """(status, text, seconds it asks us to wait); status 0 where nothing came."""
        import httpx

        verb = "GET" if body is None else "POST"
        try:
            async with asyncio.timeout(self.how.seconds):  # of all of it, a trickle included
                reply = await http.request(verb, self.url + path, json=body)
        except TimeoutError:
            return 0, f"no reply within {self.how.seconds:g} s", 0.0
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return 0, f"{type(error).__name__}: {error}", 0.0
        except ValueError as error:  # bytes that are no text
            return 0, f"a reply that cannot be read: {error}", 0.0
        return reply.status_code, reply.text, _after(reply.headers.get("retry-after", ""))

    async def _wait(self, pause: float, why: str) -> None:
        now = time.monotonic()
        if pause >= LONG and now - self._seen.told > LONG:
            self._seen.told = now
            self.tell(f"{self.url}: waiting {pause:.0f} s ({why})")
        await asyncio.sleep(pause)

    async def _turn(self) -> None:
        """Waits until the limit of requests a minute lets another begin."""
        if self.how.per_minute:
            now = time.monotonic()
            self._seen.begun = max(now, self._seen.begun + 60.0 / self.how.per_minute)
            await asyncio.sleep(self._seen.begun - now)

    def _only(self) -> str:
        """The name of the only model that is served."""
        told = self.post("/models", None)
        data = told.get("data", []) if isinstance(told, dict) else []
        names = [one.get("id") for one in data if isinstance(one, dict)]
        if len(names) != 1:
            shown = ", ".join(map(str, names[:8])) or "none"
            raise BadSettings(f"{self.url}: it serves {shown}; say which: {self.url}#NAME")
        return str(names[0])

    def odd(self, what: str, told: Any) -> str:
        """A sentence about a reply that is not as it should be."""
        return f"{self.url} {what}: {self._quoted(json.dumps(told, ensure_ascii=False))}"

    def _quoted(self, text: str) -> str:
        text = text.replace(self._secret, "…") if self._secret else text
        return repr(text[:SHOWN] + ("…" if len(text) > SHOWN else ""))


def passes(status: int) -> bool:
    """Whether what a server refused with this status may go by itself."""
    return status in AGAIN or status >= 500


def _object(text: str) -> dict[str, Any] | None:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _after(said: str) -> float:
    """Seconds of a Retry-After header: a number, or a date (RFC 9110, 10.2.3)."""
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0
