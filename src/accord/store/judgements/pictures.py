"""Pictures of prompts: copied into one folder beside the store, and called by their content.

The site shows what lies there and nothing else; so what is imported by hand is brought, and what
comes over the web must be there already.
"""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

from accord.errors import BadData
from accord.records import Conversation, Image
from accord.store import files
from accord.store.judgements.opening import Store

FOLDER = "files"
SHOWN = 200
"""letters of a path that an error tells"""


def home(store: Store, runs: Path = Path("runs")) -> Path:
    """Where pictures lie: beside a SQLite file, or in the runs folder for PostgreSQL."""
    database = store.engine.url.database
    folder = runs if store.postgres or not database else Path(database).parent
    return (folder / FOLDER).resolve()


def brought(talk: Sequence[Any], home: Path) -> list[Any]:
    """Messages whose pictures lie in the folder: those named by a path elsewhere are copied, and
    called by a hash of their bytes.  BadData for one that is nowhere.
    """
    return [
        one
        if isinstance(one["content"], str)
        else {**one, "content": [_brought(part, home) for part in one["content"]]}
        for one in talk
    ]


def _brought(part: dict[str, Any], home: Path) -> dict[str, Any]:
    if part.get("type") != "image":
        return part
    path = part["path"]
    if _is_file(home / path) and (home / path).resolve().is_relative_to(home):
        return part
    source = Path(path)
    if not _is_file(source):
        raise BadData(f"{path[:SHOWN]}: there is no such picture, nor one of that name in {home}")
    return {**part, "path": keep(home, source.read_bytes(), source.suffix.lower())}


def keep(home: Path, data: bytes, suffix: str) -> str:
    """What a picture is called in the folder, where it lies from now on."""
    name = f"{sha256(data).hexdigest()[:24]}{suffix}"
    if not (home / name).exists():
        with files.writing(str(home)):
            home.mkdir(parents=True, exist_ok=True)
            aside = home / f"{name}.{token_hex(4)}.part"  # two may bring the same one at once
            aside.write_bytes(data)
            aside.replace(home / name)
    return name


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # what can be no path
        return False


def found(talk: Conversation, home: Path) -> Conversation:
    """The conversation with the paths under which its pictures can be opened."""
    return tuple(
        one
        if not one.images
        else replace(
            one,
            content=tuple(
                Image(str(home / part.path))
                if isinstance(part, Image) and _is_file(home / part.path)
                else part
                for part in one.content
            ),
        )
        for one in talk
    )
