"""Kill a run before every single write, rename, fsync, ... and look at what is left.

Run by test_crash.py in a process of its own, because it forks: one child dies at operation k,
another goes on from there and must end with the files of a run that nothing happened to.
"""

import os
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accord.store import commit, record
from store_fakes import play, tree

CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link"}
DIED, WRONG = 42, 1
write, fsync = os.write, os.fsync


def arm(at: int, names: list[str]) -> None:
    """Die at the `at`-th operation on the disk, in the middle of it where it is a write."""

    def point(name: str) -> None:
        names.append(name)
        if len(names) == at:
            os._exit(DIED)

    def hook(event: str, told: tuple[Any, ...]) -> None:
        if event in CHANGES:
            point(event)
        elif event == "open" and told[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            point("open")

    def torn(fd: int, data: bytes) -> int:
        point("write")
        half = len(data) // 2
        write(fd, data[:half])
        point("half a write")
        return half + write(fd, data[half:])

    os.write = torn  # type: ignore[assignment]
    os.fsync = lambda fd: point("fsync")  # type: ignore[assignment]
    sys.addaudithook(hook)


def child(work: Callable[..., None], *told: Any) -> int:
    """The exit status of `work` in a process of its own."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        work(*told)
        os._exit(0)
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        os._exit(WRONG)


def main(root: Path) -> None:
    """All points, and after every seventh a second crash during the resume."""
    record.environment = lambda: {}  # slow to ask, and not at stake
    os.fsync = lambda fd: None  # type: ignore[assignment]
    first = root / "whole"
    assert child(whole, first) == 0
    want = tree(first)
    assert child(count, root / "count", root / "names.txt") == 0
    seen = (root / "names.txt").read_text().split("\n")
    for at in range(1, len(seen) + 1):
        path = root / f"at{at}"
        assert child(crash, path, at) == DIED, f"point {at} was not reached"
        sound(path)
        if at % 7 == 0:
            child(crash, path, 3 + at % 50)
            sound(path)
        assert child(whole, path) == 0, f"no resume after {at}: {seen[at - 1]}"
        got = tree(path)
        assert got == want, f"{at}, {seen[at - 1]}: {sorted(set(got) ^ set(want)) or 'content'}"
        lines = (path / "timings.jsonl").read_text().splitlines()
        assert [int(line.split()[1].rstrip(",")) for line in lines] == [0, 1, 2, 3]
        shutil.rmtree(path)
    kinds = {name: seen.count(name) for name in sorted(set(seen))}
    print(len(seen), kinds)


def whole(path: Path) -> None:
    """A run that ends, and knows it."""
    run = play(path)[2]
    assert run.done
    assert run.committed == 4


def count(path: Path, into: Path) -> None:
    """The names of all operations of a whole run."""
    names: list[str] = []
    arm(0, names)
    play(path)
    told = list(names)
    into.write_text("\n".join(told))


def crash(path: Path, at: int) -> None:
    """A run that dies."""
    arm(at, [])
    play(path)


def sound(path: Path) -> None:
    """Every commit that has a name verifies; one step is lost at most."""
    found, wrong = commit.newest(path / "commits")
    assert not wrong, wrong
    for folder in path.glob("commits/0*"):
        commit.verify(folder)
    seen = record.look(path)
    assert (seen.done if seen else 0) == (found.step if found else 0)
    if (path / "metrics.jsonl").exists():
        begun = (path / "metrics.jsonl").read_bytes().count(b"\n")
        assert begun - (found.step if found else 0) in (0, 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
