"""All checks of one file."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from accord.config import nearest
from accord.data.check import alike, labels, spelling, wording
from accord.data.check.finding import Example, Finding, finding
from accord.data.check.labels import Labels
from accord.data.check.lengths import Lengths, lengths
from accord.data.check.sheet import Line, Sheet
from accord.data.pictures import is_file
from accord.errors import BadData

ORDER = ("error", "warning", "note")
MANY = 0.05
"""share of rows dropped for one reason that is grave"""
LABELS = {
    "prompts": ("chosen", "rejected", "response", "completion"),
    "demonstrations": ("chosen", "rejected"),
}
"""keys that would make something better of rows that are only this"""
CLOSE = 0.75
"""likeness of two words (difflib) from which one is probably the other"""
DROPPED = {
    "empty answer": "Drop these rows, or write the answers that are missing.",
    "answers are equal": "Drop these pairs: there is nothing to prefer.",
    "id used twice": "Give every row an id of its own, or none.",
    "not JSON": "Write one JSON object on each line.",
    "cannot be spelled": "Take the template that they need (template=), or mend them.",
    "not UTF-8": "Write the file as UTF-8.",
}


@dataclass(frozen=True)
class Checked:
    """What was found in a file."""

    name: str
    sheet: Sheet
    findings: tuple[Finding, ...]
    """the gravest first"""
    lengths: tuple[Lengths, ...]
    labels: Labels | None = None
    """of comparisons"""
    shown: tuple[tuple[str, list[spelling.Piece]], ...] = ()
    """texts as the model reads them: (row, and which of its answers; the text)"""

    @property
    def total(self) -> int:
        """Rows in the file."""
        return self.sheet.tally.total

    @property
    def kept(self) -> int:
        """Records that can be trained on."""
        return len(self.sheet.lines) - len(self.sheet.useless)

    @property
    def lost(self) -> int:
        """Rows that cannot.  One that can may hold several records: a tree."""
        return self.sheet.tally.dropped.total() + len(self.sheet.useless)

    def within(self, limit: float) -> "Checked":
        """Itself; BadData where nothing, or less than all but a share `limit`, can be used."""
        lost = self.lost
        if not self.kept or lost > limit * self.total:
            share = f" ({lost / self.total:.1%})" if self.total else ""
            raise BadData(
                f"{self.name}: {lost:,} of {self.total:,} rows{share} cannot be used, more than "
                f"limit={limit:g} allows; mend or remove them, or raise it"
            )
        return self


def check(name: str, sheet: Sheet, test: list[Line] | None = None, *, seed: int = 0) -> Checked:
    """Every check that this kind of file allows; `test`: rows that must not be trained on."""
    checks: list[Callable[[Sheet], list[Finding]]] = [
        dropped,
        unread,
        unseen,
        spelling.never_ends,
        spelling.too_long,
        alike.repeated_rows,
        alike.prompt_variants,
        alike.near_prompts,
        wording.wording,
    ]
    found = [one for look in checks for one in look(sheet)]
    told = None
    if sheet.kind == "comparisons":
        told = labels.labels(sheet, seed)
        found += labels.biases(sheet, told) + labels.disagreements(sheet, told)
    if test is not None:
        found += alike.leaking(sheet, alike.leaks(sheet.lines, test))
    found.sort(key=lambda one: ORDER.index(one.severity))
    return Checked(name, sheet, tuple(found), tuple(lengths(sheet)), told)


def unread(sheet: Sheet) -> list[Finding]:
    """Keys without use that are called nearly as what would make more of the rows."""
    more = LABELS.get(sheet.kind, ())
    near = [(key, nearest(key, more)) for key in sheet.ignored]
    hits = [
        (key, "another key of its shape is missing" if key == good else f"meant to be {good!r}?")
        for key, good in near
        if good is not None and SequenceMatcher(None, key.lower(), good).ratio() >= CLOSE
    ]
    of = len(sheet.ignored)
    return finding("unread-labels", hits, of, "keys not read", examples=sheet.examples)


def unseen(sheet: Sheet) -> list[Finding]:
    """Rows that name a picture where there is no file; whether it is a picture, reading tells."""
    known: dict[str, bool] = {}
    hits = []
    for line in sheet.lines:
        for path in line.pictures:
            if path not in known:
                known[path] = is_file(path)
        if gone := [path for path in line.pictures if not known[path]]:
            hits.append((line.id, gone[0]))
    of = sum(bool(line.pictures) for line in sheet.lines)
    return finding("no-picture", hits, of, "rows with pictures", examples=sheet.examples)


def dropped(sheet: Sheet) -> list[Finding]:
    """One finding for each reason why rows cannot be used."""
    found = []
    for reason, count in sheet.tally.dropped.most_common():
        seen = [line.partition(": ") for line in sheet.tally.examples[reason]]
        one = finding("dropped", [], sheet.tally.total, "rows", count=count)[0]
        found.append(
            Finding(
                "dropped",
                count,
                one.of,
                "rows",
                tuple(Example(Path(where).name, why) for where, _, why in seen)[: sheet.examples],
                severity="error" if count > MANY * one.of else one.severity,
                title=f"Dropped: {reason}",
                todo=DROPPED.get(reason, one.todo),
            )
        )
    return found
