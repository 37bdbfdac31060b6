"""Files as rows: each format yields (file, number, row) lazily, from 1, the broken rows as flaws.

JSON Lines and tables are numbered by their lines, everything else by its rows.
"""

import codecs
import csv
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from accord.data.pieces import Flaw
from accord.errors import BadData, MissingExtra

CHUNK = 1 << 16
BATCH = 256
"""rows of a columnar file that are held at once"""
UNREADABLE = (OSError, EOFError, ValueError, RecursionError, csv.Error, zlib.error)
SPLITS = ("train", "validation", "valid", "dev", "test")
HUB = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")
NOT_UTF8 = re.compile("[\udc80-\udcff]")
csv.field_size_limit(2**31 - 1)


class Entry(NamedTuple):
    """One row, and where it stands."""

    file: str
    number: int
    row: object
    """what was found there; a Flaw where it cannot be read"""


Rows = Iterator[tuple[int, object]]
Source = Callable[[], Iterator[Entry]]
"""opens the rows again from their start"""


def source(path: str | Path, split: str | None = None) -> Source:
    """The rows of a file, a folder or a hub id; BadData, MissingExtra where there are none."""
    where = Path(path)
    if where.is_dir():
        return _folder(where, split)
    if not where.exists() and HUB.fullmatch(str(path)) and suffix(where) not in READERS:
        return _hub(str(path), split)
    if not where.is_file():
        raise BadData(f"{path}: no such file")
    if split is not None:
        raise BadData(f"{path}: split={split}, but a single file has no splits")
    return _file(where)


