"""Prompts, demonstrations, comparisons and ratings from files of every usual format and shape.

    read("judged.jsonl")                                 whatever its rows are
    read("votes.csv", "comparisons", columns={"winner": "verdict"})
    read("owner/name:config", "prompts", split="test")   a hub id, a folder, or a file

Rows that cannot be used are counted by reason, never repaired and never silently dropped.  A row
may have an id, and is else called file:line.  What is larger than memory stays on disk.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

from accord.data import formats, spool
from accord.data.beside import Beside
from accord.data.formats import Entry
from accord.data.keys import Keys
from accord.data.names import Names
from accord.data.pictured import ALONE, joined, shows
from accord.data.pieces import filled, ranked_by, words
from accord.data.shapes import (
    SERVES,
    Flaw,
    Graded,
    Kind,
    Made,
    Record,
    Shape,
    find,
    serve,
    wanted,
)
from accord.data.shapes.base import compared
from accord.data.tally import Tally
from accord.data.writing import row, write
from accord.errors import BadData
from accord.records import Comparison, Demonstration, Prompt, Rating

__all__ = ["Kind", "Read", "read", "read_comparisons", "read_demonstrations", "read_prompts"]
__all__ += ["read_ratings", "row", "write"]
R = TypeVar("R", bound=Record)
M = TypeVar("M", bound=Made)
SNIFF = 1000
"""rows that decide what a file holds, where nobody says it"""
COMMANDS: Mapping[Kind, str] = {
    "prompts": "accord ppo prompts=",
    "demonstrations": "accord sft data=",
    "comparisons": "accord reward data=",
}


@dataclass(frozen=True)
class Read(Generic[R]):
    """What a file held."""

    records: Sequence[R]
    tally: Tally
    kind: Kind
    shape: str
    """how its rows look, in a few words for people"""
    ignored: tuple[str, ...] = ()
    """keys of its first rows that nothing was made of"""
    placed: bool = False
    """whether the place of an answer is that of its shape, and not one that a judge saw"""
    unseen: bool = False
    """whether a folder of pictures or facts of them were given, and no row shows a picture"""


def read(
    path: str | Path,
    kind: Kind | None = None,
    *,
    columns: Mapping[str, str] = {},
    split: str | None = None,
    beside: Beside = ALONE,
) -> Read[Any]:
    """The records of a file, a folder or a hub id, and what became of each row.

    `columns` says their name for our key.  Without `kind` the first rows decide.  BadData where
    the file cannot be read, or where none of its rows can serve the kind.
    """
    source = formats.source(path, split)
    if columns:
        source = _Renamed(source, columns, str(path))
    asked = kind or _kind(source(), str(path))
    reading = _Reading(asked, beside=beside)
    records = spool.gather(reading.records(source()), _size, _spell, _MAKE[asked])
    reading.refuse_if_all_wrong(str(path))
    told = (reading.keys.ignored, reading.placed, beside != ALONE and not reading.pictured)
    return Read(records, reading.tally, asked, reading.shape(), *told)


def read_prompts(path: str | Path) -> tuple[Sequence[Prompt], Tally]:
    """The prompts of a file, and what became of each row."""
    found = read(path, "prompts")
    return found.records, found.tally


def read_demonstrations(path: str | Path) -> tuple[Sequence[Demonstration], Tally]:
    """The demonstrations of a file, and what became of each row."""
    found = read(path, "demonstrations")
    return found.records, found.tally


def read_comparisons(path: str | Path) -> tuple[Sequence[Comparison], Tally]:
    """The comparisons of a file, and what became of each row."""
    found = read(path, "comparisons")
    return found.records, found.tally


def read_ratings(path: str | Path) -> tuple[Sequence[Rating], Tally]:
    """The ratings of a file, and what became of each row."""
    found = read(path, "ratings")
    return found.records, found.tally


def read_texts(path: str | Path, beside: Beside = ALONE) -> Read[Demonstration]:
    """Plain texts, {"text": …}, as answers to nobody; rows of other shapes as demonstrations."""
    source = formats.source(path)
    reading = _Reading("demonstrations", texts=True, beside=beside)
    every = (r for r in reading.records(source()) if isinstance(r, Demonstration))
    records = spool.gather(every, _size, _spell_text, _make_text)
    reading.refuse_if_all_wrong(str(path))
    return Read(records, reading.tally, "demonstrations", reading.shape())


def _text(found: Mapping[str, Any], name: str) -> Demonstration:
    return Demonstration((), filled(words(found["text"], "text"), "text"), id=name)


def _spell_text(record: Demonstration) -> str:
    return _spell(record) if record.prompt else json.dumps([record.response, record.id])


def _make_text(line: str) -> Demonstration:
    if line.startswith("["):  # a text alone; every other record is an object
        response, name = json.loads(line)
        return Demonstration((), response, id=name)
    made: Demonstration = _MAKE["demonstrations"](line)
    return made


_TEXT = Shape("plain texts", "demonstrations", ("text",), _text)


# --- what the rows are ---


@dataclass(frozen=True)
class _Renamed:
    """A source whose columns have our names."""

    source: formats.Source
    columns: Mapping[str, str]
    path: str

    def __call__(self) -> Iterator[Entry]:
        unseen, names = set(self.columns.values()), dict.fromkeys(("",))
        for entry in self.source():
            if isinstance(entry.row, dict):
                unseen -= entry.row.keys()
                names = names if len(names) > 1 else dict.fromkeys(map(str, entry.row))
                ours = {ours: entry.row.get(theirs) for ours, theirs in self.columns.items()}
                left = {k: v for k, v in entry.row.items() if k not in self.columns.values()}
                entry = entry._replace(row=left | ours)
            yield entry
        if unseen:
            raise BadData(
                f"{self.path}: no row has a column {sorted(unseen)[0]!r};"
                f" the columns are {', '.join(filter(None, names))}"
            )


def _kind(entries: Iterator[Entry], path: str) -> Kind:
    """What most of the first rows hold."""
    seen: Counter[Kind] = Counter()
    tally = Tally()
    for entry in islice(entries, SNIFF):
        try:
            shape, _ = _shape(entry.row, None)
            seen[shape.kind] += 1
        except Flaw as flaw:
            tally.drop(flaw.reason, f"{entry.file}:{entry.number}: {flaw.detail}")
    if not seen:
        table = "\n".join(tally.lines()) if tally.dropped else "there are no rows at all"
        raise BadData(f"{path}: no row is in a shape that is known: {table}")
    return seen.most_common(1)[0][0]


def _shape(found: object, kind: Kind | None) -> tuple[Shape, Mapping[str, Any]]:
    """The shape of a row, and the row without its nulls."""
    if isinstance(found, Flaw):
        raise found
    if not isinstance(found, dict):
        raise Flaw("not an object", f"the line holds a {type(found).__name__}, not an object")
    here = {key: value for key, value in found.items() if value is not None}
    shape = find(here, kind)
    if shape is None:
        raise wanted(here, kind)
    return shape, here


# --- rows into records ---


@dataclass
class _Reading:
    """One way through a file."""

    kind: Kind
    texts: bool = False
    """whether a row with a text alone is one, as an answer to nobody"""
    beside: Beside = ALONE
    tally: Tally = field(default_factory=Tally)
    shapes: Counter[tuple[str, Kind]] = field(default_factory=Counter)
    others: Counter[tuple[str, Kind]] = field(default_factory=Counter)
    """shapes of rows that cannot serve this kind"""
    names: Names = field(default_factory=Names)
    keys: Keys = field(default_factory=Keys)
    placed: bool = False
    pictured: bool = False
    graded: list[tuple[str, Graded]] = field(default_factory=list)
    """answers to one prompt, until another prompt comes"""

    def records(self, entries: Iterable[Entry]) -> Iterator[Record]:
        """Every record, in order; the tally counts rows."""
        for entry in entries:
            where = f"{entry.file}:{entry.number}"
            try:
                made, flaws = self._made(entry)
            except Flaw as flaw:
                self.tally.drop(flaw.reason, f"{where}: {flaw.detail}")
                continue
            for part in flaws:
                self.tally.note(part.reason, f"{where}: {part.detail}")
            if isinstance(made[0], Graded):
                if self.graded and self.graded[0][1].prompt != made[0].prompt:
                    yield from self._group()
                self.graded.append((where, made[0]))
                continue
            self.tally.keep()
            yield from (one for one in made if not isinstance(one, Graded))
        yield from self._group()

    def _made(self, entry: Entry) -> tuple[list[Made], list[Flaw]]:
        """A row's records, at least one, and the flaws of its other parts."""
        here: Mapping[str, Any]
        try:
            if self.texts and isinstance(entry.row, dict) and entry.row.get("text") is not None:
                shape, here = _TEXT, entry.row
            else:
                shape, here = _shape(entry.row, self.kind)
        except Flaw as flaw:
            if flaw.reason == "missing key" and isinstance(entry.row, dict):
                other = find({k: v for k, v in entry.row.items() if v is not None}, None)
                if other is not None:
                    self.others[(other.said, other.kind)] += 1
            raise
        self.shapes[(shape.said, shape.kind)] += 1
        self.placed |= shape.placed
        here = self.keys.watch(here)
        name, unnamed = self.names.name(entry, here.get("id", "") if shape.named else "")
        aside = [unnamed] if unnamed else []
        if self.kind == "prompts" and shape.asks is not None:
            asked = self._joined(shape.asks(here, name), here, entry.file)
            self.keys.done(here, shape.keys)
            return [asked], aside
        told = shape.make(here, name)
        parts = list(told) if isinstance(told, Iterable) else [told]
        good: list[Made] = []
        bad: list[Flaw] = []
        for part in parts:
            try:
                if isinstance(part, Flaw):
                    raise part
                part = self._joined(part, here, entry.file)
                good += [part] if isinstance(part, Graded) else serve(part, self.kind)
            except Flaw as flaw:
                bad.append(flaw)
        if not good:
            raise bad[0] if bad else Flaw("nothing judged", "it holds no judgement")
        self.keys.done(here, shape.keys)
        return good, bad + aside

    def _joined(self, made: M, row: Mapping[str, Any], file: str) -> M:
        made = joined(made, row, file, self.beside)
        self.pictured = self.pictured or shows(made)
        return made

    def _group(self) -> Iterator[Record]:
        """Answers to one prompt that were scored alone, as one comparison."""
        few, self.graded = self.graded, []
        if not few:
            return
        where, first = few[0]
        try:
            if len(few) < 2:
                raise Flaw("rated alone", "no other answer to its prompt stands beside it")
            scores = [one.score for _, one in few]
            strength = abs(scores[0] - scores[1]) or None if len(few) == 2 else None
            texts = tuple(one.response for _, one in few)
            ranks = ranked_by(scores)
            both = compared({}, first.id, first.prompt, texts, ranks, strength=strength)
            made = serve(both, self.kind)
        except Flaw as flaw:
            for where, _ in few:
                self.tally.drop(flaw.reason, f"{where}: {flaw.detail}")
            return
        self.tally.keep(len(few))
        yield from made

    def shape(self) -> str:
        """The shapes in words, the most frequent first, with counts where they are several."""
        if not self.shapes:
            return "no known shape"
        (said, own), count = self.shapes.most_common(1)[0]
        served = SERVES[own][self.kind]
        said = f"{said}: {served}" if served else said
        if len(self.shapes) == 1:
            return said
        rest = ", ".join(f"{n} {name}" for (name, _), n in self.shapes.most_common()[1:])
        return f"{said} ({count} of {self.shapes.total()} rows; also {rest})"

    def refuse_if_all_wrong(self, path: str) -> None:
        """BadData where the file plainly holds something else."""
        if self.tally.kept or 2 * self.others.total() <= self.tally.total:
            return
        (said, own), _ = self.others.most_common(1)[0]
        fits = f"; {COMMANDS[own]}{path} would fit" if own in COMMANDS else ""
        raise BadData(f"{path}: its rows are {own} ({said}), not {self.kind}{fits}")


# --- records on disk ---


def _size(record: Record) -> int:
    talk = record.messages if isinstance(record, Prompt) else record.prompt
    texts = [message.text for message in talk]
    if isinstance(record, Comparison):
        texts += record.responses
    elif not isinstance(record, Prompt):
        texts.append(record.response)
    return 1000 + sum(map(len, texts))  # 1000: what the objects themselves take


def _spell(record: Record) -> str:
    return json.dumps(row(record), ensure_ascii=False)


@dataclass(frozen=True)
class _Make:
    """The record of a line of our own."""

    kind: Kind

    def __call__(self, line: str) -> Any:
        told = json.loads(line)
        shape = find(told, self.kind)
        assert shape is not None, line
        return shape.make(told, told.get("id", ""))


_MAKE: Mapping[Kind, _Make] = {kind: _Make(kind) for kind in SERVES}
