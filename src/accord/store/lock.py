"""One writer per folder.  The lock dies with its process, however that ends."""

import contextlib
import errno
import fcntl
import json
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from accord.errors import CannotWrite
from accord.store.files import write_all, writing

_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_held: dict[Path, "Lock"] = {}


class Lock:
    """A folder held for writing.

    Another process that asks for it gets CannotWrite naming this one.  Within one process the newer
    asker takes it over (a run that broke off can be taken up again in the same notebook), and
    `check` then refuses the older one.
    """

    fd: int
    """-1: not ours any more"""

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        before = _held.get(self.folder)
        if before and not before.there():
            before.release()
            before = None
        self.fd = before.fd if before else self._take()
        if before:
            before.fd = -1
        _held[self.folder] = self

    def _take(self) -> int:
        fd = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._hold(fd)
            os.ftruncate(fd, 0)
            write_all(fd, json.dumps({"pid": os.getpid(), "host": os.uname().nodename}).encode())
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _hold(self, fd: int) -> None:
        for _ in range(10):
            try:
                return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.02)  # somebody may only be looking (`holder`)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
                return warnings.warn(f"{self.folder}: this file system cannot lock", stacklevel=5)
        raise self._refusal(fd)

    def _refusal(self, fd: int) -> CannotWrite:
        return CannotWrite(
            f"{self.folder} is being written by {_who(os.pread(fd, 1000, 0))}; "
            "wait for it, stop it, or choose another folder (out=...)"
        )

    def check(self) -> None:
        """Still ours?"""
        if self.fd < 0:
            raise CannotWrite(f"{self.folder} has been taken over by a newer Run of this process")

    def there(self) -> bool:
        """Whether what we hold is still the folder's lock, and not one that was removed."""
        try:
            named, held = os.stat(self.folder / "lock"), os.fstat(self.fd)
        except OSError:
            return False
        return (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)

    def release(self) -> None:
        """Let the next one in."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            _held.pop(self.folder, None)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[Lock]:
    """A folder, made where there is none, held for as long as this lasts."""
    with writing(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(folder)
    try:
        yield lock
    finally:
        lock.release()


def holder(folder: Path) -> str | None:
    """Who writes into a folder at this moment ("process 4711"), or None."""
    try:
        fd = os.open(folder / "lock", os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _who(os.pread(fd, 1000, 0))
    except OSError:
        return None
    finally:
        os.close(fd)
    return None


def _who(said: bytes) -> str:
    try:
        told = json.loads(said)
        here = told["host"] == os.uname().nodename
        return f"process {told['pid']}" + ("" if here else f" on {told['host']}")
    except (ValueError, KeyError, TypeError):
        return "another process"


def _let_go() -> None:
    # a forked worker that outlives its parent must not hold the parent's lock
    for lock in _held.values():
        with contextlib.suppress(OSError):
            os.close(lock.fd)
        lock.fd = -1
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
