"""What all readers share: a file as bytes, and the most that one row may be."""

import gzip
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

Rows = Iterator[tuple[int, object]]
Reader = Callable[[Path], Rows]
CHUNK = 1 << 16
GIANT = 1 << 28
"""characters (of a line: bytes) that one row may have"""
NOT_UTF8 = re.compile("[\udc80-\udcff]")
"""bytes that are not UTF-8, as surrogateescape reads them"""


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The file, unpacked where its name ends in .gz."""
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        yield file  # type: ignore[misc]


def suffix(path: Path) -> str:
    """The ending that says what a file is, `.gz` left out."""
    return Path(path.name.lower().removesuffix(".gz")).suffix
