"""One thread a worker, no network, and the large fixtures that may or may not be at hand."""

import gc
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from database_fakes import MEMORY, database, postgres

# before anything imports torch
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# a disk would be waited for each time a file is brought to it; the folders come to some 100 MB
if MEMORY and shutil.disk_usage(MEMORY).free > 4 * 10**9:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", MEMORY)

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


def pytest_collection_finish() -> None:
    """What is imported by now stays: the collector need not walk through all of torch each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's own folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """A file or folder of ../shared by name; where it is absent the test is skipped and says so."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"../shared/{name} is not here")
        return path

    return find


@pytest.fixture(scope="session")
def stories260k(shared: Callable[[str], Path]) -> Path:
    """Folder of the unit model: a Llama of 260 thousand parameters."""
    return shared("models/stories260K-hf")


@pytest.fixture(scope="session")
def stories15m(shared: Callable[[str], Path]) -> Path:
    """Folder of a Llama of 15 million parameters that writes fluent stories."""
    return shared("models/stories15M-hf")


@pytest.fixture(scope="session")
def golden(shared: Callable[[str], Path]) -> Any:
    """Numbers made by the authors' code, for the maths tests."""
    return json.loads(shared("golden/fixtures.json").read_text())


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder in memory."""
    with tempfile.TemporaryDirectory(prefix="accord-", dir=MEMORY) as made:
        yield Path(made)


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The folder of the socket of a PostgreSQL server that lives as long as the tests."""
    with postgres() as socket:
        yield socket


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, folder: Path) -> str:
    """Where an empty store can be opened: a folder, or the URL of a database of its own."""
    if request.param == "sqlite":
        return str(folder)
    return database(request.getfixturevalue("cluster"))
