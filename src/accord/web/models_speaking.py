"""An answer while it is being said: by threads of its own, kept whether or not a tab is looking."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException
from fastapi.sse import ServerSentEvent

from accord.errors import AccordError
from accord.web.security import Limit, Reader
from accord.web.talking import Said, Voice, Wish, together

log = logging.getLogger(__name__)
POLL_S = 0.04
PATIENT_S = 1.0
"""after which a listener is told that a model is being started"""
LINGER = 200
"""conversations whose last answer is still known here"""
ANSWERS = Limit(60, 60)
"""answers a person may ask for in a minute"""


def spend(user: Reader) -> None:
    """429 for who asks too fast.  A dependency: once a stream has begun nothing can be refused."""
    ANSWERS.spend(user.id)


@dataclass
class Part:
    """What one model has said so far."""

    text: str = ""
    end: str = ""
    wrong: str = ""


class Speaking:
    """One or two answers that are under way.

    `finish` is told the parts once all have ended, or were stopped; what it returns is the last
    thing every listener hears.
    """

    def __init__(
        self,
        voices: Callable[[], Sequence[Voice]],
        messages: Sequence[dict[str, Any]],
        wishes: Sequence[Wish],
        finish: Callable[[list[Part]], dict[str, Any]],
        down: threading.Event,
    ):
        self.parts = [Part() for _ in wishes]
        self.result: dict[str, Any] | None = None
        self.begun = False
        """whether the models have been reached: a folder's process may have to start first"""
        self.stop = threading.Event()
        self._told = (voices, messages, wishes, finish)
        self._down = down
        self._thread = threading.Thread(target=self._speak, daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether the result is known."""
        return self.result is not None

    def wait(self, seconds: float = 30.0) -> None:
        """Until it is over."""
        self._thread.join(seconds)

    def _speak(self) -> None:
        voices, messages, wishes, finish = self._told
        try:
            found = voices()
            self.begun = True
            pieces = together(found, messages, wishes, self._down)
            for one in pieces:
                self._take(one)
                if self.stop.is_set():
                    break
            pieces.close()  # type: ignore[attr-defined]
            for part in self.parts:
                part.end = part.end or ("" if part.wrong else "stopped")
        except AccordError as error:
            self._fail(str(error))
        except HTTPException as error:  # a model that was taken away since
            self._fail(str(error.detail))
        except Exception:
            log.exception("an answer failed")
            self._fail("the answer failed; the server's log says why")
        try:
            self.result = finish(self.parts)
        except AccordError as error:
            self.result = {"wrong": str(error)}
        except Exception:
            log.exception("an answer could not be kept")
            self.result = {"wrong": "the answer could not be kept; the server's log says why"}

    def _fail(self, why: str) -> None:
        for part in self.parts:
            part.wrong = why

    def _take(self, one: Said) -> None:
        part = self.parts[one.place]
        part.text += one.text
        part.end, part.wrong = one.end or part.end, one.wrong or part.wrong

    async def listen(self) -> AsyncIterator[ServerSentEvent]:
        """Everything from the beginning on: pieces as they come, then the result."""
        told, waited, patient = [0] * len(self.parts), 0.0, True
        while not self._down.is_set():
            over = self.over
            for place, part in enumerate(self.parts):
                if new := part.text[told[place] :]:
                    told[place] += len(new)
                    yield ServerSentEvent(event="piece", data={"place": place, "text": new})
            if over:
                yield ServerSentEvent(event="done", data=self.result)
                return
            if patient and not self.begun and waited > PATIENT_S:
                patient = False
                yield ServerSentEvent(event="starting", data={})
            await asyncio.sleep(POLL_S)
            waited += POLL_S


class Room:
    """Who is speaking in which conversation."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: dict[int, Speaking] = {}

    def get(self, chat_id: int) -> Speaking | None:
        """The answer under way there, or the last one."""
        with self._lock:
            return self._now.get(chat_id)

    def busy(self, chat_id: int) -> bool:
        """Whether an answer is under way."""
        found = self.get(chat_id)
        return found is not None and not found.over

    def put(self, chat_id: int, make: Callable[[], Speaking]) -> Speaking:
        """Begin an answer, unless one is under way: then that one."""
        with self._lock:
            found = self._now.get(chat_id)
            if found is None or found.over:
                found = self._now[chat_id] = make()
            for old in [key for key, one in self._now.items() if one.over][:-LINGER]:
                del self._now[old]
            return found


_making = threading.Lock()


def room(app: Any) -> Room:
    """That of this site."""
    with _making:
        found: Room | None = getattr(app.state, "room", None)
        if found is None:
            found = app.state.room = Room()
    return found
