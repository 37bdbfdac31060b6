"""Freed memory goes back, also from between what is kept; training with recompute asks for that."""

import subprocess
import sys

import pytest

from accord.engine import frugal, handle
from accord.engine.steps import Optimizer
from toys import toy_policy

PROGRAM = """
import ctypes, resource, sys
from importlib.util import module_from_spec, spec_from_file_location

def here():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20

spec = spec_from_file_location("frugal", sys.argv[1])
module = module_from_spec(spec)
spec.loader.exec_module(module)
told = sys.argv[2] == "plain" or module.frugal()
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
c.free.argtypes = [ctypes.c_void_p]
c.free(c.malloc(4 << 20))  # the library learns that pieces of this size come and go
before, large, kept = here(), [], []
for _ in range(50):
    large.append(c.malloc(2 << 20))
    kept.append(c.malloc(4096))
    ctypes.memset(large[-1], 1, 2 << 20)
    ctypes.memset(kept[-1], 1, 4096)
for one in large:
    c.free(one)
print(int(told), here() - before)
"""


def left(how: str) -> int:
    """Megabytes of 100 that stay with a process after it gave them back."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(frugal.__file__), how], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    told, stays = map(int, done.stdout.split())
    if not told:
        pytest.skip("this C library is not glibc")
    return stays


@pytest.mark.skipif(sys.platform != "linux", reason="is measured under Linux")
def test_what_is_freed_between_what_is_kept_goes_back() -> None:
    assert left("frugal") < 10
    assert left("plain") > 80, "else there is no need to ask for it"


def test_only_who_recomputes_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(handle, "frugal", lambda: asked.append(1))
    toy_policy().trainable(lr=0.1)
    assert asked == []
    toy_policy().trainable(lr=0.1, optimizer=Optimizer(recompute=True))
    assert asked == [1]


def test_where_the_library_cannot_be_told_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frugal.ctypes, "CDLL", lambda name: object())
    assert frugal.frugal() is False
