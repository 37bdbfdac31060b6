"""The answers a run showed: where each lies in its file, so that all of them can be paged through
while none of them is kept in memory."""

import json
import re
import threading
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.web.tail import Tail, line_at

KNOWN = ("step", "prompt", "response", "score", "reward", "kl", "finish", "id", "seq")
PAGE = 8


@dataclass(frozen=True)
class Sample:
    """One answer, as it was written."""

    step: int
    place: int
    """its number among all samples of the run"""
    prompt: str
    response: str
    score: float | None
    kl: float | None
    finish: str
    more: dict[str, Any]
    """what else the run told of it"""


@dataclass(frozen=True)
class Page:
    """A few samples of many."""

    samples: list[Sample]
    total: int
    """that fit what was asked"""
    page: int
    pages: int


class Samples:
    """An index of samples.jsonl, brought up to date as it grows."""

    def __init__(self, path: Path):
        self.path = path
        self._tail = Tail(path)
        self._lock = threading.Lock()
        self._clear()

    def _clear(self) -> None:
        self.steps, self.offsets = array("q"), array("q")
        self.prompts = array("L")
        """a sum of each prompt's text: the same prompt at another step has the same"""
        self.scores = array("d")

    @property
    def size(self) -> int:
        """Bytes of the index."""
        return 32 * len(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def refresh(self) -> "Samples":
        """Read what was written since."""
        with self._lock:
            if self._tail.cut():
                self._tail = Tail(self.path)
                self._clear()
            while rows := self._tail.read():
                for offset, row in rows:
                    self._note(offset, row)
        return self

    def _note(self, offset: int, row: dict[str, Any]) -> None:
        step = row.get("step")
        if type(step) is not int or (self.steps and step < self.steps[-1]):
            return
        self.steps.append(step)
        self.offsets.append(offset)
        self.prompts.append(prompt_sum(row.get("prompt", "")))
        score = _number(row.get("score", row.get("reward")))
        self.scores.append(score if score is not None else float("nan"))

    def turns(self) -> list[int]:
        """The steps that have samples, each once."""
        found, i = [], 0
        while i < len(self.steps):
            found.append(self.steps[i])
            i = bisect_right(self.steps, self.steps[i])
        return found

    def returning(self) -> list[tuple[int, int]]:
        """(prompt, at how many steps) of the prompts that were shown at more than one step, the
        most frequent first."""
        seen: dict[int, set[int]] = {}
        for step, prompt in zip(self.steps, self.prompts):
            seen.setdefault(prompt, set()).add(step)
        again = [(prompt, len(steps)) for prompt, steps in seen.items() if len(steps) > 1]
        return sorted(again, key=lambda one: -one[1])

    def at(self, place: int) -> Sample | None:
        """One sample, read from the file."""
        row = line_at(self.path, self.offsets[place])
        return sample(row, place) if row else None

    def page(
        self,
        *,
        step: int | None = None,
        prompt: int | None = None,
        words: str = "",
        sort: str = "order",
        page: int = 1,
        per: int = PAGE,
    ) -> Page:
        """Samples of a step, of a prompt across steps, or of all; with these words in them."""
        first = 0 if step is None else bisect_left(self.steps, step)
        end = len(self.steps) if step is None else bisect_right(self.steps, step)
        places = [i for i in range(first, end) if prompt is None or self.prompts[i] == prompt]
        if words:
            places = list(self._saying(places, words.casefold()))
        if sort in ("best", "worst"):
            sign = -1 if sort == "best" else 1
            scored = [i for i in places if self.scores[i] == self.scores[i]]
            scored.sort(key=lambda i: sign * self.scores[i])
            places = scored + [i for i in places if self.scores[i] != self.scores[i]]
        pages = max(1, -(-len(places) // per))
        page = min(max(1, page), pages)
        few = (self.at(i) for i in places[(page - 1) * per : page * per])
        return Page([one for one in few if one], len(places), page, pages)

    def _saying(self, places: list[int], words: str) -> Iterator[int]:
        """Of these places, those whose prompt or answer has the words."""
        plain = re.fullmatch("[a-z0-9 ]+", words)  # as they are in the file, whatever is escaped
        raw = words.encode()
        try:
            with self.path.open("rb") as file:
                for place in places:
                    file.seek(self.offsets[place])
                    line = file.readline()
                    if plain and raw not in line.lower():
                        continue
                    found = sample(json.loads(line), place)
                    if words in f"{found.prompt}\n{found.response}".casefold():
                        yield place
        except (OSError, ValueError, TypeError, AttributeError):
            return  # the file was cut meanwhile; what is gone is not found


def sample(row: dict[str, Any], place: int) -> Sample:
    """A line as a sample; whatever it lacks is empty."""
    score = row.get("score", row.get("reward"))
    return Sample(
        step=row.get("step", 0),
        place=place,
        prompt=_text(row.get("prompt", "")),
        response=_text(row.get("response", "")),
        score=_number(score),
        kl=_number(row.get("kl")),
        finish=str(row.get("finish") or ""),
        more=dict(_more(row)),
    )


def prompt_sum(prompt: Any) -> int:
    """Which prompt it is: a sum of its text."""
    return zlib.crc32(_text(prompt).encode("utf-8", "replace"))


def _more(row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        if key not in KNOWN and value is not None:
            short = value if isinstance(value, str | int | float) else json.dumps(value)
            yield key, f"{short:.4g}" if isinstance(short, float) else short


def _text(thing: Any) -> str:
    if isinstance(thing, str):
        return thing
    if isinstance(thing, list) and all(isinstance(one, dict) for one in thing):  # messages
        return "\n\n".join(f"{one.get('role', '')}: {one.get('content', '')}" for one in thing)
    return "" if thing is None else json.dumps(thing, ensure_ascii=False)


def _number(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
        return float(value)
    return None
