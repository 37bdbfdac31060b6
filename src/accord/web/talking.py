"""Talking to models through the OpenAI protocol: one at a time, or two at once.  No torch: a model
of this machine lives in a process of its own."""

import json
import logging
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from accord.errors import BadData, NoAnswer

log = logging.getLogger(__name__)
CONNECT_S = 10.0
QUIET_S = 120.0
"""how long a model may think between two words"""
WAIT_S = 0.5
LONGEST = 200_000
"""characters of an answer: a server may never come to an end"""
LINE = 1_000_000
"""bytes of one piece as it is sent"""


@dataclass(frozen=True)
class Voice:
    """A model that answers at an address."""

    url: str
    """base, as the `openai` client takes it: ends in /v1"""
    model: str
    token: str = field(default="", repr=False)
    name: str = ""
    """what people call it"""

    @property
    def called(self) -> str:
        """The name in a sentence."""
        return self.name or self.model

    def veiled(self, text: str) -> str:
        """What a server says, without the key should it say that too."""
        return text.replace(self.token, "…") if self.token else text


@dataclass(frozen=True)
class Wish:
    """How an answer is drawn."""

    temperature: float = 1.0
    longest: int = 512
    """tokens"""
    seed: int | None = None


@dataclass(frozen=True)
class Said:
    """A piece of an answer, or (`end`) why it ended; `wrong` says what went wrong instead."""

    place: int
    text: str = ""
    end: str = ""
    wrong: str = ""


def stream(
    voice: Voice, messages: Sequence[Mapping[str, Any]], wish: Wish, stop: threading.Event
) -> Iterator[tuple[str, str]]:
    """(text, "") piece by piece, at last ("", why it ended): stop | length | cut.

    NoAnswer, in one sentence, where the model cannot be reached or does not speak the protocol.
    """
    body = {
        "model": voice.model,
        "messages": spoken(messages),
        "stream": True,
        "temperature": wish.temperature,
        "max_tokens": wish.longest,
    } | ({} if wish.seed is None else {"seed": wish.seed})
    timeout = httpx.Timeout(QUIET_S, connect=CONNECT_S)
    headers = {"authorization": f"Bearer {voice.token}"} if voice.token else {}
    called = voice.called
    try:
        with (
            httpx.Client(timeout=timeout, headers=headers, trust_env=False) as client,
            client.stream("POST", f"{voice.url.rstrip('/')}/chat/completions", json=body) as answer,
        ):
            if answer.status_code != 200:
                answer.read()
                raise NoAnswer(f"{called} answered {answer.status_code}: {_why(answer, voice)}")
            yield from _pieces(answer, voice, stop)
    except httpx.HTTPError as error:
        raise NoAnswer(f"{called} cannot be reached: {error or type(error).__name__}") from None


def _pieces(
    answer: httpx.Response, voice: Voice, stop: threading.Event
) -> Iterator[tuple[str, str]]:
    end, length, called = "cut", 0, voice.called
    for line in map(voice.veiled, _lines(answer, called)):
        if stop.is_set():
            break
        if not line.startswith("data:"):
            continue
        data = line[5:].strip()
        if data == "[DONE]":
            break
        try:
            told = json.loads(data)
            if "error" in told:
                raise NoAnswer(f"{called}: {told['error'].get('message', told['error'])}")
            choice = told["choices"][0] if told["choices"] else {}
            text = (choice.get("delta") or {}).get("content") or ""
        except (ValueError, KeyError, TypeError, AttributeError):
            raise NoAnswer(f"{called} says what is no piece of an answer: {data[:80]}") from None
        if text:
            yield text[: LONGEST - length], ""
            length += len(text)
        if length >= LONGEST:
            end = "length"
            break
        end = choice.get("finish_reason") or end
    yield "", end


def _lines(answer: httpx.Response, called: str) -> Iterator[str]:
    """Its lines.  `iter_lines` splits at U+2028 and the like, which are text within JSON, and waits
    for the end of a line for as long as memory lasts.
    """
    held = b""
    for some in answer.iter_bytes():
        *lines, held = (held + some).split(b"\n")
        if len(held) > LINE:
            raise NoAnswer(f"{called} sent {len(held):,} bytes without an end of a line")
        yield from (line.decode(errors="replace") for line in lines)
    yield held.decode(errors="replace")


def _why(answer: httpx.Response, voice: Voice) -> str:
    try:
        told = answer.json()
        said = str(told.get("error", {}).get("message") or told.get("detail") or told)
    except (ValueError, AttributeError):
        said = answer.text
    return voice.veiled(said)[:200] or "no words"


def spoken(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Messages as the protocol has them, without facts, which are for judges alone.  BadData for a
    picture by its path: `pictures.sendable` puts itself there.
    """
    found = []
    for message in messages:
        content = message.get("content", "")
        if not isinstance(content, str):
            parts = [part for part in content if part.get("type") != "fact"]
            if any(part.get("type") not in ("text", "image_url") for part in parts):
                raise BadData("a picture cannot be sent by its path")
            seen = any(part["type"] == "image_url" for part in parts)
            content = parts if seen else "".join(part.get("text", "") for part in parts)
        found.append({"role": str(message["role"]), "content": content})
    return found


@dataclass
class _Choir:
    said: "queue.Queue[Said]" = field(default_factory=queue.Queue)
    stop: threading.Event = field(default_factory=threading.Event)


def together(
    voices: Sequence[Voice],
    messages: Sequence[Mapping[str, Any]],
    wishes: Sequence[Wish],
    stop: threading.Event,
) -> Iterator[Said]:
    """All answers at once, pieces as they come; each place ends with `end` or `wrong`.

    Once the iterator is closed, each answer is given up at its next piece.
    """
    choir = _Choir()

    def sing(place: int) -> None:
        try:
            for text, end in stream(voices[place], messages, wishes[place], choir.stop):
                choir.said.put(Said(place, text, end))
        except (NoAnswer, BadData) as error:
            choir.said.put(Said(place, wrong=str(error)))
        except Exception as error:  # whoever listens waits for an end of each
            log.exception("asking %s failed", voices[place].url)
            choir.said.put(Said(place, wrong=f"{voices[place].called} cannot be asked: {error}"))

    threads = [
        threading.Thread(target=sing, args=(place,), daemon=True) for place in range(len(voices))
    ]
    for thread in threads:
        thread.start()
    left = len(threads)
    try:
        while left and not stop.is_set():
            try:
                one = choir.said.get(timeout=WAIT_S)
            except queue.Empty:
                continue
            left -= bool(one.end or one.wrong)
            yield one
    finally:
        choir.stop.set()
