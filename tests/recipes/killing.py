"""Break a walk off at chosen points, go on, and compare with one that nothing happened to.

A SIGKILL leaves what is on the disk at that moment and nothing else: so one child walks to the end,
and at each point what lies there is copied; others go on from the copies.  The last point is a true
SIGKILL, in a process that has walked nowhere before.  The others are forked from one that has, and
has loaded what loads late.  torch is imported once.
"""

import gc
import importlib
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from accord.store import record

GUARD, WRITE = "accord.engine.learner:Learner._guard", "accord.engine.learner:_write"
SYNCED, APPEND = "accord.store.files:write_synced", "accord.store.files:write_all"
SEAL = "accord.store.artifact:seal"

Point = tuple[str, str, int, str]
"""(where, function, at which call, how much of the call is done)"""


def each(
    points: Sequence[Point],
    walk: Callable[[Path], Any],
    root: Path,
    left: Callable[[Path], Mapping[str, bytes]],
    found: Callable[[Path], Any] = lambda out: None,
) -> None:
    """Go on from every point, and end with the same `left`; `found` looks at what lay there."""
    first, out, copies = root / "whole", root / "left", root / "at"
    assert child(partial(seen, points, walk, out, copies)) == 0
    moved(out, first)
    *others, (what, where, at, done) = points
    status = child(partial(_crash, walk, out, where, at, done))
    assert status == -signal.SIGKILL, f"{what} was not reached ({status})"
    _goes_on(walk, out, first, left, found, what)
    warm(walk, root / "warm")
    for index, (what, *_) in enumerate(others):
        assert (copies / str(index)).exists(), f"{what} was not reached"
        moved(copies / str(index) / out.name, out)
        _goes_on(walk, out, first, left, found, what)


def _goes_on(walk: Any, out: Path, first: Path, left: Any, found: Any, what: str) -> None:
    found(out)
    assert child(partial(walk, out)) == 0, f"no resume after {what}"
    same(out, first, left, f"killed at {what}")
    print(what)


def same(out: Path, first: Path, left: Callable[[Path], Mapping[str, bytes]], what: str) -> None:
    """Both walks left the same files, and noted the same at their end."""
    got, want = left(out), left(first)
    odd = [key for key in sorted(set(got) | set(want)) if got.get(key) != want.get(key)]
    assert not odd, f"{what}, other files: {odd}"
    notes = [path.with_suffix(".made") for path in (out, first)]
    assert notes[0].read_text() == notes[1].read_text(), what


# --- points ---


def _crash(walk: Callable[[Path], Any], out: Path, where: str, at: int, done: str) -> None:
    arm(where, at, done)
    walk(out)


def seen(points: Sequence[Point], walk: Callable[[Path], Any], out: Path, copies: Path) -> None:
    """A whole walk; what lay there at each point but the last is below `copies`, by number."""
    watch(points[:-1], partial(_copied, out, copies))
    walk(out)


def arm(where: str, at: int, done: str) -> None:
    """SIGKILL at the `at`-th call of a function: before it, half way through what it writes, or
    after it.
    """
    watch([("", where, at, done)], lambda _: os.kill(os.getpid(), signal.SIGKILL))


def watch(points: Sequence[Point], see: Callable[[int], Any]) -> None:
    """`see(i)` when the walk is at the i-th point; then it goes on as if nothing had been."""
    for where in dict.fromkeys(where for _, where, _, _ in points):
        module, _, names = where.partition(":")
        owner: Any = importlib.import_module(module)
        *classes, last = names.split(".")
        for one in classes:
            owner = getattr(owner, one)
        some = [(i, at, done) for i, (_, its, at, done) in enumerate(points) if its == where]
        setattr(owner, last, _watched(where, getattr(owner, last), some, see))


def _watched(
    where: str, real: Callable, some: list[tuple[int, int, str]], see: Callable[[int], Any]
) -> Callable:
    calls: list[int] = []

    def call(*given: Any, **more: Any) -> Any:
        if _halved:
            return real(*given, **more)
        calls.append(1)
        here = {done: i for i, at, done in some if at == len(calls)}
        if "before" in here:
            see(here["before"])
        if "half" in here:
            given = _half(where, real, given, partial(see, here["half"]))
        made = real(*given, **more)
        if "after" in here:
            see(here["after"])
        return made

    return call


_halved: list[str] = []
"""which function writes its first half now, if any: what it calls for that is not counted"""


def _half(where: str, real: Callable, given: tuple, see: Callable[[], Any]) -> tuple:
    """Write the first half and look; what is then left to write."""
    to, data = given
    _halved.append(where)
    real(to, data[: len(data) // 2])
    _halved.clear()
    see()
    return (to, data) if where == SYNCED else (to, data[len(data) // 2 :])  # that begins anew


# --- what a walk leaves ---


def _left(out: Path) -> list[Path]:
    """Its folder, the calls it made, and what it noted at its end."""
    return [out, *(out.with_suffix(f".{what}") for what in ("calls", "asked", "made"))]


def _copied(out: Path, copies: Path, point: int) -> None:
    home = copies / str(point)
    home.mkdir(parents=True)
    for path in _left(out):
        if path.is_dir():
            shutil.copytree(path, home / path.name)
        elif path.exists():
            shutil.copy(path, home)


def moved(out: Path, to: Path) -> None:
    """What lies at `out` is then at `to`, and what was there is gone."""
    for old, new in zip(_left(out), _left(to)):
        if new.is_dir():
            shutil.rmtree(new)
        new.unlink(missing_ok=True)
        if old.exists():
            new.parent.mkdir(exist_ok=True)
            old.rename(new)


# --- processes ---


def child(work: partial) -> int:
    """The exit status of `work` in a process of its own."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        work()
        os._exit(0)
    except BaseException as error:  # noqa: BLE001
        print(f"{work.args}: {error!r}", file=sys.stderr, flush=True)
        os._exit(1)


def warm(walk: Callable[[Path], Any], out: Path) -> None:
    """Walk here, so that children need not load what loads late."""
    out.parent.mkdir(exist_ok=True)
    walk(out)
    gc.freeze()  # else each collection in a child walks, and copies, all of its parent's objects


def quicken() -> None:
    """What is slow and not at stake is left out."""
    record.environment = lambda: {}
    os.fsync = lambda fd: None  # type: ignore[assignment]
    gc.freeze()