def suffix(path: Path) -> str:
    """The ending that says what a file is, `.gz` left out."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _file(path: Path) -> Source:
    reader = READERS.get(suffix(path), json_lines)

    def entries() -> Iterator[Entry]:
        number = 0
        try:
            for number, row in reader(path):
                yield Entry(str(path), number, row)
        except UNREADABLE as error:
            told = str(error).splitlines()[0] if str(error) else type(error).__name__
            what = "row" if suffix(path) in (".json", ".parquet") else "line"
            raise BadData(f"{path}: cannot be read beyond {what} {number} ({told})") from error

    return entries


@contextmanager
def _bytes(path: Path) -> Iterator[IO[bytes]]:
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        yield file  # type: ignore[misc]


# --- JSON ---


def json_lines(path: Path) -> Rows:
    """One object a line; blank lines are passed over."""
    with _bytes(path) as file:
        for line, raw in enumerate(file, 1):
            if raw.removeprefix(codecs.BOM_UTF8).strip():
                yield line, parsed(raw)


def parsed(raw: bytes) -> object:
    """What a line of JSON holds, or the flaw that it has."""
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Flaw("not UTF-8", f"byte {error.start + 1} of the line is not UTF-8")
    except (ValueError, RecursionError) as error:
        return Flaw("not JSON", f"the line is not JSON ({error})")


def json_document(path: Path) -> Rows:
    """An array, streamed; an object that holds one array of rows; or lines under the wrong name."""
    with _bytes(path) as file:
        start = file.read(CHUNK).decode("utf-8-sig", errors="ignore").lstrip()
    if start.startswith("["):
        yield from _array(path)
    elif start.startswith("{") and not isinstance(parsed(start.split("\n")[0].encode()), Flaw):
        yield from _lines_or_one(path)
    else:
        yield from _document(path)


def _lines_or_one(path: Path) -> Rows:
    """A file whose first line is an object: lines, or that object alone."""
    lines = json_lines(path)
    first, second = next(lines), next(lines, None)
    if second is None:
        yield from _inside(first[1])
    else:
        yield first
        yield second
        yield from lines


def _document(path: Path) -> Rows:
    with _bytes(path) as file:
        yield from _inside(json.loads(file.read().decode("utf-8-sig")))


def _inside(whole: object) -> Rows:
    lists = [v for v in whole.values() if isinstance(v, list)] if isinstance(whole, dict) else []
    rows = lists[0] if len(lists) == 1 and isinstance(whole, dict) and len(whole) <= 3 else None
    if rows and all(isinstance(row, dict) and row.keys() - {"role", "content"} for row in rows):
        yield from enumerate(rows, 1)
    else:
        yield 1, whole


GIANT = 1 << 28
"""characters that one element of an array may have"""
GAP = re.compile(r"[ \t\r\n]*")


class _Text:
    """Text that is read as far as it is looked at, and forgotten behind the place."""

    def __init__(self, pieces: Iterator[str]):
        self.pieces, self.text, self.at = pieces, "", 0

    def grow(self) -> bool:
        """As much again as is there, so that a giant is not parsed again for every piece."""
        self.text, self.at = self.text[self.at :], 0
        got, goal = [], len(self.text) + 1
        while goal > 0 and (piece := next(self.pieces, None)) is not None:
            got.append(piece)
            goal -= len(piece)
        self.text += "".join(got)
        if len(self.text) > GIANT:
            raise ValueError(f"an element of more than {GIANT} characters")
        return bool(got)

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            found = GAP.match(self.text, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.text) or not self.grow():
                return self.text[self.at : self.at + 1]

    def take(self, decode: Callable[[str, int], tuple[object, int]]) -> object:
        """The JSON value that begins here."""
        while True:
            try:
                row, end = decode(self.text, self.at)
            except json.JSONDecodeError:
                if not self.grow():
                    raise
                continue
            if end == len(self.text) and self.grow():
                continue  # a number may go on
            self.at = end if end <= len(self.text) else self.at
            if self.at > 4 * CHUNK:
                self.text, self.at = self.text[self.at :], 0
            return row


def _array(path: Path) -> Rows:
    """The elements of an array, one after the other, of whatever length the file is."""
    decode = json.JSONDecoder().raw_decode
    with _bytes(path) as file:
        text = _Text(codecs.iterdecode(iter(lambda: file.read(CHUNK), b""), "utf-8-sig"))
        text.peek()
        text.at += 1  # the bracket
        number = 0
        while text.peek() != "]":
            if number:
                if text.peek() != ",":
                    raise ValueError("the array does not end, or a comma is missing")
                text.at += 1
                text.peek()
            number += 1
            yield number, text.take(decode)
        text.at += 1
        if text.peek():
            raise ValueError("something follows the end of the array")


# --- tables ---


def table(path: Path) -> Rows:
    """Comma, semicolon, tab or bar between the cells; the first row names the columns."""
    with _bytes(path) as raw:
        text = codecs.getreader("utf-8-sig")(raw, "surrogateescape")
        lines = _until_newline(text)
        first = next(lines, "")
        while first and not first.strip():
            first = next(lines, "")
        mark = _delimiter(first, suffix(path))
        reader = csv.reader(_again(first, lines), delimiter=mark, strict=True)
        names = next(reader, [])
        if len(set(names)) < len(names):
            raise ValueError(f"two columns have the same name: {', '.join(names)}")
        yield from _cells(reader, names)


def _until_newline(text: Any) -> Iterator[str]:
    """Lines with their ends; only \\n and \\r\\n end one, as the quotes of a table need it."""
    kept = ""
    while piece := text.read(CHUNK):
        *done, kept = (kept + piece).split("\n")
        yield from (line + "\n" for line in done)
    if kept:
        yield kept


def _again(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines


def _delimiter(header: str, ending: str) -> str:
    if ending == ".tsv":
        return "\t"
    return max(",;\t|", key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))


def _cells(reader: Any, names: list[str]) -> Rows:
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise ValueError(f"line {line}: a quote is never closed") from None
            yield line, Flaw("not a table row", f"the cells cannot be told apart ({error})")
            continue
        if not cells:
            continue
        if len(cells) != len(names):
            yield line, Flaw("ragged row", f"{len(cells)} cells under {len(names)} columns")
        elif any(map(NOT_UTF8.search, cells)):
            yield line, Flaw("not UTF-8", "a cell holds bytes that are not UTF-8")
        else:
            yield line, dict(zip(names, cells))


# --- columnar files ---


def parquet(path: Path) -> Rows:
    """The rows of a Parquet file, a few at a time."""
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise MissingExtra(f"{path}: Parquet needs pip install 'accord[data]'") from None
    try:
        with ParquetFile(path) as file:
            yield from _batches(file.iter_batches(BATCH))
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error


def _batches(batches: Any) -> Rows:
    number = 0
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            yield number, row


READERS: dict[str, Callable[[Path], Rows]] = {
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".json": json_document,
    ".csv": table,
    ".tsv": table,
    ".parquet": parquet,
}


# --- folders and the hub ---


def _folder(path: Path, split: str | None) -> Source:
    """What `save_to_disk` wrote, or files of data, named by split or not."""
    if (path / "dataset_dict.json").is_file():
        return _saved(path / _choice(str(path), _splits(path / "dataset_dict.json"), split))
    if (path / "state.json").is_file():
        if split is not None:
            raise BadData(f"{path}: split={split}, but this dataset has no splits")
        return _saved(path)
    files = sorted(one for one in path.rglob("*") if one.is_file() and suffix(one) in READERS)
    files = [one for one in files if one.name != "dataset_infos.json"]
    if not files:
        raise BadData(f"{path}: no data in this folder ({', '.join(READERS)}, or save_to_disk)")
    by_split: dict[str, list[Path]] = {}
    for one in files:
        said = re.split(r"[^a-z]+", one.relative_to(path).as_posix().lower())
        by_split.setdefault(next((s for s in SPLITS if s in said), "all"), []).append(one)
    chosen = by_split[_choice(str(path), list(by_split), split)]

    def entries() -> Iterator[Entry]:
        for one in chosen:
            yield from _file(one)()

    return entries


def _splits(path: Path) -> list[str]:
    try:
        told = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise BadData(f"{path}: not the list of a dataset's splits ({error})") from error
    splits = told.get("splits") if isinstance(told, dict) else None
    if not isinstance(splits, list) or not splits or not all(isinstance(s, str) for s in splits):
        raise BadData(f"{path}: not the list of a dataset's splits")
    return [s for s in splits if Path(s).name == s]  # a split is a folder below, nowhere else


def _choice(path: str, splits: list[str], split: str | None) -> str:
    """The split that is asked for, the only one, or train."""
    if split is None:
        split = splits[0] if len(splits) == 1 else "train"
    if not splits:
        raise BadData(f"{path}: this dataset lists no split that can be opened")
    if split not in splits:
        raise BadData(f"{path}: no split {split!r}; it has {', '.join(splits)}: say split=NAME")
    return split


def _datasets(what: str) -> Any:
    try:
        import datasets
    except ImportError:
        raise MissingExtra(f"{what}: a dataset needs pip install 'accord[data]'") from None
    return datasets


def _saved(path: Path) -> Source:
    datasets = _datasets(str(path))
    try:
        made = datasets.load_from_disk(str(path))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadData(f"{path}: not a dataset that save_to_disk wrote ({error})") from error
    return _arrow(made, str(path))


def _hub(name: str, split: str | None) -> Source:
    """owner/name or owner/name:config, through the cache of `datasets`; no code of theirs runs."""
    datasets = _datasets(name)
    repo, _, config = name.partition(":")
    datasets.disable_progress_bars()
    try:
        made = datasets.load_dataset(repo, config or None)
    except (OSError, ValueError, RuntimeError) as error:
        told = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadData(
            f"{name}: no such file, and no dataset that can be loaded ({told})"
        ) from error
    return _arrow(made[_choice(name, list(made), split)], name)


def _arrow(made: Any, name: str) -> Source:
    def entries() -> Iterator[Entry]:
        tables = made.with_format("arrow").iter(batch_size=BATCH)
        return (Entry(name, number, row) for number, row in _batches(tables))

    return entries
