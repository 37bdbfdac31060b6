"""One browser for all tests of a worker."""

from collections.abc import Iterator
from typing import Any

import pytest

from browser_fakes import browser


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    with browser() as made:
        yield made
