"""Records spelled: what a recipe lays into rows."""

import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from itertools import islice
from typing import Any, TypeVar

from accord.data.shown import Answer, Case, Laid, Shown
from accord.data.spool import Picked, gather
from accord.data.tally import Tally
from accord.errors import BadData
from accord.records import Comparison, Conversation, Demonstration, Ids, Rating, untold
from accord.text.tokenizer import Speller

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spelled:
    """A prompt with its answers as ids.  A demonstration has one answer."""

    prompt_ids: Ids
    response_ids: tuple[Ids, ...]
    ranks: tuple[int, ...]
    strength: float | None
    p_first: float | None
    id: str
    place: int = field(default=-1, compare=False)
    """its place among the records that it was spelled from; -1: nobody says"""


Told = tuple[tuple[int, ...], float | None, float | None, str]
"""ranks, strength, p_first, id"""
LOT = 1024
"""rows that are looked at together, where there may be more than memory holds"""


def spell_pairs(
    comparisons: Iterable[Comparison],
    speller: Speller,
    longest: int | None = None,
    shown: Shown = Answer(),
) -> tuple[Sequence[Spelled], Tally]:
    """Comparisons of two or more answers as ids, as a reward model is shown them, with facts in an
    order that is the same every time; on disk where they are many.

    One whose prompt and longest answer have more than `longest` tokens is dropped and counted.
    """
    rows = ((c.prompt, c.responses, (c.ranks, c.strength, c.p_first, c.id)) for c in comparisons)
    return _gather(rows, speller, longest, shown)


@dataclass(frozen=True)
class Anew:
    """Rows of `spell_pairs` laid again, their facts in an order of each epoch."""

    records: Sequence[Comparison]
    """what the rows were spelled from"""
    speller: Speller
    shown: Shown
    longest: int
    seed: int = 0

    def __call__(self, rows: Sequence[Spelled], epochs: Sequence[int]) -> list[Spelled]:
        """Each row as its epoch shows it, by seed, epoch and id alone.  One that this order makes
        longer than `longest` tokens stays as it was first laid: neither cut nor left out.
        """
        asked = []
        for row, epoch in zip(rows, epochs, strict=True):
            said = self.records[row.place]
            asked.append(Case(said.prompt, said.responses, f"{self.seed}/{epoch}/{row.id}"))
        laid = []
        for row, new in zip(rows, self.shown.many(self.speller, asked), strict=True):
            if isinstance(new, BadData):
                raise BadData(f"{row.id}: {new}")
            fits = _length(new) <= self.longest
            laid.append(replace(row, prompt_ids=new[0], response_ids=new[1]) if fits else row)
        return laid


def sides(
    rows: Sequence[Spelled], records: Sequence[Comparison], shown: Shown, share: float, seed: int
) -> tuple[Sequence[Spelled], Sequence[Spelled]]:
    """(train, held out) of rows of `spell_pairs`, by what was asked.  Shown a request, a row's
    `prompt_ids` go on into what its answers begin with alike, and do not say it.
    """
    by = None if isinstance(shown, Answer) else lambda row: prompt_of(records[row.place])
    return split(rows, share, key=by, seed=seed)


def spell_demonstrations(
    demonstrations: Sequence[Demonstration], speller: Speller, longest: int | None = None
) -> tuple[Sequence[Spelled], Tally]:
    """Demonstrations as ids; those of more than `longest` tokens are dropped and counted."""
    return _gather(alone(demonstrations), speller, longest)


def alone(demonstrations: Iterable[Demonstration]) -> "Rows":
    """Demonstrations as rows of one answer."""
    return ((d.prompt, (d.response,), ((0,), None, None, d.id)) for d in demonstrations)


def spell_ratings(
    ratings: Iterable[Rating], speller: Speller, longest: int | None = None
) -> tuple[Sequence[Spelled], Tally]:
    """Ratings as ids: one answer a row, in place 0 if it is good and 1 if not."""
    rows = ((r.prompt, (r.response,), ((int(not r.good),), None, None, r.id)) for r in ratings)
    return _gather(rows, speller, longest)


Rows = Iterator[tuple[Conversation, Sequence[str], Told]]


def _gather(
    rows: Rows, speller: Speller, longest: int | None, shown: Shown = Answer()
) -> tuple[Sequence[Spelled], Tally]:
    tally = Tally()
    return kept(spell(rows, speller, longest, tally, shown)), tally


def kept(rows: Iterable[Spelled]) -> Sequence[Spelled]:
    """Rows in memory; on disk where they are many."""
    return gather(rows, _size, _line, _unline)


