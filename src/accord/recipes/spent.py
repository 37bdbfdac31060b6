"""What a piece of work takes: the most memory that was held while it went on."""

import ctypes
import gc
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from accord.store import files

T = TypeVar("T")
FILE = "memory.json"
_SELF = Path("/proc/self")


def metered(folder: Path, work: Callable[[], T]) -> tuple[T, float | None]:
    """What the work returns, and its peak in MB, which is kept in the folder: work that was found
    done is not measured again.

    On a CPU the resident memory of the whole process, what stood there before included; with a GPU
    what torch holds on it.  None where the system does not tell (only Linux does).
    """
    file = folder / FILE
    known = files.read_json(file)["peak_mb"] if file.is_file() else None
    begin()
    made = work()
    if known is None and (known := peak()) is not None and folder.is_dir():
        files.write_whole(file, files.dump({"peak_mb": known}))
    return made, known


def begin() -> None:
    """Forget earlier peaks; give back what earlier work left over, that it may not count here."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl has not
        if trim is not None:
            trim(0)
        try:
            (_SELF / "clear_refs").write_text("5")
        except OSError:  # a sandbox may refuse; the peak is then that of the whole life
            return


def peak() -> float | None:
    """MB since `begin`."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    if sys.platform != "linux":
        return None
    found = re.search(r"VmHWM:\s*(\d+) kB", (_SELF / "status").read_text())
    return int(found[1]) * 1024 / 1e6 if found else None
