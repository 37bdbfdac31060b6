"""JSON as rows: one object a line, or a document that is streamed where it is an array."""

import codecs
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from accord.data import opening
from accord.data.opening import CHUNK, Rows, opened
from accord.data.pieces import Flaw


def json_lines(path: Path) -> Rows:
    """One object a line; blank lines are passed over, and of giants no more is held than fits."""
    most = opening.GIANT
    with opened(path) as file:
        line = 0
        while raw := file.readline(most + 1):
            line += 1
            if len(raw) > most and not raw.endswith(b"\n"):
                while (rest := file.readline(CHUNK)) and not rest.endswith(b"\n"):
                    pass
                yield line, Flaw("line too long", f"the line has more than {most} bytes")
            elif raw.removeprefix(codecs.BOM_UTF8).strip():
                yield line, parsed(raw)


def parsed(raw: bytes) -> object:
    """What a line of JSON holds, or the flaw that it has."""
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Flaw("not UTF-8", f"byte {error.start + 1} of the line is not UTF-8")
    except (ValueError, RecursionError) as error:
        return Flaw("not JSON", f"the line is not JSON ({error})")


def json_document(path: Path) -> Rows:
    """An array, streamed; an object that holds one array of rows; or lines under the wrong name."""
    with opened(path) as file:
        start = file.read(CHUNK).decode("utf-8-sig", errors="ignore").lstrip()
    if start.startswith("["):
        yield from _array(path)
    elif start.startswith("{") and not isinstance(next(json_lines(path))[1], Flaw):
        yield from _lines_or_one(path)
    else:
        yield from _document(path)


def _lines_or_one(path: Path) -> Rows:
    """A file whose first line is an object: lines, or that object alone."""
    lines = json_lines(path)
    first, second = next(lines), next(lines, None)
    if second is None:
        yield from _inside(first[1])
    else:
        yield first
        yield second
        yield from lines


def _document(path: Path) -> Rows:
    with opened(path) as file:
        raw = file.read(opening.GIANT + 1)
    if len(raw) > opening.GIANT:
        raise ValueError(f"one object of more than {opening.GIANT} bytes: write one row a line")
    yield from _inside(json.loads(raw.decode("utf-8-sig")))


def _inside(whole: object) -> Rows:
    lists = [v for v in whole.values() if isinstance(v, list)] if isinstance(whole, dict) else []
    rows = lists[0] if len(lists) == 1 and isinstance(whole, dict) and len(whole) <= 3 else None
    if rows and all(isinstance(row, dict) and row.keys() - {"role", "content"} for row in rows):
        yield from enumerate(rows, 1)
    else:
        yield 1, whole


GAP = re.compile(r"[ \t\r\n]*")


class _Text:
    """Text that is read as far as it is looked at, and forgotten behind the place."""

    def __init__(self, pieces: Iterator[str]):
        self.pieces, self.text, self.at = pieces, "", 0

    def grow(self) -> bool:
        """As much again as is there, so that a giant is not parsed again for every piece."""
        self.text, self.at = self.text[self.at :], 0
        got, goal = [], len(self.text) + 1
        while goal > 0 and (piece := next(self.pieces, None)) is not None:
            got.append(piece)
            goal -= len(piece)
        self.text += "".join(got)
        if len(self.text) > opening.GIANT:
            raise ValueError(f"an element of more than {opening.GIANT} characters")
        return bool(got)

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            found = GAP.match(self.text, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.text) or not self.grow():
                return self.text[self.at : self.at + 1]

    def take(self, decode: Callable[[str, int], tuple[object, int]]) -> object:
        """The JSON value that begins here."""
        while True:
            try:
                row, end = decode(self.text, self.at)
            except json.JSONDecodeError:
                if not self.grow():
                    raise
                continue
            if end == len(self.text) and self.grow():
                continue  # a number may go on
            self.at = end if end <= len(self.text) else self.at
            if self.at > 4 * CHUNK:
                self.text, self.at = self.text[self.at :], 0
            return row


def _array(path: Path) -> Rows:
    """The elements of an array, one after the other, of whatever length the file is."""
    decode = json.JSONDecoder().raw_decode
    with opened(path) as file:
        text = _Text(codecs.iterdecode(iter(lambda: file.read(CHUNK), b""), "utf-8-sig"))
        text.peek()
        text.at += 1  # the bracket
        number = 0
        while text.peek() != "]":
            if number:
                if text.peek() != ",":
                    raise ValueError("the array does not end, or a comma is missing")
                text.at += 1
                text.peek()
            number += 1
            yield number, text.take(decode)
        text.at += 1
        if text.peek():
            raise ValueError("something follows the end of the array")
