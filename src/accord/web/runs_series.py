"""The numbers of a run as columns, and a picture of a column that has as many points as pixels."""

import math
import threading
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from operator import lt
from pathlib import Path
from typing import Any

from accord.web.runs_samples import Samples
from accord.web.tail import Tail

MOST = 1 << 18
"""points of a column; beyond, its older half is thinned to the extremes of every four"""
ROOM = 256 << 20
"""bytes of all columns together that are kept; the runs that nobody looked at longest go first"""
LARGEST = 2**62
FILES = ("metrics.jsonl", "timings.jsonl")
OWN = ("step", "seq")
"""keys of a line that are no number of the run"""


class Column:
    """One number over the steps; NaN where a step has none."""

    def __init__(self) -> None:
        self.steps, self.values = array("q"), array("d")
        self.gaps = 0
        self.broken: int | None = None
        """the first step whose number was NaN or infinite, which our own runs refuse to write"""

    def __len__(self) -> int:
        return len(self.steps)

    def add(self, step: int, value: float | None) -> None:
        """One more; None where the step has no number."""
        if value is None:
            value = math.nan
        elif not math.isfinite(value):
            self.broken = step if self.broken is None else self.broken
            value = math.nan
        self.gaps += value != value
        self.steps.append(step)
        self.values.append(value)
        if len(self.steps) > MOST:
            self._thin()

    def extend(self, told: list[tuple[int, float | None]]) -> None:
        """More of them; a step that is not after the last one was said before, and is let be."""
        steps, values = [s for s, _ in told], [v for _, v in told]
        begins = not self.steps or steps[0] > self.steps[-1]
        plain = begins and None not in values and all(map(lt, steps, steps[1:]))
        if plain and math.isfinite(sum(values)):  # type: ignore[arg-type]  # so each of them is
            self.steps.extend(steps)
            self.values.extend(values)  # type: ignore[arg-type]
            while len(self.steps) > MOST:
                self._thin()
            return
        for step, value in told:
            if not self.steps or step > self.steps[-1]:
                self.add(step, value)

    def picture(
        self, width: int, low: int | None = None, high: int | None = None
    ) -> tuple[list[int], list[float | None]]:
        """Steps and values between two steps, at most 2 · width: of each of `width` parts the
        least and the most, in their order.  What a line through all of them would paint, this one
        paints too.
        """
        first = 0 if low is None else bisect_left(self.steps, low)
        end = len(self.steps) if high is None else bisect_right(self.steps, high)
        if end - first <= 2 * width:
            return list(self.steps[first:end]), [_told(v) for v in self.values[first:end]]
        places: list[int] = []
        for part in range(width):
            a = first + part * (end - first) // width
            b = first + (part + 1) * (end - first) // width
            places += self._extremes(a, b)
        return [self.steps[i] for i in places], [_told(self.values[i]) for i in places]

    def _extremes(self, a: int, b: int) -> list[int]:
        few = self.values[a:b]
        if self.gaps and (numbers := array("d", (v for v in few if v == v))) != few:
            if not numbers:
                return [a]
            least, most = few.index(min(numbers)), few.index(max(numbers))
        else:
            least, most = few.index(min(few)), few.index(max(few))
        return sorted({a + least, a + most})

    def _thin(self) -> None:
        half = len(self.steps) // 2
        places = [i for a in range(0, half, 4) for i in self._extremes(a, min(a + 4, half))]
        steps = array("q", (self.steps[i] for i in places))
        values = array("d", (self.values[i] for i in places))
        self.steps, self.values = steps + self.steps[half:], values + self.values[half:]
        self.gaps = sum(v != v for v in self.values)


class Watched:
    """A run folder that is read as it grows."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.columns: dict[str, Column] = {}
        self.samples = Samples(folder / "samples.jsonl")
        self._tails = [Tail(folder / name) for name in FILES]
        self._lock = threading.Lock()

    @property
    def mark(self) -> str:
        """Where in its files the columns end: from there on, lines are told one by one."""
        return "_".join(tail.mark for tail in self._tails)

    @property
    def size(self) -> int:
        """Bytes of the columns."""
        return sum(16 * len(column) for column in self.columns.values()) + self.samples.size

    @property
    def last(self) -> int:
        """The last step that is known; -1: none."""
        return max((c.steps[-1] for c in self.columns.values() if len(c)), default=-1)

    def refresh(self) -> "Watched":
        """Read what was written since."""
        with self._lock:
            if any(tail.cut() for tail in self._tails):
                self.columns = {}
                self._tails = [Tail(tail.path) for tail in self._tails]
            for tail in self._tails:
                while rows := tail.read():
                    self._add([row for _, row in rows])
        return self

    def _add(self, rows: list[dict[str, Any]]) -> None:
        rows = [row for row in rows if _whole(row.get("step"))]
        for key in dict.fromkeys(key for row in rows for key in row):
            if key in OWN:
                continue
            told = [(row["step"], row[key]) for row in rows if key in row]
            kinds = {type(v) for _, v in told}
            if kinds != {float}:
                told = [(s, v) for s, v in told if v is None or type(v) is float or _whole(v)]
            if told:
                self.columns.setdefault(key, Column()).extend(told)


class Shelf:
    """Runs that were looked at lately, within a limit of memory."""

    def __init__(self, room: int = ROOM):
        self.room = room
        self._kept: OrderedDict[Path, Watched] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, folder: Path) -> Watched:
        """The run in a folder, read to its end."""
        with self._lock:
            found = self._kept.setdefault(folder, Watched(folder))
            self._kept.move_to_end(folder)
        found.refresh()
        with self._lock:
            whole = sum(run.size for run in self._kept.values())
            while whole > self.room and len(self._kept) > 1:
                _, gone = self._kept.popitem(last=False)
                whole -= gone.size
        return found

    def __len__(self) -> int:
        return len(self._kept)


def _whole(value: Any) -> bool:
    return type(value) is int and abs(value) < LARGEST


def _told(value: float) -> float | None:
    return value if value == value else None
