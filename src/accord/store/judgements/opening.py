"""Opening the store: a file or a URL, brought to today's tables; reading and writing transactions.

Writers of SQLite begin with BEGIN IMMEDIATE: a transaction that first reads and then writes would
fail with "database is locked" however long it waits, since its snapshot is old by then.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError
from sqlalchemy.orm import Session

from accord.errors import BadSettings, CannotWrite
from accord.store.judgements.migrate import upgrade

FILE = "accord.db"
WAIT_S = 30
"""how long a writer waits for the others"""


def now() -> datetime:
    """The time, with its zone."""
    return datetime.now(UTC)


class Turn:
    """A lock whose waiters get it in the order in which they came.

    SQLite has one writer, and those who wait for it ask again and again: among fifty some would ask
    in vain until they give up ("database is locked").  Within a process they stand in line instead.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._line: deque[threading.Lock] = deque()
        self._taken = False

    def __enter__(self) -> None:
        with self._mutex:
            if not self._taken:
                self._taken = True
                return
            gate = threading.Lock()
            gate.acquire()
            self._line.append(gate)
        gate.acquire()

    def __exit__(self, *error: object) -> None:
        with self._mutex:
            if self._line:
                self._line.popleft().release()
            else:
                self._taken = False


class Store:
    """The open database.  Its sessions are short: one per request, closed at its end."""

    def __init__(self, engine: Engine):
        self.engine = engine
        self.postgres = engine.dialect.name == "postgresql"
        self._turn = Turn()

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads: nothing it changes is kept."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session
            session.expunge_all()  # what was read stays readable
            session.rollback()

    @contextlib.contextmanager
    def write(self, *, lasting: bool = True) -> Iterator[Session]:
        """A session in one writing transaction: all of it is kept at the end, or nothing.

        `lasting=False`: a power failure may undo it, a crash of ours never; for leases and such,
        which need not wait for the disk.
        """
        if _WRITES.get() is self:
            raise RuntimeError("a writing transaction within another one would wait for itself")
        engine = self.engine.execution_options(writes="lasting" if lasting else "quick")
        with (
            contextlib.nullcontext() if self.postgres else self._turn,
            Session(engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            _WRITES.set(self)
            try:
                if self.postgres and not lasting:
                    session.execute(text("SET LOCAL synchronous_commit TO off"))
                yield session
            finally:
                _WRITES.set(None)

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


_WRITES: ContextVar[Store | None] = ContextVar("writes", default=None)


def open_store(where: str | Path) -> Store:
    """The store in a folder (its `accord.db`), in a SQLite file, or at a PostgreSQL URL.

    Made where it is not; older tables are migrated.  BadSettings for a URL of another kind,
    CannotWrite where it cannot be opened.
    """
    try:
        url = make_url(_url(where))
    except OSError as error:
        raise CannotWrite(
            f"{where} cannot be made: {error.strerror}; choose a folder that can"
        ) from None
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise BadSettings(f"{url.render_as_string()}: judgements live in SQLite or PostgreSQL")
    lite = url.get_backend_name() == "sqlite"
    args: dict[str, Any] = {"timeout": WAIT_S, "check_same_thread": False} if lite else {}
    try:
        pool: dict[str, Any] = {"pool_size": 10, "max_overflow": 40 if lite else 5}
        pool["pool_timeout"] = 2 * WAIT_S
        engine = create_engine(url, connect_args=args, pool_pre_ping=not lite, **pool)
        if lite:
            _tame(engine)
        upgrade(engine)
    except ModuleNotFoundError as error:
        raise _missing(error) from None
    except CommandError:
        raise BadSettings(
            f"{url.render_as_string()} has tables of a later version of Accord: update Accord"
        ) from None
    except DatabaseError as error:
        raise CannotWrite(
            f"{url.render_as_string()} cannot be opened: {error.orig}; name another file"
        ) from None
    return Store(engine)


def _url(where: str | Path) -> str:
    text = str(where)
    if text.startswith(("postgres://", "postgresql://")):
        return "postgresql+psycopg://" + text.split("://", 1)[1]
    if "://" in text:
        try:
            make_url(text)
        except ArgumentError as error:
            raise BadSettings(f"{text}: {error}") from None
        return text
    path = Path(where)
    if path.suffix in (".db", ".sqlite", ".sqlite3"):
        path.parent.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{path}"
    path.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{path / FILE}"


def _missing(error: ModuleNotFoundError) -> BadSettings:
    return BadSettings(f"PostgreSQL needs {error.name}: pip install 'accord[postgres]'")


def _tame(engine: Engine) -> None:
    """Transactions are ours to begin; readers and the writer do not wait for each other (WAL)."""

    @event.listens_for(engine, "connect")
    def connected(raw: Any, record: Any) -> None:
        raw.isolation_level = None
        for pragma in ("journal_mode=WAL", "foreign_keys=ON"):
            raw.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes")
        if writes:
            how = "NORMAL" if writes == "quick" else "FULL"
            connection.exec_driver_sql(f"PRAGMA synchronous={how}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
