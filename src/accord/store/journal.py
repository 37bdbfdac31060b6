"""JSON lines that are only ever added to, and cut back to the last commit when a run goes on."""

import hashlib
import json
import math
import operator
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, SupportsFloat

from accord.errors import BadData, NotFinite
from accord.store import files


class Journal:
    """One JSON object a line.  Without a path it keeps nothing.

    A commit holds its `state`: the size and sha256 of what was written by then.
    """

    def __init__(self, path: Path | None):
        self.path, self.size = path, 0
        self._hash = hashlib.sha256()
        self._fd = -1
        self._named = False
        """whether its name is on the disk too"""

    @property
    def state(self) -> dict[str, Any]:
        """{size, sha256} of all lines so far."""
        return {"size": self.size, "sha256": self._hash.hexdigest()}

    def append(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Add lines, in one write."""
        if self.path is None or not lines:
            return
        data = b"".join(map(_line, lines))
        with files.writing(str(self.path)):
            if self._fd < 0:
                self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            files.write_all(self._fd, data)
        self.size += len(data)
        self._hash.update(data)

    def sync(self) -> None:
        """Bring it to the disk."""
        if self._fd >= 0 and self.path is not None:
            with files.writing(str(self.path)):
                os.fsync(self._fd)
                if not self._named:
                    files.sync_folder(self.path.parent)
                    self._named = True

    def check(self, state: Mapping[str, Any] | None) -> None:
        """BadData unless the file begins with what a commit says it held by then."""
        if state and self._begin(state["size"]).hexdigest() != state["sha256"]:
            raise BadData(f"{self.path} is no longer what was committed")

    def resume(self, state: Mapping[str, Any] | None) -> None:
        """Cut back to a commit's state; None: to nothing."""
        self.close()
        self.size = state["size"] if state else 0
        self._hash = self._begin(self.size)
        if self.path is not None and self.path.exists() and self.path.stat().st_size > self.size:
            with files.writing(str(self.path)):
                os.truncate(self.path, self.size)

    def _begin(self, size: int) -> "hashlib._Hash":
        """sha256 of the first `size` bytes."""
        found = hashlib.sha256()
        if size and self.path is not None and self.path.exists():
            with self.path.open("rb") as file:
                while size and (data := file.read(min(size, 1 << 20))):
                    found.update(data)
                    size -= len(data)
        return found

    def rows(self) -> Iterator[dict[str, Any]]:
        """What was written so far, line by line."""
        if self.path is not None and self.size:
            with self.path.open("rb") as file:
                yield from map(json.loads, file.read(self.size).splitlines(keepends=False))

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _whole(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """(line, row) up to the first line that a crash cut."""
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            return
        if not line.endswith(b"\n"):
            return
        yield line, row


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """What somebody, perhaps another process, has written so far."""
    return (row for _, row in _whole(path))


def mended(path: Path) -> list[dict[str, Any]]:
    """The lines of a file that nobody else writes now, a last one that a crash cut taken off.

    BadData where a line that is none has others behind it: that was no crash.
    """
    kept = list(_whole(path))
    size = sum(len(line) for line, _ in kept)
    if path.exists() and path.stat().st_size > size:
        if path.read_bytes()[size:].rstrip(b"\n").count(b"\n"):
            raise BadData(f"{path}:{len(kept) + 1}: no JSON, with lines behind it; take it out")
        with files.writing(str(path)):
            os.truncate(path, size)
    return [row for _, row in kept]


def cut_to_step(path: Path, step: int) -> None:
    """Keep the lines of the steps before `step`: for numbers that no two runs have in common."""
    if not path.exists():
        return
    kept = []
    for line, row in _whole(path):
        if row["step"] >= step:
            break
        kept.append(line)
    with files.writing(str(path)):
        os.truncate(path, sum(map(len, kept)))


def number(value: SupportsFloat | None, what: str) -> float | int | None:
    """A number as it is logged: whole ones stay whole; NaN and infinity are refused by name."""
    if value is None:
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        pass
    if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
        raise TypeError(f"{what} = {value!r} is not a number")
    made = float(value)
    if not math.isfinite(made):
        raise NotFinite(f"{what} is {made}; find its cause, or log None where there is no number")
    return made


def finite(thing: Any, what: str) -> Any:
    """JSON-able `thing` as it is, unless a NaN or an infinity hides in it: NotFinite says where."""
    if isinstance(thing, float) and not math.isfinite(thing):
        raise NotFinite(
            f"{what} is {thing}; find its cause, or write None where there is no number"
        )
    if isinstance(thing, Mapping):
        for key, value in thing.items():
            finite(value, f"{what}.{key}")
    elif isinstance(thing, list | tuple):
        for index, value in enumerate(thing):
            finite(value, f"{what}[{index}]")
    return thing


def _line(row: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except UnicodeEncodeError:  # half of a character, as a decoder may leave it
        return json.dumps(row, allow_nan=False).encode() + b"\n"
