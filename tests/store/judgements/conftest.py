"""Stores on SQLite, and on a PostgreSQL server of the test's own where one can be started."""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from accord.store.judgements.opening import Store, open_store

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""many small transactions: a disk would be waited for"""
BIN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def _as_postgres(*words: str) -> None:
    """The server refuses to run as root."""
    before = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    done = subprocess.run([*before, *words], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The folder of the socket of a PostgreSQL server that lives as long as the tests."""
    if not BIN:
        pytest.skip("no PostgreSQL server is installed here")
    if os.geteuid() == 0:
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    folder = Path(tempfile.mkdtemp(prefix="accord-pg-", dir=MEMORY))
    try:
        if os.geteuid() == 0:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        data, programs = str(folder / "data"), BIN[-1]
        told = ("-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync")
        _as_postgres(str(programs / "initdb"), "-D", data, *told)
        options = f"-k {folder} -c listen_addresses='' -c fsync=off -c max_connections=200"
        control = (str(programs / "pg_ctl"), "-D", data, "-w")
        _as_postgres(*control, "-o", options, "-l", str(folder / "log"), "start")
        try:
            yield str(folder)
        finally:
            _as_postgres(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder in memory."""
    with tempfile.TemporaryDirectory(prefix="accord-", dir=MEMORY) as made:
        yield Path(made)


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, folder: Path) -> str:
    """Where an empty store can be opened: a folder, or the URL of a database of its own."""
    if request.param == "sqlite":
        return str(folder)
    socket = request.getfixturevalue("cluster")
    import psycopg

    name = f"accord_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"host={socket} user=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    return f"postgresql://postgres@/{name}?host={socket}"


@pytest.fixture
def store(where: str) -> Iterator[Store]:
    """An empty store, on both databases."""
    opened = open_store(where)
    yield opened
    opened.close()


@pytest.fixture
def lite(folder: Path) -> Iterator[Store]:
    """An empty store on SQLite: for what is the same on every database."""
    opened = open_store(folder)
    yield opened
    opened.close()
