"""An answer's text while it is being written, and the bytes of single tokens."""

import re
from collections.abc import Sequence
from functools import cache

from accord.text.tokenizer import Speller

_HALF = "\ufffd"
"""what a decoder writes for bytes that are no whole character yet"""


class Hearing:
    """Turns ids into text as they come; what was given out is never taken back.

    All pieces together are `Speller.text` of the ids, up to the first stop.  Held back is what may
    still change: half characters, the beginning of a stop, the template's closing.
    """

    def __init__(self, speller: Speller, stops: Sequence[str] = ()):
        self._speller, self._stops = speller, tuple(stops)
        self._lead, self._closing = speller.frame
        self._ids: list[int] = []
        self._read = self._done = 0
        """decoded from here, so that the piece has its neighbour; given out up to here"""
        self._held = ""
        self._led = not self._lead
        self.stopped = False
        """whether a stop was found; what comes afterwards is not heard"""

    def add(self, i: int) -> str:
        """One more id of the answer, which is no end; the text that is now certain."""
        self._ids.append(i)
        return self._out(self._decoded(whole=False), last=False)

    def end(self) -> str:
        """The rest, where nothing comes any more."""
        return self._out(self._decoded(whole=True), last=True)

    def _decoded(self, *, whole: bool) -> str:
        before = self._speller.raw(self._ids[self._read : self._done])
        after = self._speller.raw(self._ids[self._read :])
        if len(after) <= len(before) or (after.endswith(_HALF) and not whole):
            return ""
        self._read, self._done = self._done, len(self._ids)
        return after[len(before) :]

    def _out(self, new: str, *, last: bool) -> str:
        if self.stopped:
            return ""
        text = self._held + new
        if not self._led:
            if len(text) < len(self._lead) and self._lead.startswith(text) and not last:
                self._held = text
                return ""
            text, self._led = text.removeprefix(self._lead), True
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.stopped, self._held = True, ""
            return text[: min(places)]
        if last:
            self._held = ""
            return text.removesuffix(self._closing)
        kept = max((_begun(text, word) for word in (*self._stops, self._closing)), default=0)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept]


def _begun(text: str, word: str) -> int:
    """How many of the last characters of a text may be the beginning of a word."""
    most = min(len(text), len(word))
    return next((n for n in range(most, 0, -1) if word.startswith(text[-n:])), 0)


def token_bytes(speller: Speller, i: int) -> bytes:
    """What one token stands for in the middle of a text, in UTF-8; halves of characters too."""
    name = speller.name(i)
    if i in speller.controls or not name:
        return name.encode()
    kinds = speller.decoders
    if "ByteLevel" in kinds and all(char in _letters() for char in name):
        return bytes(_letters()[char] for char in name)
    if "ByteFallback" in kinds and (byte := re.fullmatch(r"<0x([0-9A-F]{2})>", name)):
        return bytes([int(byte[1], 16)])
    if {"Metaspace", "Replace"} & kinds:
        return name.replace("\u2581", " ").encode()
    return speller.raw([i]).encode()


@cache
def _letters() -> dict[str, int]:
    """The letters that byte-level vocabularies write bytes with (GPT-2's bytes_to_unicode)."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in seen]
    return {chr(b): b for b in seen} | {chr(256 + n): b for n, b in enumerate(rest)}
