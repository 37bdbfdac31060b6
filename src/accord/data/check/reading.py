"""A file as records of one kind, whichever kind it holds.  All reading of a check is here."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from accord.data import sources
from accord.data.tally import Tally
from accord.errors import BadData
from accord.records import Comparison, Demonstration, Prompt

Kind = Literal["prompts", "demonstrations", "comparisons"]
LOOK = 100
"""lines looked at to tell the kind"""


@dataclass(frozen=True)
class Read:
    """What a file holds."""

    records: Sequence[Prompt | Demonstration | Comparison]
    tally: Tally
    kind: Kind
    sorted: bool = False
    """whether the better answer is stored first: then its place says nothing about the judge"""


def read(path: Path, kind: Kind | None = None) -> Read:
    """The records of a file, as the kind it is told to be or, by the keys of its first rows, is."""
    rows = _first(path)
    kind = kind or _kind(path, rows)
    if kind == "prompts":
        return Read(*sources.read_prompts(path), kind)
    if kind == "demonstrations":
        return Read(*sources.read_demonstrations(path), kind)
    named = sum("chosen" in row for row in rows)
    return Read(*sources.read_comparisons(path), kind, sorted=2 * named > len(rows))


def _first(path: Path) -> list[dict[str, Any]]:
    rows = []
    for _, raw in islice(sources._lines(path), LOOK):
        try:
            rows.append(json.loads(raw))
        except ValueError:
            continue  # the reader counts it
    return [row for row in rows if isinstance(row, dict)]


def _kind(path: Path, rows: list[dict[str, Any]]) -> Kind:
    votes = Counter(kind for row in rows if (kind := _of(row)))
    if not votes:
        raise BadData(f"{path}: none of its first {LOOK} rows says what it is; say kind=…")
    return votes.most_common(1)[0][0]


def _of(row: dict[str, Any]) -> Kind | None:
    keys = {key for key, value in row.items() if value is not None}
    if keys & {"chosen", "rejected", "responses"}:
        return "comparisons"
    if keys & {"response", "completion"}:
        return "demonstrations"
    talk = row.get("messages")
    if isinstance(talk, list) and talk and isinstance(talk[-1], dict):
        return "demonstrations" if talk[-1].get("role") == "assistant" else "prompts"
    return "prompts" if "prompt" in keys else None
