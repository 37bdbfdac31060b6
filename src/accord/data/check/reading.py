"""A file as records of one kind, whichever kind it holds.  All reading of a check is here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from accord.data import sources
from accord.data.beside import Beside
from accord.data.pictured import ALONE
from accord.data.tally import Tally
from accord.errors import BadData
from accord.records import Comparison, Demonstration, Prompt

Kind = Literal["prompts", "demonstrations", "comparisons"]


@dataclass(frozen=True)
class Read:
    """What a file holds."""

    records: Sequence[Prompt | Demonstration | Comparison]
    tally: Tally
    kind: Kind
    shape: str = ""
    """how its rows look, in a few words"""
    sorted: bool = False
    """whether the shape says which answer stands first: then no place tells of the judge"""
    ignored: tuple[str, ...] = ()
    """keys of its first rows that nothing was made of"""


def read(
    path: Path | str,
    kind: Kind | None = None,
    columns: Mapping[str, str] = {},
    split: str | None = None,
    beside: Beside = ALONE,
) -> Read:
    """The records of a file, as the kind it is told to be or, by its first rows, is."""
    found = sources.read(path, kind, columns=columns, split=split, beside=beside)
    if found.kind == "ratings":
        raise BadData(
            f"{path}: holds ratings of single answers ({found.shape}); a check knows prompts, "
            "demonstrations and comparisons, so say which of them to read: kind=demonstrations"
        )
    return Read(found.records, found.tally, found.kind, found.shape, found.placed, found.ignored)
