"""What a study is called on a command line: `accord.db#stories`, the store and the study in it."""

from pathlib import Path

from accord.errors import BadSettings
from accord.store.judgements.opening import FILE, Store, open_store

MARK = "#"


def is_study(where: str | Path) -> bool:
    """Whether a word names a study in a store, and no file."""
    text = str(where)
    store, mark, name = text.rpartition(MARK)
    return bool(mark and store and name) and not Path(text).exists()


def parts(where: str | Path, store: str = FILE) -> tuple[str, str]:
    """(store, study) of a word; a name alone is a study of the usual store."""
    text = str(where)
    before, mark, name = text.rpartition(MARK)
    if not mark:
        before, name = store, text
    if not before or not name.strip():
        raise BadSettings(f"{text!r} names no study: write STORE#NAME, as accord.db#stories")
    for start in ("postgresql", "postgres"):  # a path has lost one of the two slashes
        if before.startswith(f"{start}:/") and not before.startswith(f"{start}://"):
            before = before.replace(":/", "://", 1)
    return before, name.strip()


def opened(where: str | Path, *, make: bool = False) -> tuple[Store, str]:
    """The store that a word names, open, and the study's name.

    BadSettings where there is no such store yet, unless it is to be made.
    """
    store, name = parts(where)
    if not make and "://" not in store and not Path(store).exists():
        raise BadSettings(f"{where}: there is no store {store}; `accord label` makes one")
    return open_store(store), name
