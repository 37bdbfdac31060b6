"""Following files that other processes add lines to."""

import contextlib
import json
import zlib
from pathlib import Path
from typing import Any

CHUNK = 4 << 20
"""bytes read at once: memory stays bounded however far behind one is"""
BEFORE = 64
"""bytes before the offset that must be what they were: a file cut and grown again is found out"""


class Tail:
    """The whole lines of a file of JSON objects, from where one stopped on.

    `mark` is a place as a word, for whoever wants to go on later: offset and a sum of the bytes
    before it.  A file that was cut back, as a run does that goes on from its last commit, is read
    from its beginning again; so is one that was cut and has grown since.
    """

    def __init__(self, path: Path, mark: str = ""):
        self.path = path
        self.offset, self.sum = _place(mark)
        self.bad = 0
        """whole lines that are no JSON object"""

    @property
    def mark(self) -> str:
        """The place that was come to."""
        return f"{self.offset}-{self.sum:08x}" if self.offset else "0"

    def size(self) -> int:
        """Bytes of the file; 0 where there is none yet."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def cut(self) -> bool:
        """Whether what was read is no longer what the file begins with; then all begins again."""
        if not self.offset:
            return False
        whole = self.size() >= self.offset
        if whole:
            with self.path.open("rb") as file:
                whole = zlib.crc32(_before(file, self.offset)) == self.sum
        if not whole:
            self.offset = self.sum = self.bad = 0
        return not whole

    def to_end(self) -> "Tail":
        """Pass over all whole lines there are, without reading them."""
        with contextlib.suppress(OSError), self.path.open("rb") as file:
            end = file.seek(0, 2)
            while end > 0:
                start = max(0, end - CHUNK)
                file.seek(start)
                if (found := file.read(end - start).rfind(b"\n")) >= 0:
                    self.offset = start + found + 1
                    self.sum = zlib.crc32(_before(file, self.offset))
                    break
                end = start
        return self

    def read(self) -> list[tuple[int, dict[str, Any]]]:
        """(where it begins, object) of new lines, at most CHUNK bytes; empty: there are no more.

        A last line without its end is left for later.  Ask `cut` first.
        """
        if self.size() <= self.offset:
            return []
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data = file.read(CHUNK)
            while (end := data.rfind(b"\n")) < 0 and (more := file.read(CHUNK)):
                data += more  # one line larger than that
            if end < 0:
                return []
            lines = data[: end + 1].splitlines(keepends=True)
            found, at = [], self.offset
            for line, row in zip(lines, _parsed(lines)):
                if isinstance(row, dict):
                    found.append((at, row))
                else:
                    self.bad += 1
                at += len(line)
            self.offset = at
            self.sum = zlib.crc32(_before(file, at))
        return found or self.read()


def line_at(path: Path, offset: int) -> dict[str, Any] | None:
    """The object whose line begins there; None where none does (the file was cut meanwhile)."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            row = json.loads(file.readline())
    except (OSError, ValueError):
        return None
    return row if isinstance(row, dict) else None


def last_line(path: Path, most: int = 1 << 16) -> dict[str, Any] | None:
    """The last whole line of a file, looked for in its last bytes."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - most))
            data = file.read(most)
    except OSError:
        return None
    for line in reversed(data[: data.rfind(b"\n") + 1].splitlines()):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        return row if isinstance(row, dict) else None
    return None


def last_step(path: Path, end: int, most: int = 1 << 16) -> list[dict[str, Any]]:
    """The last lines before `end` that are of one step, as far as the bytes there hold them."""
    try:
        with path.open("rb") as file:
            begin = file.seek(max(0, end - most))
            data = file.read(end - begin)
    except OSError:
        return []
    lines = data[: data.rfind(b"\n") + 1].splitlines()
    rows = [row for row in map(_one, lines) if isinstance(row, dict)]
    return [row for row in rows if row.get("step") == rows[-1].get("step")]


def glance(path: Path, count: int) -> list[dict[str, Any]]:
    """About `count` lines from all over a file, the last among them: its course at a glance."""
    found: list[dict[str, Any]] = []
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            if size <= count * 4096:
                return [row for row in _parsed(file.read().splitlines()) if isinstance(row, dict)]
            for place in range(count):
                file.seek(place * size // count)
                if place:
                    file.readline()  # the rest of the line it fell into
                row = _one(file.readline())
                if isinstance(row, dict) and row not in found[-1:]:
                    found.append(row)
    except OSError:
        return found
    last = last_line(path)
    return found if last is None or last in found[-1:] else [*found, last]


def _place(mark: str) -> tuple[int, int]:
    offset, _, check = mark.partition("-")
    try:
        return int(offset), int(check, 16)
    except ValueError:
        return 0, 0


def _before(file: Any, offset: int) -> bytes:
    start = max(0, offset - BEFORE)
    file.seek(start)
    found: bytes = file.read(offset - start)
    return found


def _parsed(lines: list[bytes]) -> list[Any]:
    try:  # all in one go is twice as fast
        rows = json.loads(b"[" + b",".join(lines) + b"]")
        if len(rows) == len(lines):
            return list(rows)
    except ValueError:
        pass
    return [_one(line) for line in lines]


def _one(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
