"""Which keys of the rows anybody looked at."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MOST = 1000
"""rows that are watched: the first"""


class Watched(Mapping[str, Any]):
    """A row that remembers which of its keys were read; to ask whether one is there is not to."""

    def __init__(self, row: Mapping[str, Any]):
        self._row = row
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        found = self._row[key]
        self.read.add(key)
        return found

    def __contains__(self, key: object) -> bool:
        return key in self._row

    def __iter__(self) -> Iterator[str]:
        return iter(self._row)

    def __len__(self) -> int:
        return len(self._row)


@dataclass
class Keys:
    """Of the first rows of a file, what was read and what was not."""

    rows: int = 0
    read: set[str] = field(default_factory=set)
    left: dict[str, None] = field(default_factory=dict)

    def watch(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The row, watched while it is one of the first."""
        return Watched(row) if self.rows < MOST else row

    def done(self, row: Mapping[str, Any], needed: tuple[str, ...]) -> None:
        """A row became a record; keys that make its shape count as read."""
        if isinstance(row, Watched):
            self.rows += 1
            self.read |= row.read
            self.read.update(needed)
            self.left.update(dict.fromkeys(key for key in row if isinstance(key, str)))

    @property
    def ignored(self) -> tuple[str, ...]:
        """Keys that some rows have, and that no row was read by."""
        return tuple(key for key in self.left if key not in self.read)
