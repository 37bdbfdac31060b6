"""A file as records of one kind, whichever kind it holds.  All reading of a check is here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from accord.data import sources
from accord.data.shapes import SHAPES
from accord.data.tally import Tally
from accord.errors import BadData
from accord.records import Comparison, Demonstration, Prompt

Kind = Literal["prompts", "demonstrations", "comparisons"]
_NAMED = [shape.said for shape in SHAPES if "chosen" in shape.keys]


@dataclass(frozen=True)
class Read:
    """What a file holds."""

    records: Sequence[Prompt | Demonstration | Comparison]
    tally: Tally
    kind: Kind
    shape: str = ""
    """how its rows look, in a few words"""

    @property
    def sorted(self) -> bool:
        """Whether its rows name the better answer `chosen`: then no place tells of the judge."""
        return any(said in self.shape for said in _NAMED)


def read(
    path: Path | str,
    kind: Kind | None = None,
    columns: Mapping[str, str] = {},
    split: str | None = None,
) -> Read:
    """The records of a file, as the kind it is told to be or, by its first rows, is."""
    found = sources.read(path, kind, columns=columns, split=split)
    if found.kind == "ratings":
        raise BadData(
            f"{path}: holds ratings of single answers ({found.shape}); a check knows prompts, "
            "demonstrations and comparisons, so say which of them to read: kind=demonstrations"
        )
    return Read(found.records, found.tally, found.kind, found.shape)
