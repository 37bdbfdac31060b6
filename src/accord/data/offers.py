"""Answers that nobody has judged yet, and prompts that nobody answered: what studies ask about.

{"prompt": "Hi", "responses": ["a", "b", "c"]}
{"prompt": "Hi", "completions": [{"model": "m", "completion": "a"}, {"model": "n", …}]}
{"prompt": "Hi", "response_a": "a", "response_b": "b", "model_a": "m", "model_b": "n"}
any shape of docs/data.md: its prompts and answers, without what was said of them
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from accord.data import formats, sources
from accord.data.beside import Beside
from accord.data.formats import Entry
from accord.data.names import Names
from accord.data.pictured import ALONE, joined, shows
from accord.data.pieces import Flaw, answer, listed, question, unpacked, words
from accord.data.tally import Tally
from accord.records import Comparison, Conversation, Prompt

ASKED = ("prompt", "instruction", "question", "context", "messages")
LISTS = ("responses", "completions", "generations", "answers", "outputs")
PAIRS = (
    ("response_a", "response_b"),
    ("response1", "response2"),
    ("response_1", "response_2"),
    ("answer1", "answer2"),
    ("left", "right"),
)
TEXTS = ("completion", "response", "text", "content", "output")
"""of an answer that is an object, the key of its words"""
VERDICTS: tuple[str, ...] = (
    "ranks",
    "ratings",
    "winner",
    "winner_model_a",
    "p_first",
    "overall_preference",
)
VERDICTS += ("preference_strength", "labels")
SNIFF = 100


@dataclass(frozen=True)
class Offer:
    """A prompt and the answers to it that may be shown, of as many models."""

    prompt: Conversation
    texts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    """who wrote each; empty: nobody says"""
    id: str = ""


@dataclass(frozen=True)
class Offers:
    """What a file held."""

    rows: Sequence[Offer]
    tally: Tally
    shape: str
    unseen: bool = False
    """whether a folder of pictures or facts of them were given, and no row shows a picture"""


def read_offers(
    path: str | Path,
    *,
    columns: Mapping[str, str] = {},
    split: str | None = None,
    beside: Beside = ALONE,
) -> Offers:
    """Every prompt of a file with its answers, if it has some; answers to one prompt together.

    BadData where the file cannot be read, or none of its rows can be used.
    """
    source = formats.source(path, split)
    if not columns and any(_own(entry.row) for entry in islice(source(), SNIFF)):
        tally = Tally()
        rows = list(together(_rows(source(), tally, beside)))
        unseen = beside != ALONE and not any(map(shows, rows))
        return Offers(rows, tally, "answers without a verdict", unseen)
    found = sources.read(path, columns=columns, split=split, beside=beside)
    rows = list(together(map(_offer, found.records)))
    return Offers(rows, found.tally, found.shape, found.unseen)


def together(offers: Iterable[Offer]) -> list[Offer]:
    """Offers with the same prompt as one; each text once."""
    found: dict[Conversation, Offer] = {}
    for one in offers:
        first = found.setdefault(one.prompt, replace(one, texts=(), models=()))
        models = one.models or ("",) * len(one.texts)
        fresh = [
            (text, model)
            for text, model in dict(zip(one.texts, models, strict=True)).items()
            if text not in first.texts
        ]
        named = (first.models or ("",) * len(first.texts)) + tuple(m for _, m in fresh)
        texts = first.texts + tuple(text for text, _ in fresh)
        found[one.prompt] = replace(first, texts=texts, models=named if any(named) else ())
    return list(found.values())


def _offer(record: Any) -> Offer:
    if isinstance(record, Prompt):
        return Offer(record.messages, id=record.id)
    if isinstance(record, Comparison):
        return Offer(record.prompt, record.responses, id=record.id)
    return Offer(record.prompt, (record.response,), id=record.id)


def _own(row: object) -> bool:
    """Whether a row has answers, and nothing that says which is better."""
    if not isinstance(row, dict) or any(row.get(key) is not None for key in VERDICTS):
        return False
    if not any(key in row for key in ASKED):
        return False
    return _list_of(row) is not None or _pair_of(row) is not None


def _list_of(row: Mapping[str, Any]) -> str | None:
    for key in LISTS:
        told = unpacked(row.get(key))
        if isinstance(told, list) and told and not _annotated(told):
            return key
    return None


def _annotated(told: list[Any]) -> bool:
    return any(isinstance(one, dict) and "annotations" in one for one in told)


def _pair_of(row: Mapping[str, Any]) -> tuple[str, str] | None:
    return next((pair for pair in PAIRS if all(row.get(key) for key in pair)), None)


def _rows(entries: Iterator[Entry], tally: Tally, beside: Beside) -> Iterator[Offer]:
    names = Names()
    for entry in entries:
        try:
            if isinstance(entry.row, Flaw):
                raise entry.row
            if not isinstance(entry.row, dict):
                raise Flaw("not an object", "the line holds no object")
            name, _ = names.name(entry, entry.row.get("id", ""))
            made = joined(_row(entry.row, name), entry.row, entry.file, beside)
        except Flaw as flaw:
            tally.drop(flaw.reason, f"{entry.file}:{entry.number}: {flaw.detail}")
            continue
        tally.keep()
        yield made


def _row(row: Mapping[str, Any], name: str) -> Offer:
    asked = next((key for key in ASKED if row.get(key) is not None), None)
    if asked is None:
        raise Flaw("missing key", f"none of {', '.join(ASKED)} is there")
    prompt = question(row[asked], asked)
    if (many := _list_of(row)) is not None:
        told = [_said(one, f"{many}[{i}]", prompt) for i, one in enumerate(listed(row[many], many))]
        models = unpacked(row.get("models"))
        if isinstance(models, list) and len(models) == len(told):
            told = [(text, str(name)) for (text, _), name in zip(told, models, strict=True)]
    elif (pair := _pair_of(row)) is not None:
        told = [
            (answer(row[key], key, prompt), str(row.get(f"model_{end}", "")))
            for key, end in zip(pair, "ab", strict=True)
        ]
    else:
        raise Flaw("no answer", f"none of {', '.join(LISTS)} is there")
    texts, by = zip(*told, strict=True)
    return Offer(prompt, texts, by if any(by) else (), name)


def _said(one: object, key: str, prompt: Conversation) -> tuple[str, str]:
    """(text, model) of an answer that is a text, messages, or an object."""
    if not isinstance(one, dict) or "role" in one:
        return answer(one, key, prompt), ""
    name = next((k for k in TEXTS if one.get(k) is not None), None)
    if name is None:
        raise Flaw("wrong type", f"key {key!r} has none of {', '.join(TEXTS)}")
    model = words(one.get("model") or "", f"{key}.model")
    return answer(one[name], f"{key}.{name}", prompt), model
