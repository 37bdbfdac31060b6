"""The tables are what the migrations make, and old databases are brought along."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from accord.errors import BadSettings, CannotWrite
from accord.store.judgements import migrate, people
from accord.store.judgements.opening import Store, open_store
from accord.store.judgements.tables import Table

STEPS = [one.revision for one in ScriptDirectory(str(migrate.HERE)).walk_revisions()]


def test_the_tables_are_what_the_migrations_make(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "render_as_batch": True}
        )
        assert compare_metadata(context, Table.metadata) == []
        assert context.get_current_revision() == STEPS[0]


@pytest.mark.parametrize("start", STEPS)
def test_a_database_of_every_revision_opens(
    where: str, start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as then:
        then.setattr(
            "accord.store.judgements.opening.upgrade", lambda engine: migrate.upgrade(engine, start)
        )
        old = open_store(where)
    with old.engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == start
    old.close()
    store = open_store(where)
    people.add(store, "Ada", "owner")
    assert {*inspect(store.engine).get_table_names()} >= {*Table.metadata.tables}
    store.close()


def test_opening_again_keeps_what_is_there(where: str) -> None:
    store = open_store(where)
    people.add(store, "Ada", "owner")
    store.close()
    again = open_store(where)
    assert [one.name for one in people.users(again)] == ["Ada"]
    again.close()


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="SQLite or PostgreSQL"):
        open_store("mysql://here/db")
    with pytest.raises(CannotWrite, match="cannot be opened"):
        open_store("postgresql://nobody@127.0.0.1:1/none?connect_timeout=1")
    (tmp_path / "a.db").write_text("this is no database, only a text of some length " * 40)
    with pytest.raises(CannotWrite, match=r"a\.db"):
        open_store(tmp_path / "a.db")
