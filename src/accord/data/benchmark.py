"""Files of benchmarks: JSON lines, or an array, of objects whose keys are known; the first row that
is not as it should be is refused, since a number over some of the rows is another number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.data.documents import json_document, json_lines
from accord.data.opening import Rows, opened
from accord.data.pieces import Flaw
from accord.errors import BadData


@dataclass(frozen=True)
class Row:
    """One object, and where it stands."""

    where: str
    """file:line, or the number of the record in an array"""
    row: Mapping[str, Any]

    def text(self, *keys: str) -> str:
        """What stands under the first of these keys that is there: a text or a number."""
        for key in keys:
            held = self.row.get(key)
            if isinstance(held, str | int) and not isinstance(held, bool):
                return str(held)
        raise self.bad(f'no text under "{keys[0]}"')

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        held = self.row.get(key)
        if not isinstance(held, list) or not all(isinstance(one, str) for one in held):
            raise self.bad(f'no list of texts under "{key}"')
        return tuple(held)

    def bad(self, why: str) -> BadData:
        """What is wrong with it."""
        return BadData(f"{self.where}: {why}")


def objects(path: Path) -> list[Row]:
    """All rows of a file; BadData names file and line."""
    found: list[Row] = []
    try:
        with opened(path) as file:
            array = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
        for n, row in _read(path, array):
            where = f"{path}, record {n}" if array else f"{path}:{n}"
            if isinstance(row, Flaw):
                raise BadData(f"{where}: {row.detail}")
            if not isinstance(row, dict):
                raise BadData(f"{where}: it is no JSON object")
            found.append(Row(where, row))
    except OSError as error:
        raise BadData(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise BadData(f"{path}, after record {len(found)}: not JSON ({error})") from None
    if not found:
        raise BadData(f"{path}: it is empty: no questions, no answers")
    return found


def distinct(named: Sequence[tuple[str, str]]) -> None:
    """BadData where two rows, given as (name, where), have one name."""
    seen: dict[str, str] = {}
    for name, where in named:
        if name in seen:
            raise BadData(f"{where}: {name!r} stands already at {seen[name]}")
        seen[name] = where


def _read(path: Path, array: bool) -> Rows:
    return json_document(path) if array else json_lines(path)
