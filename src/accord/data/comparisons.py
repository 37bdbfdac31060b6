"""Records spelled: what a recipe lays into rows."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, TypeVar

from accord.data.tally import Tally
from accord.errors import BadData
from accord.records import Comparison, Conversation, Demonstration, Ids
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


def spell_pairs(
    comparisons: Sequence[Comparison], speller: Speller, longest: int | None = None
) -> tuple[list[Spelled], Tally]:
    """Comparisons of two or more answers as ids.

    One whose prompt and longest answer have more than `longest` tokens is dropped and counted.
    """
    rows = [(c.prompt, c.responses) for c in comparisons]
    told = [(c.ranks, c.strength, c.p_first, c.id) for c in comparisons]
    return _spell(rows, told, speller, longest)


def spell_demonstrations(
    demonstrations: Sequence[Demonstration], speller: Speller, longest: int | None = None
) -> tuple[list[Spelled], Tally]:
    """Demonstrations as ids; those of more than `longest` tokens are dropped and counted."""
    rows = [(d.prompt, (d.response,)) for d in demonstrations]
    return _spell(rows, [((0,), None, None, d.id) for d in demonstrations], speller, longest)


Told = tuple[tuple[int, ...], float | None, float | None, str]
LOT = 1024
"""rows encoded at once"""


def _spell(
    rows: Sequence[tuple[Conversation, Sequence[str]]],
    told: Sequence[Told],
    speller: Speller,
    longest: int | None,
) -> tuple[list[Spelled], Tally]:
    spelled, tally = [], Tally()
    for start in range(0, len(rows), LOT):
        for index, row in enumerate(speller.many(rows[start : start + LOT]), start):
            name = told[index][-1] or f"#{index}"
            if isinstance(row, BadData):
                tally.drop("cannot be spelled", f"{name}: {row}")
                continue
            prompt, answers = row
            length = len(prompt) + max(map(len, answers))
            if longest is not None and length > longest:
                tally.drop(f"more than {longest} tokens", f"{name}: {length} tokens")
                continue
            tally.keep()
            spelled.append(Spelled(prompt, answers, *told[index]))
    return spelled, tally


def split(
    items: Sequence[T], share: float, *, key: Callable[[T], Any] | None = None, seed: int = 0
) -> tuple[list[T], list[T]]:
    """(train, held out), about `share` of the prompts held out; a prompt is on one side only.

    The side is decided by a hash of the prompt, so more data never moves a prompt across.  Of two
    or more prompts, each side gets at least one.
    """
    if not 0 <= share < 1:
        raise ValueError(f"a share of {share} held out; it must be in [0, 1)")
    keys = [digest([seed, (key or prompt_of)(item)]) for item in items]
    lots = sorted(set(keys))
    held = {lot for lot in lots if int(lot[:13], 16) < share * 16**13}
    if share:  # of a single prompt nothing can be kept aside
        held = held - {lots[-1]} | {lots[0]} if len(lots) > 1 else set()
    sides: tuple[list[T], list[T]] = ([], [])
    for item, lot in zip(items, keys, strict=True):
        sides[lot in held].append(item)
    return sides


def prompt_of(item: Any) -> Any:
    """What an item answers: its messages or prompt ids."""
    for name in ("prompt_ids", "messages", "prompt"):
        if hasattr(item, name):
            return plain(getattr(item, name))
    raise TypeError(f"{type(item).__name__} has no prompt; give split a key")


def fingerprint(items: Iterable[Any]) -> str:
    """SHA-256 of what records say, in their order; their ids are names and do not count."""
    whole = sha256()
    for item in items:
        told = {k: v for k, v in asdict(item).items() if k != "id"}
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