def spell(
    rows: Rows, speller: Speller, longest: int | None, tally: Tally, shown: Shown = Answer()
) -> Iterator[Spelled]:
    """Rows as ids, one by one; the tally counts them as they come."""
    start = 0
    while lot := list(islice(rows, LOT)):
        asked = [Case(prompt, answers) for prompt, answers, _ in lot]
        for index, row in enumerate(shown.many(speller, asked)):
            told = lot[index][2]
            name = told[-1] or f"#{start + index}"
            if isinstance(row, BadData):
                tally.drop("cannot be spelled", f"{name}: {row}")
                continue
            length = _length(row)
            if longest is not None and length > longest:
                tally.drop(f"more than {longest} tokens", f"{name}: {length} tokens")
                continue
            tally.keep()
            yield Spelled(row[0], row[1], *told, place=start + index)
        start += len(lot)


def _length(row: Laid) -> int:
    """Tokens of the prompt with its longest answer."""
    return len(row[0]) + max(map(len, row[1]))


def _size(row: Spelled) -> int:
    """Bytes that a row takes in memory: 8 an id, and its objects."""
    return 500 + 8 * (len(row.prompt_ids) + sum(map(len, row.response_ids)))


def _line(row: Spelled) -> str:
    told = (row.ranks, row.strength, row.p_first, row.id, row.place)
    return json.dumps((row.prompt_ids, row.response_ids, *told), separators=(",", ":"))


def _unline(line: str) -> Spelled:
    prompt, answers, ranks, *rest = json.loads(line)
    return Spelled(tuple(prompt), tuple(map(tuple, answers)), tuple(ranks), *rest)


def split(
    items: Sequence[T], share: float, *, key: Callable[[T], Any] | None = None, seed: int = 0
) -> tuple[Sequence[T], Sequence[T]]:
    """(train, held out), about `share` of the prompts held out; a prompt is on one side only.

    The side is decided by a hash of the prompt, so more data never moves a prompt across.  Of two
    or more prompts, each side gets at least one.
    """
    if not 0 <= share < 1:
        raise ValueError(f"a share of {share} held out; it must be in [0, 1)")
    lots = array("Q", (int(digest([seed, (key or prompt_of)(one)])[:16], 16) for one in items))
    low, high = (min(lots), max(lots)) if lots else (0, 0)
    sides = (array("q"), array("q"))
    for place, lot in enumerate(lots):
        # both sides get one; of a single prompt nothing can be kept aside
        held = low < high and lot < high and (lot == low or lot >> 12 < share * 16**13)
        sides[bool(share) and held].append(place)
    return _pick(items, sides[0]), _pick(items, sides[1])


def without(items: Sequence[T], prompts: Iterable[Any]) -> Sequence[T]:
    """The items that answer none of these prompts; a hash of each prompt is held, no item is."""
    asked = {digest(prompt_of(one)) for one in prompts}
    places = (place for place, one in enumerate(items) if digest(prompt_of(one)) not in asked)
    return _pick(items, array("q", places))


def _pick(items: Sequence[T], places: Sequence[int]) -> Sequence[T]:
    """In memory what is there already; what is on disk stays there."""
    return [items[i] for i in places] if isinstance(items, list) else Picked(items, places)


def lots(items: Sequence[T], size: int | None = None) -> Iterator[Sequence[T]]:
    """The items, LOT at a time; those of a short sequence all at once."""
    size = size or LOT
    for start in range(0, len(items), size):
        yield [items[i] for i in range(start, min(start + size, len(items)))]


def prompt_of(item: Any) -> Any:
    """What an item answers: its prompt ids, or its messages without what judges alone are told, for
    the same question is the same whoever knows something of it.
    """
    for name in ("prompt_ids", "messages", "prompt"):
        if hasattr(item, name):
            told = getattr(item, name)
            return plain(told if name == "prompt_ids" else untold(told))
    raise TypeError(f"{type(item).__name__} has no prompt; give split a key")


def fingerprint(items: Iterable[Any]) -> str:
    """SHA-256 of what records say, in their order.  Their ids are names and do not count; nor does
    what a prompt's answer should be, which is for a reward that goes by it to tell (`which`).
    """
    whole = sha256()
    for item in items:
        told = {k: v for k, v in asdict(item).items() if k not in ("id", "truth")}
        if told.get("price") == 1.0:  # as for all who never heard of one
            del told["price"]
        whole.update(digest([type(item).__name__, told]).encode())
    return whole.hexdigest()


def plain(thing: Any) -> Any:
    """Records inside tuples as lists and dicts."""
    if isinstance(thing, tuple | list):
        return [plain(part) for part in thing]
    return asdict(thing) if hasattr(thing, "__dataclass_fields__") else thing


def digest(thing: Any) -> str:
    """SHA-256 of canonical JSON."""
    return sha256(json.dumps(thing, sort_keys=True).encode()).hexdigest()
