"""Files of prompts, demonstrations and comparisons, in and out: JSON Lines, `.gz` or not.

    {"prompt": "Once upon"}                                  or {"messages": [{"role", "content"}]}
    {"prompt": …, "response": " a time"}                     or "completion", or {"messages": [… ]}
    {"text": "Once upon a time"}                             plain text, to be remembered
    {"prompt": …, "chosen": …, "rejected": …}                or without prompt: whole conversations
    {"prompt": …, "responses": [a, b, c], "ranks": [0, 1, 1]}    or "p_first" for two

A prompt is a text or a list of messages.  Comparisons may also have strength (or margin), p_first,
judge and why; every row may have an id, and is else called file:line.  Other keys are left alone.
Lines that cannot be used are counted by reason, never repaired and never silently dropped.
"""

import gzip
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from accord.data.shapes import (
    COMPARISONS,
    DEMONSTRATIONS,
    PROMPTS,
    TEXTS,
    Flaw,
    Shape,
    record,
)
from accord.data.tally import Tally
from accord.errors import BadData, CannotWrite
from accord.records import Comparison, Conversation, Demonstration, Message, Prompt, Text

Record = Prompt | Demonstration | Comparison
R = TypeVar("R", Prompt, Demonstration, Comparison)


def read_prompts(path: str | Path) -> tuple[list[Prompt], Tally]:
    """The prompts of a file, and what became of each line."""
    return _read(Path(path), PROMPTS)


def read_demonstrations(path: str | Path) -> tuple[list[Demonstration], Tally]:
    """The demonstrations of a file, and what became of each line."""
    return _read(Path(path), DEMONSTRATIONS)


def read_texts(path: str | Path) -> tuple[list[Demonstration], Tally]:
    """Plain texts, as answers to nobody, or demonstrations; and what became of each line."""
    return _read(Path(path), TEXTS)


def read_comparisons(path: str | Path) -> tuple[list[Comparison], Tally]:
    """The comparisons of a file, and what became of each line."""
    return _read(Path(path), COMPARISONS)


def write(path: str | Path, records: Iterable[Record]) -> None:
    """Records as JSON Lines that the readers above read back equal; the file appears whole."""
    path = Path(path)
    data = "".join(json.dumps(row(one), ensure_ascii=False) + "\n" for one in records).encode()
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(data)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise CannotWrite(f"{path}: cannot be written ({error.strerror})") from error


def row(record: Record) -> dict[str, Any]:
    """A record as a JSON object; what is as usual is left out."""
    name = {"id": record.id} if record.id else {}
    if isinstance(record, Prompt):
        return {**name, "prompt": _talk(record.messages)}
    prompt = {**name, "prompt": _talk(record.prompt)}
    if isinstance(record, Demonstration):
        author = {"author": record.author} if record.author != "human" else {}
        return {**prompt, "response": record.response, **author}
    more: dict[str, Any] = {
        "strength": record.strength,
        "p_first": record.p_first,
        "why": record.why or None,
        "judge": record.judge if record.judge != "human" else None,
    }
    more = {key: value for key, value in more.items() if value is not None}
    return {**prompt, "responses": [*record.responses], "ranks": [*record.ranks], **more}


def _talk(messages: Conversation) -> str | list[dict[str, Any]]:
    if len(messages) == 1 and messages[0] == Message.of("user", messages[0].text):
        return messages[0].text
    return [{"role": message.role, "content": _content(message)} for message in messages]


def _content(message: Message) -> str | list[dict[str, str]]:
    if message == Message.of(message.role, message.text):
        return message.text
    return [
        {"type": "text", "text": part.text}
        if isinstance(part, Text)
        else {"type": "image", "path": part.path}
        for part in message.content
    ]


def _read(path: Path, shapes: Sequence[Shape[R]]) -> tuple[list[R], Tally]:
    records: list[R] = []
    tally = Tally()
    first: dict[str, int] = {}
    stem = path.name.removesuffix(".gz").removesuffix(".jsonl")
    for line, raw in _lines(path):
        try:
            one = record(_parse(raw), shapes, f"{stem}:{line}")
            if first.setdefault(one.id, line) != line:
                raise Flaw(
                    "id used twice", f"id {one.id!r} is already that of line {first[one.id]}"
                )
        except Flaw as flaw:
            tally.drop(flaw.reason, f"{path}:{line}: {flaw.detail}")
            continue
        tally.keep()
        records.append(one)
    return records, tally


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number from 1, bytes) of every line that is not blank."""
    if not path.is_file():
        raise BadData(f"{path}: no such file")
    line = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for line, raw in enumerate(file, 1):
                if raw.strip():
                    yield line, raw
    except (OSError, EOFError) as error:
        raise BadData(f"{path}: cannot be read beyond line {line} ({error})") from error


def _parse(raw: bytes) -> object:
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise Flaw("not UTF-8", f"byte {error.start + 1} of the line is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise Flaw("not JSON", f"the line is not JSON ({error})") from None
