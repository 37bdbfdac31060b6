"""What a measurement found, for a terminal and as one page that loads nothing: what to know first,
then tables and pictures.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.markup import escape

from accord.data.check.texts import visible
from accord.evaluate import paper
from accord.evaluate.plots import Line, tradeoff
from accord.evaluate.report import marked
from accord.evaluate.words import percent
from accord.maths.intervals import wilson
from accord.store import files

Piece = tuple[str, bool]
"""some of a text, and whether it is marked"""
COLOURS = {"error": "red", "warning": "yellow", "note": "green"}


@dataclass(frozen=True)
class Finding:
    """One thing to know."""

    severity: str
    """error, warning, or note"""
    title: str
    number: str
    todo: str = ""


@dataclass(frozen=True)
class Section:
    """A table, a picture, texts, or several of these under one heading."""

    title: str
    note: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    """of a table under these columns; the first cell names the row"""
    chart: str = ""
    """SVG"""
    alt: str = ""
    """the picture in words"""
    texts: Sequence[tuple[str, Sequence[tuple[str, str | Sequence[Piece]]]]] = ()
    """(what it shows, (name, text) of each); a text may come in pieces, marked already"""
    pictures: Sequence[str] = ()
    """one for each of the texts, as data URLs"""
    marks: re.Pattern[str] | None = None
    """what is marked in texts"""


@dataclass(frozen=True)
class Sheet:
    """All that is told."""

    kind: str
    title: str
    summary: str
    findings: Sequence[Finding]
    sections: Sequence[Section]
    foot: str = ""
    told: int = field(default=1)
    """how many sections' tables a terminal shows"""

    def lines(self) -> Iterator[str]:
        """For a terminal, with rich's markup."""
        yield f"[bold]{escape(self.title)}[/]: {escape(self.summary)}"
        for one in self.findings:
            yield f"[{COLOURS[one.severity]}]{escape(one.title)}[/]: {escape(one.number)}"
        for section in [one for one in self.sections if one.rows][: self.told]:
            yield f"\n[dim]{escape(section.title)}[/]"
            yield from map(escape, laid(section.columns, section.rows))


def certainty(name: str, bins: Sequence[tuple[float, float, int]], of: str, note: str) -> Section:
    """How often something is right, where it is so sure; empty of fewer than two bins.

    `bins` are (mean certainty, share right, how many); `of` says what is sure.
    """
    title = "How sure, and how often right"
    if len(bins) < 2:
        return Section(title, note)
    points = [(sure, right) for sure, right, _ in bins]
    errors = [(0.0, (high - low) / 4) for low, high in (wilson(r, n) for _, r, n in bins)]
    low = min(sure for sure, _ in points)
    limit = Line("as sure as it is right", [(low, low), (1.0, 1.0)], role="limit")
    chart = tradeoff([limit, Line(name, points, errors)], of, "how often right")
    alt = "; ".join(f"{percent(sure)} sure: right in {percent(right)}" for sure, right in points)
    return Section(title, f"{note} Points below the line: surer than right.", chart=chart, alt=alt)


def laid(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table in letters of one width: the first column to the left, the others to the right."""
    every = [columns, *rows]
    widths = [max(len(row[k]) for row in every) for k in range(len(columns))]
    for row in every:
        first, *rest = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in rest)]
        yield "  " + "  ".join(cells).rstrip()


def write(sheet: Sheet, path: Path) -> Path:
    """The page as a file; CannotWrite where the disk refuses."""
    with files.writing(f"the page {path}", "html"):
        files.write_whole(path, render(sheet).encode())
    return path


def render(sheet: Sheet) -> str:
    """The page as text."""
    return paper.filled(
        "sheet", ("report", "check", "contest"), {"visible": visible, "marked": marked}, sheet=sheet
    )
