"""Tables of text as rows: each a dict by the names in the first."""

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accord.data import opening
from accord.data.opening import CHUNK, NOT_UTF8, Rows, opened, suffix
from accord.data.pieces import Flaw


def table(path: Path) -> Rows:
    """Comma, semicolon, tab or bar between the cells; the first row names the columns."""
    csv.field_size_limit(opening.GIANT)
    with opened(path) as raw:
        text = codecs.getreader("utf-8-sig")(raw, "surrogateescape")
        lines = _until_newline(text)
        first = next(lines, "")
        while first and not first.strip():
            first = next(lines, "")
        if NOT_UTF8.search(first) or "\0" in first:
            raise ValueError(
                f"the first row is {_coded(first)}, not UTF-8: write the file as UTF-8"
            )
        mark = _delimiter(first, suffix(path))
        reader = csv.reader(_again(first, lines), delimiter=mark, strict=True)
        names = next(reader, [])
        if len(set(names)) < len(names):
            raise ValueError(f"two columns have the same name: {', '.join(names)}")
        yield from _cells(reader, names)


def _until_newline(text: Any) -> Iterator[str]:
    """Lines with their ends; only \\n and \\r\\n end one, as the quotes of a table need it."""
    kept: list[str] = []
    held = 0
    while piece := text.read(CHUNK):
        *done, rest = piece.split("\n")
        if done:
            yield "".join([*kept, done[0], "\n"])
            yield from (line + "\n" for line in done[1:])
            kept, held = [], 0
        kept.append(rest)
        held += len(rest)
        if held > opening.GIANT:
            raise ValueError(f"a line of more than {opening.GIANT} characters")
    if held:
        yield "".join(kept)


def _coded(first: str) -> str:
    """How a row that is not UTF-8 was probably written."""
    wide = "\0" in first or first.startswith(("\udcff\udcfe", "\udcfe\udcff"))
    return "UTF-16" if wide else "Latin-1 or Windows-1252"


def _again(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines


def _delimiter(header: str, ending: str) -> str:
    if ending == ".tsv":
        return "\t"
    return max(",;\t|", key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))


def _cells(reader: Any, names: list[str]) -> Rows:
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise ValueError(f"line {line}: a quote is never closed") from None
            if "field limit" in str(error):
                most = opening.GIANT
                raise ValueError(f"line {line}: a cell of more than {most} characters") from None
            yield line, Flaw("not a table row", f"the cells cannot be told apart ({error})")
            continue
        if not cells:
            continue
        if len(cells) != len(names):
            yield line, Flaw("ragged row", f"{len(cells)} cells under {len(names)} columns")
        elif any(map(NOT_UTF8.search, cells)):
            yield line, Flaw("not UTF-8", "a cell holds bytes that are not UTF-8")
        else:
            yield line, dict(zip(names, cells))
