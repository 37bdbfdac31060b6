"""Files as rows: each format yields (file, number, row) lazily, from 1, the broken rows as flaws.

JSON Lines and tables are numbered by their lines, everything else by its rows.
"""

import csv
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from warnings import warn

from accord.data.documents import json_document, json_lines
from accord.data.opening import Reader, Rows, suffix
from accord.data.pieces import Flaw
from accord.data.tables import table
from accord.errors import BadData, MissingExtra
from accord.text import hub

BATCH = 256
"""rows of a columnar file that are held at once"""
UNREADABLE = (OSError, EOFError, ValueError, OverflowError, RecursionError, csv.Error, zlib.error)
SPLITS = ("train", "validation", "valid", "dev", "test")
HUB = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")


class Entry(NamedTuple):
    """One row, and where it stands."""

    file: str
    number: int
    row: object
    """what was found there; a Flaw where it cannot be read"""
    stem: str = ""
    """what rows of this file are called, before their number; empty: by the file's own name"""


Source = Callable[[], Iterator[Entry]]
"""opens the rows again from their start"""


def source(path: str | Path, split: str | None = None) -> Source:
    """The rows of a file, a folder or a hub id; BadData, MissingExtra where there are none."""
    where = Path(path)
    if where.is_dir():
        return _folder(where, split)
    if not where.exists() and HUB.fullmatch(str(path)) and suffix(where) not in READERS:
        if where.parent.is_dir():  # a slip in a path, and no hub id
            raise BadData(f"{path}: no such file or folder (there is a folder {where.parent})")
        return _hub(str(path), split)
    if not where.is_file():
        raise BadData(f"{path}: no such file")
    if split is not None:
        raise BadData(f"{path}: split={split}, but a single file has no splits")
    return _file(where)


def _file(path: Path, called: str = "") -> Source:
    reader = READERS.get(suffix(path), json_lines)

    def entries() -> Iterator[Entry]:
        number = 0
        try:
            for number, row in reader(path):
                yield Entry(str(path), number, row, called)
        except UNREADABLE as error:
            told = str(error).splitlines()[0] if str(error) else type(error).__name__
            what = "row" if suffix(path) in (".json", ".parquet") else "line"
            raise BadData(f"{path}: cannot be read beyond {what} {number} ({told})") from error

    return entries


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
        try:
            rows = batch.to_pylist()
        except (OverflowError, ValueError):
            rows = _one_by_one(batch)
        for row in rows:
            number += 1
            yield number, row


def _one_by_one(batch: Any) -> list[object]:
    """Rows of which some hold what Python has no value for: a date beyond the year 9999."""
    names = batch.schema.names
    rows: list[object] = []
    for place in range(batch.num_rows):
        try:
            rows.append({n: _value(batch.column(i)[place]) for i, n in enumerate(names)})
        except Flaw as flaw:
            rows.append(flaw)
    return rows


def _value(cell: Any) -> object:
    """What a cell holds; the bare number of a time that is out of range."""
    try:
        return cell.as_py()
    except (OverflowError, ValueError) as error:
        if isinstance(bare := getattr(cell, "value", None), int):
            return bare
        raise Flaw("value out of range", f"a cell of type {cell.type}: {error}") from None


READERS: dict[str, Reader] = {
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
    taken = _choice(str(path), list(by_split), split)
    if split is None and taken != "all" and "all" in by_split:
        left = [one.relative_to(path).as_posix() for one in by_split["all"]]
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        warn(
            f"{path}: {taken} is read, and not {', '.join(left[:3])}{more}, whose names say no "
            "split; say split=all for those, or rename them",
            stacklevel=4,
        )
    chosen = _called(path, by_split[taken])

    def entries() -> Iterator[Entry]:
        for one, called in chosen.items():
            yield from _file(one, called)()

    return entries


def stem(name: str) -> str:
    """The name of a file without the endings that say nothing of it."""
    return name.removesuffix(".gz").removesuffix(".jsonl")


def _called(path: Path, files: list[Path]) -> dict[Path, str]:
    """What the rows of each file are called: by its name, or, where two have it, its place."""
    below = {one: one.relative_to(path).as_posix() for one in files}
    names = Counter(stem(one.name) for one in files)
    places = Counter(map(stem, below.values()))
    return {
        one: stem(one.name)
        if names[stem(one.name)] == 1
        else stem(place)
        if places[stem(place)] == 1
        else place
        for one, place in below.items()
    }


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
        with hub.briefly(repo):
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
