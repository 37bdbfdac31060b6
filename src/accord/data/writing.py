"""Records as rows, and rows as files: JSON Lines, JSON, CSV, Parquet; `.gz` or not."""

import csv
import gzip
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from accord.data.opening import suffix
from accord.data.pictures import is_file
from accord.data.shapes import Record
from accord.errors import BadData, CannotWrite, MissingExtra
from accord.records import Conversation, Demonstration, Message, Prompt, Rating, plain

Rows = Iterable[Mapping[str, Any]]


def write(path: str | Path, records: Iterable[Record]) -> None:
    """Records as a file that `read` reads back equal; its ending says the format."""
    write_rows(path, map(row, records))


def write_rows(path: str | Path, rows: Rows) -> None:
    """Rows as a file, which appears whole or not at all."""
    path = Path(path)
    writer = writable(path)
    rows = (_from(path.parent, one) for one in rows)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                if path.name.lower().endswith(".gz"):
                    with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                        writer(packed, rows)  # type: ignore[arg-type]
                else:
                    writer(file, rows)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise CannotWrite(f"{path}: cannot be written ({error.strerror})") from error


def _from(home: Path, told: Any) -> Any:
    """The same, with paths of pictures that count from here counting from a folder."""
    if isinstance(told, list | tuple):
        return [_from(home, one) for one in told]
    if not isinstance(told, Mapping):
        return told
    if told.get("type") != "image" or not isinstance(told.get("path"), str):
        return {key: _from(home, one) for key, one in told.items()}
    here = told["path"]
    if Path(here).is_absolute() or not is_file(here):
        return told
    return {**told, "path": os.path.relpath(here, home)}


def writable(path: Path) -> Callable[[IO[bytes], Rows], None]:
    """What writes a file of this name; BadData where its ending names no format."""
    writer = WRITERS.get(suffix(path))
    if writer is None:
        raise BadData(f"{path}: the name must end in {', '.join(WRITERS)} (and .gz, if you like)")
    if writer is _parquet and path.name.lower().endswith(".gz"):
        raise BadData(f"{path}: Parquet packs itself, and no reader wants it packed: leave .gz out")
    return writer


def _lines(file: IO[bytes], rows: Rows) -> None:
    for one in rows:
        file.write(json.dumps(one, ensure_ascii=False).encode() + b"\n")


def _array(file: IO[bytes], rows: Rows) -> None:
    start = b"[\n"
    for one in rows:
        file.write(start + json.dumps(one, ensure_ascii=False).encode())
        start = b",\n"
    file.write(b"[]\n" if start == b"[\n" else b"\n]\n")


def _table(file: IO[bytes], rows: Rows, mark: str = ",") -> None:
    held = list(rows)
    names = list(dict.fromkeys(key for one in held for key in one))
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    writer = csv.DictWriter(text, names, delimiter=mark, lineterminator="\n", restval="")
    writer.writeheader()
    for one in held:
        writer.writerow({key: _cell(value) for key, value in one.items()})
    text.detach()


def _tabs(file: IO[bytes], rows: Rows) -> None:
    _table(file, rows, "\t")


def _cell(value: object) -> object:
    """Lists and objects as JSON, everything else as it is."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _parquet(file: IO[bytes], rows: Rows) -> None:
    try:
        import pyarrow as pa
        from pyarrow.parquet import write_table
    except ImportError:
        raise MissingExtra("Parquet needs pip install 'accord[data]'") from None
    held = [dict(one) for one in rows]
    names = list(dict.fromkeys(key for one in held for key in one))
    whole = [{name: one.get(name) for name in names} for one in held]
    try:
        made = pa.Table.from_pylist(whole)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # a text here and messages there
        flat = [{name: _cell(one[name]) for name in names} for one in whole]
        made = pa.Table.from_pylist(flat)
    write_table(made, file)


WRITERS = {
    ".jsonl": _lines,
    ".json": _array,
    ".csv": _table,
    ".tsv": _tabs,
    ".parquet": _parquet,
}


# --- records ---


def row(record: Record) -> dict[str, Any]:
    """A record as a JSON object; what is as usual is left out."""
    name = {"id": record.id} if record.id else {}
    if isinstance(record, Prompt):
        known: dict[str, Any] = {"truth": record.truth} if record.truth else {}
        known |= {"length_bonus": record.price} if record.price != 1 else {}
        return {**name, "prompt": talk(record.messages), **known}
    prompt = {**name, "prompt": talk(record.prompt)}
    if isinstance(record, Demonstration):
        author = {"author": record.author} if record.author != "human" else {}
        return {**prompt, "response": _answer(record.response), **author}
    judged = {
        "why": record.why or None,
        "judge": record.judge if record.judge != "human" else None,
    }
    if isinstance(record, Rating):
        return {
            **prompt,
            "response": _answer(record.response),
            "good": record.good,
            **_said(judged),
        }
    more = {"strength": record.strength, "p_first": record.p_first, **judged}
    return {
        **prompt,
        "responses": [_answer(text) for text in record.responses],
        "ranks": [*record.ranks],
        **_said(more),
    }


def _said(more: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in more.items() if value is not None}


def talk(conversation: Conversation) -> str | list[dict[str, Any]]:
    """A conversation as its only text, or as messages."""
    if len(conversation) == 1:
        text = conversation[0].text
        if conversation[0] == Message.of("user", text) and not _like_messages(text):
            return text
    return plain.messages(conversation)


def _answer(text: str) -> str | list[dict[str, Any]]:
    return plain.messages((Message.of("assistant", text),)) if _like_messages(text) else text


def _like_messages(text: str) -> bool:
    """Whether a reader would take a text for the JSON of messages."""
    return text.lstrip()[:1] == "[" and ('"role"' in text or '"from"' in text)
