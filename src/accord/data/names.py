"""A name for every row that no other row has."""

from array import array
from bisect import bisect_left
from decimal import Decimal
from typing import Any

from accord.data.formats import Entry, stem
from accord.data.pieces import Flaw, whole, words


class Names:
    """Own ids, and places (file:line) for rows that have none, in the order of the rows.

    The first row to have a name keeps it.  Of places 8 bytes each are held.
    """

    def __init__(self) -> None:
        self._own: dict[str, tuple[str, int]] = {}
        """where each id of the files' own was seen"""
        self._places: dict[str, array[int]] = {}
        """lines called by their place, of each file"""

    def name(self, entry: Entry, own: Any) -> tuple[str, Flaw | None]:
        """What a row is called, and, where that is not its own id, why not.

        Flaw where another row of its file has the same id.
        """
        if isinstance(own, float | Decimal):
            own = whole(own, "id")
        if not isinstance(own, str | int) or isinstance(own, bool):
            raise Flaw("wrong type", f"key 'id' holds {own!r}; it must be a string or a number")
        if own == "":
            return self._place(entry), None
        own = words(str(own), "id")
        if self._is_place(own):
            why = Flaw(
                "id is another row's place", f"id {own!r} is what a row without id is called"
            )
            return self._place(entry), why
        file, line = self._own.setdefault(own, (entry.file, entry.number))
        if file == entry.file and line != entry.number:
            raise Flaw("id used twice", f"id {own!r} is already that of line {line}")
        if file != entry.file:
            return self._place(entry), Flaw(
                "id used in another file", f"id {own!r} is already that of {file}:{line}"
            )
        return own, None

    def _place(self, entry: Entry) -> str:
        called = entry.stem or stem(entry.file.rpartition("/")[2])
        name = f"{called}:{entry.number}"
        if name not in self._own:
            self._places.setdefault(called, array("q")).append(entry.number)
            return name
        while name in self._own:
            name += "'"
        self._own[name] = (entry.file, entry.number)
        return name

    def _is_place(self, own: str) -> bool:
        """Whether a row is called so by its place."""
        called, _, number = own.rpartition(":")
        lines = self._places.get(called)
        if not lines or not number.isdecimal() or str(int(number[:19])) != number:
            return False
        at = bisect_left(lines, int(number))
        return at < len(lines) and lines[at] == int(number)
