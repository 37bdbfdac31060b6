"""A store that cannot be opened says why, in one sentence."""

import sqlite3
from pathlib import Path

import pytest

from accord.errors import BadSettings, CannotWrite
from accord.store.judgements.opening import open_store


def test_what_is_no_database_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_bytes(b"not a database at all, but somebody's notes" * 100)
    before = path.read_bytes()
    with pytest.raises(CannotWrite, match=r"notes\.db cannot be opened: file is not a database"):
        open_store(path)
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for where in (tmp_path / "file" / "accord.db", tmp_path / "file" / "folder"):
        with pytest.raises(CannotWrite, match=r"cannot be made: (Not a directory|File exists)"):
            open_store(where)


def test_tables_of_a_later_version_are_not_touched(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    with sqlite3.connect(tmp_path / "accord.db") as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    with pytest.raises(BadSettings, match=r"later version of Accord: update"):
        open_store(tmp_path)
