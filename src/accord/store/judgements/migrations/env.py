"""Alembic's entry: it is only ever called by `migrate.upgrade`, which brings the connection."""

from alembic import context

from accord.store.judgements.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,
)
context.run_migrations()
