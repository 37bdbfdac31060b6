"""Files that outlast a crash: written whole, brought to the disk, and only then named."""

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accord.errors import BadData, CannotWrite

_FULL = (errno.ENOSPC, errno.EDQUOT)
_SHUT = (errno.EROFS, errno.EACCES, errno.EPERM)
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)


@contextmanager
def writing(what: str, word: str = "out") -> Iterator[None]:
    """Turns a disk's refusal into CannotWrite: one sentence that says what could not be written.

    Libraries in Rust report a full disk as an error of their own that ends in "(os error 28)".
    """
    try:
        yield
    except OSError as error:
        where = f" ({os.fspath(error.filename)})" if isinstance(error.filename, str) else ""
        raise CannotWrite(_sentence(what + where, error.errno, str(error), word)) from error
    except Exception as error:
        code = re.search(r"\(os error (\d+)\)", str(error))
        if code is None:
            raise
        raise CannotWrite(_sentence(what, int(code[1]), str(error), word)) from error


def _sentence(what: str, code: int | None, said: str, word: str) -> str:
    if code in _FULL:
        advice = "make room, then run the same command again: it goes on from the last commit"
    elif code in _SHUT:
        advice = f"choose a folder you may write to ({word}=...)"
    else:
        advice = f"choose another folder ({word}=...)"
    return f"cannot write {what}: {os.strerror(code) if code else said}; {advice}"


def write_all(fd: int, data: bytes) -> None:
    """All of it, however little the system takes at once."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_whole(path: Path, data: bytes) -> None:
    """A file that is there with this content, or not there; never half of it."""
    draft = draft_of(path)
    write_synced(draft, data)
    os.replace(draft, path)
    sync_folder(path.parent)


def draft_of(path: Path) -> Path:
    """Where `write_whole` writes before the file has its name."""
    return path.with_name(f"tmp-{path.name}")


def write_synced(path: Path, data: bytes) -> None:
    """A new file, on the disk when this returns."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file(path: Path) -> None:
    """Bring a file that somebody wrote to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_folder(path: Path) -> None:
    """Bring a folder's list of names to the disk, where the file system knows such a thing."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(fd)


def sha256(path: Path) -> str:
    """Of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(folder: Path) -> dict[str, Path]:
    """Every file below a folder by its relative path, in order."""
    found = (path for path in folder.rglob("*") if not path.is_dir())
    return {path.relative_to(folder).as_posix(): path for path in sorted(found)}


def seal_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Bring all below a folder to the disk; {relative path: {sha256, size}}."""
    told: dict[str, dict[str, Any]] = {}
    for name, path in files_below(folder).items():
        sync_file(path)
        told[name] = {"sha256": sha256(path), "size": path.stat().st_size}
    for below in sorted(path for path in folder.rglob("*") if path.is_dir()):
        sync_folder(below)
    return told


def differs(folder: Path, told: dict[str, dict[str, Any]], *, own: str, full: bool) -> str | None:
    """The first way in which a folder is not what it was sealed as; None when it is.

    Quick: names and sizes; `full`: content too.  `own` is the file that holds the list itself.
    """
    found = files_below(folder)
    found.pop(own, None)
    for name, want in told.items():
        path = found.pop(name, None)
        if path is None:
            return f"{name} is missing"
        if (size := path.stat().st_size) != want["size"]:
            return f"{name} has {size} bytes, not {want['size']}"
        if full and sha256(path) != want["sha256"]:
            return f"{name} has another content than when it was written"
    return f"{next(iter(found))} was not there when it was written" if found else None


def dump(thing: Any) -> bytes:
    """JSON for people and machines: indented, keys in the order given, NaN refused."""
    text = json.dumps(thing, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


def read_json(path: Path) -> dict[str, Any]:
    """One JSON object; BadData names the file that holds none."""
    try:
        thing = json.loads(path.read_bytes())
    except OSError as error:
        raise BadData(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise BadData(f"{path} is not valid JSON ({error}); restore it, or start anew") from error
    if not isinstance(thing, dict):
        raise BadData(f"{path} holds no JSON object; restore it, or start anew")
    return thing
