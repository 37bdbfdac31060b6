"""Weights that nothing reads for now lie in their file alone.

A model on a CPU is a mapping of its file: what of it stands in memory was brought there by reading.
The system takes that back where memory is short; here it is given back at once.  Nothing is lost:
whoever reads the weights again has them from the file again.
"""

import contextlib
import ctypes
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

MAPS = Path("/proc/self/smaps")
_HEAD = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ [1-9]")
"""begin, end and, behind what is of no account here, the number of a file"""
_DONTNEED = 4
LEAST = 1 << 24
"""bytes of a model for which it is worth looking (some hundredths of a second)"""


class Mapping(NamedTuple):
    """A stretch of memory that is a file."""

    begin: int
    end: int
    here: int
    """bytes of it that stand in memory"""
    changed: int
    """bytes of it that are no longer as in the file"""


def rest(weights: Iterable[Tensor]) -> int:
    """Give back the memory of these weights, if they are mapped from files and as they are there;
    how many bytes that were.  Only of a CPU's, under Linux.
    """
    held = [w.untyped_storage() for w in weights if w.device.type == "cpu"]
    sizes = {one.data_ptr(): one.nbytes() for one in held}
    if sum(sizes.values()) < LEAST:
        return 0
    places, given = [*sizes], 0
    for one in mapped():
        if one.here and not one.changed and any(one.begin <= at < one.end for at in places):
            ctypes.CDLL(None).madvise(
                ctypes.c_void_p(one.begin), ctypes.c_size_t(one.end - one.begin), _DONTNEED
            )
            given += one.here
    return given


def mapped() -> list[Mapping]:
    """Where this process has mapped files."""
    found: list[Mapping] = []
    head, sizes = None, dict[str, int]()
    with contextlib.suppress(OSError), MAPS.open() as lines:
        for line in lines:
            if line[0] in "0123456789abcdef":
                head, sizes = _HEAD.match(line), {}
            elif head and line.startswith(("Rss:", "Anonymous:")):
                name, size, _ = line.split()
                sizes[name] = 1024 * int(size)
                if len(sizes) == 2:
                    begin, end = (int(word, 16) for word in head.groups())
                    found.append(Mapping(begin, end, sizes["Rss:"], sizes["Anonymous:"]))
    return found
