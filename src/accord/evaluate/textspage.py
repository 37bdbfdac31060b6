"""Texts that people should read, with a few numbers, as one page that loads nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.evaluate import paper
from accord.store import files


@dataclass(frozen=True)
class Part:
    """Texts under one heading, each with its name."""

    title: str
    texts: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Page:
    """All that is shown."""

    kind: str
    title: str
    summary: str
    parts: Sequence[Part]
    notes: Sequence[str] = ()
    """what looks wrong"""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    """of a table under these columns"""


def write(page: Page, path: Path) -> Path:
    """The page as a file; CannotWrite where the disk refuses."""
    with files.writing(f"the page {path}", "html"):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(path, render(page).encode())
    return path


def render(page: Page) -> str:
    """The page as text."""
    return paper.filled("texts", ("report",), page=page)
