"""A PostgreSQL server of the tests' own, and empty databases on it."""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""many small transactions: a disk would be waited for"""
BIN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@contextmanager
def postgres() -> Iterator[str]:
    """The folder of the socket of a server; the test is skipped where none can be started."""
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


def database(socket: str) -> str:
    """The URL of a new database there."""
    import psycopg

    name = f"accord_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"host={socket} user=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    return f"postgresql://postgres@/{name}?host={socket}"


def _as_postgres(*words: str) -> None:
    """The server refuses to run as root."""
    before = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    done = subprocess.run([*before, *words], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr + done.stdout
