"""Long sequences that do not stay in memory."""

import os
import tempfile
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar, overload

from accord.errors import CannotWrite

T = TypeVar("T")
HELD = 64 * 2**20
"""characters or so that a sequence may hold before it goes to disk"""


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = tempfile.tempdir or "no folder is fit for temporary files"
        raise CannotWrite(
            f"{where}: data larger than memory cannot be put aside ({error.strerror or error}); "
            "make room there, or name another folder in the environment variable TMPDIR"
        ) from error


def _close(file: Any) -> None:
    with suppress(OSError):  # what could not be written, which is told already
        file.close()


class Spool(Sequence[T], Generic[T]):
    """Items in a nameless file that goes when the last one who holds it does; 8 bytes of each stay.

    An item is spelled as a line of text, and made anew from it when it is looked at.
    """

    def __init__(self, items: Iterable[T], spell: Callable[[T], str], make: Callable[[str], T]):
        with _room():
            self._file = tempfile.TemporaryFile(prefix="accord-")  # noqa: SIM115
        weakref.finalize(self, _close, self._file)
        self._make, self._ends = make, array("q", [0])
        for item in items:
            line = spell(item).encode()
            with _room():
                self._ends.append(self._ends[-1] + self._file.write(line))
        with _room():
            self._file.flush()

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[T]: ...
    def __getitem__(self, place: int | slice) -> T | Sequence[T]:
        if isinstance(place, slice):
            return Picked(self, range(len(self))[place])
        place = range(len(self))[place]
        start, end = self._ends[place], self._ends[place + 1]
        return self._make(os.pread(self._file.fileno(), end - start, start).decode())

    def __iter__(self) -> Iterator[T]:
        return (self[place] for place in range(len(self)))


class Picked(Sequence[T], Generic[T]):
    """Some items of a sequence, by their places in it."""

    def __init__(self, items: Sequence[T], places: Sequence[int]):
        self._items, self._places = items, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[T]: ...
    def __getitem__(self, place: int | slice) -> T | Sequence[T]:
        if isinstance(place, slice):
            return Picked(self._items, self._places[place])
        return self._items[self._places[place]]

    def __iter__(self) -> Iterator[T]:
        return (self._items[place] for place in self._places)


def gather(
    items: Iterable[T],
    size: Callable[[T], int],
    spell: Callable[[T], str],
    make: Callable[[str], T],
) -> Sequence[T]:
    """A plain list, or, of items larger than HELD together, a Spool."""
    few: list[T] = []
    held, rest = 0, iter(items)
    for item in rest:
        few.append(item)
        held += size(item)
        if held > HELD:
            return Spool(_both(few, rest), spell, make)
    return few


def _both(few: list[Any], rest: Iterator[Any]) -> Iterator[Any]:
    yield from few
    few.clear()
    yield from rest
