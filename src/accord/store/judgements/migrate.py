"""Bringing a database to the tables of this version, with Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

HERE = Path(__file__).parent / "migrations"


def upgrade(engine: Engine, to: str = "head") -> None:
    """All steps from where the database is; in one transaction, so that two at once are safe."""
    config = Config()
    config.set_main_option("script_location", str(HERE))
    with engine.execution_options(writes="lasting").begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, to)
