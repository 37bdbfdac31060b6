"""Texts that people should read, with a few numbers, as one page that loads nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

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
    folder = Path(__file__).parent / "page"
    return _template().render(page=page, css=(folder / "report.css").read_text("utf-8"))


@cache
def _template() -> Template:
    env = Environment(
        loader=PackageLoader("accord.evaluate", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return env.get_template("texts.html.jinja")
