"""Opened stores."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from accord.store.judgements.opening import Store, open_store


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
