"""Broken commits, full disks, read-only folders, other processes: one sentence, nothing lost."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accord.errors import BadData, CannotWrite, RunMismatch
from accord.store import lock, record
from accord.store.run import Run
from store_fakes import CFG, IDENTITY, Chain, half, play, tree

# --- broken commits ---


def _flip(folder: Path) -> None:
    path = folder / "policy" / "state.txt"
    path.write_text(path.read_text()[::-1])


def _no_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def _half_manifest(folder: Path) -> None:
    os.truncate(folder / "manifest.json", 99)


def _lost(folder: Path) -> None:
    (folder / "kl" / "state.txt").unlink()


def _extra(folder: Path) -> None:
    (folder / "kl" / "more").touch()


def _renamed(folder: Path) -> None:
    told = json.loads((folder / "manifest.json").read_text()) | {"step": 7}
    (folder / "manifest.json").write_text(json.dumps(told))


def _lacking(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"format": 1}')


BREAKS = [_flip, _no_manifest, _half_manifest, _lost, _extra, _renamed, _lacking]


@pytest.mark.parametrize("harm", BREAKS)
def test_a_broken_newest_commit_is_told_and_passed_over(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    half(tmp_path / "run")
    harm(tmp_path / "run" / "commits" / "00000002")
    with pytest.warns(UserWarning, match="00000002.*going on from step 1 instead"):
        play(tmp_path / "run")
    play(tmp_path / "whole")
    assert tree(tmp_path / "run") == tree(tmp_path / "whole")
    assert (tmp_path / "run" / "commits" / "broken-00000002").is_dir()


def test_no_good_commit_is_an_error_never_a_fresh_start(tmp_path: Path) -> None:
    half(tmp_path)
    for folder in tmp_path.glob("commits/0*"):
        _flip(folder)
    before = tree(tmp_path)
    with pytest.raises(BadData, match=r"none that verifies.*00000002.*another content"):
        play(tmp_path)
    assert tree(tmp_path) == before


def test_lost_or_broken_record(tmp_path: Path) -> None:
    half(tmp_path)
    whole = (tmp_path / "run.json").read_text()
    (tmp_path / "run.json").write_text(whole[:50])
    with pytest.raises(BadData, match=r"run.json is not valid JSON"):
        play(tmp_path)
    (tmp_path / "run.json").write_text(whole.replace('"format": 1', '"format": 2'))
    with pytest.raises(RunMismatch, match=r"run.json has format 2 and this version writes 1"):
        play(tmp_path)
    (tmp_path / "run.json").unlink()
    with pytest.raises(BadData, match=r"commits but no run.json"):
        play(tmp_path)


# --- disks and other processes ---


class Refusing(Chain):
    """A part that a disk refuses at its third commit."""

    error: Exception = OSError(errno.ENOSPC, "No space left on device")
    saved = 0

    def save(self, folder: Path) -> None:
        self.saved += 1
        if self.saved == 3:
            (folder / "half").write_text("ha")
            raise self.error
        super().save(folder)


RUST = RuntimeError("Error while serializing: I/O error: No space left (os error 28)")


@pytest.mark.parametrize("error", [Refusing.error, RUST], ids=["python", "rust"])
def test_full_disk_loses_nothing_committed(tmp_path: Path, error: Exception) -> None:
    run = Run(tmp_path)
    part = run.keep("policy", Refusing())
    part.error = error
    steps = run.steps(CFG)
    part.move(next(steps))
    part.move(next(steps))
    part.move(next(steps))
    with pytest.raises(CannotWrite) as said:
        next(steps)
    assert "the commit of step 3" in str(said.value)
    assert "No space left on device; make room" in str(said.value)
    assert sorted(p.name for p in tmp_path.glob("commits/*")) == ["00000001", "00000002"]
    again = Run(tmp_path)
    whole = again.keep("policy", Chain())
    for step in again.steps(CFG):
        whole.move(step)
    want = Chain()
    for step in range(4):
        want.move(step)
    assert whole.state == want.state


def test_a_part_that_fails_otherwise_says_so_itself(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.keep("policy", Refusing()).error = KeyError("moments")
    with pytest.raises(KeyError, match="moments"):
        list(run.steps(CFG))


@pytest.mark.parametrize("name", ["run.json", "metrics.jsonl", "manifest.json", "lock"])
def test_full_disk_at_any_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write = os.write

    def full(fd: int, data: bytes) -> int:
        if os.readlink(f"/proc/self/fd/{fd}").endswith(name):
            write(fd, data[:3])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(CannotWrite, match="No space left on device; make room"):
            play(tmp_path / "run")
    play(tmp_path / "run")
    play(tmp_path / "whole")
    assert tree(tmp_path / "run") == tree(tmp_path / "whole")


def test_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match=r"file.*Not a directory; choose another folder"):
        play(tmp_path / "file" / "run")

    def shut(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "mkdir", shut)
    with pytest.raises(CannotWrite, match=r"Read-only file system; choose a folder you may write"):
        play(tmp_path / "run")


def test_second_process_is_refused_by_pid(tmp_path: Path) -> None:
    code = "import sys; from store_fakes import play; from pathlib import Path; "
    code += "play(Path(sys.argv[1]))"
    path = os.pathsep.join([*filter(None, sys.path), str(Path(__file__).parents[1])])
    refused: list[str] = []

    def other(step: int, run: Run) -> None:
        if step == 1:
            said = subprocess.run(
                [sys.executable, "-c", code, str(tmp_path)],
                env={**os.environ, "PYTHONPATH": path},
                capture_output=True,
                text=True,
            )
            refused.append(said.stderr.strip().split("\n")[-1])
            seen = record.look(tmp_path)
            assert seen
            assert (seen.done, seen.writer) == (1, f"process {os.getpid()}")

    play(tmp_path, within=other)
    assert f"is being written by process {os.getpid()}; wait for it" in refused[0]
    assert "CannotWrite" in refused[0]
    seen = record.look(tmp_path)
    assert seen
    assert (seen.done, seen.complete, seen.writer) == (4, True, None)


def test_lock_of_the_dead_does_not_block(tmp_path: Path) -> None:
    tmp_path.joinpath("lock").write_text('{"pid": 1, "host": "elsewhere"}')
    play(tmp_path)
    assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


FORKING = """
import os, sys, time
from pathlib import Path
from accord.store.lock import Lock
held = Lock(Path(sys.argv[1]))
if os.fork() == 0:
    print(os.getpid(), flush=True)
    time.sleep(60)
"""


def test_a_forked_child_does_not_hold_its_parents_lock(tmp_path: Path) -> None:
    path = os.pathsep.join(filter(None, sys.path))
    ask = [sys.executable, "-c", FORKING, str(tmp_path)]
    parent = subprocess.Popen(ask, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE)
    assert parent.stdout
    child = int(parent.stdout.readline())
    try:
        parent.wait()
        os.kill(child, 0)  # it lives on
        play(tmp_path)
    finally:
        os.kill(child, signal.SIGKILL)
        parent.stdout.close()


def test_a_record_half_written_is_cleared_away(tmp_path: Path) -> None:
    half(tmp_path)
    (tmp_path / "tmp-run.json").write_text('{"form')
    play(tmp_path)
    assert "tmp-run.json" not in tree(tmp_path)


def test_newer_run_of_the_same_process_takes_over(tmp_path: Path) -> None:
    old = Run(tmp_path, identity=IDENTITY)
    part = old.keep("policy", Chain(1)), old.keep("kl", Chain(2))
    steps = old.steps(CFG)
    next(steps)
    play(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(CannotWrite, match="taken over by a newer Run"):
        old.log(0, loss=1.0)
    with pytest.raises(CannotWrite, match="taken over by a newer Run"):
        next(steps)
    assert part
    assert tree(tmp_path) == before
    shut = Run(tmp_path / "shut")
    steps = shut.steps(CFG)
    next(steps)
    shut.close()
    with pytest.raises(CannotWrite, match="is closed"):
        next(steps)


def test_a_lock_file_removed_under_us_is_no_lock(tmp_path: Path) -> None:
    old = lock.Lock(tmp_path)
    (tmp_path / "lock").unlink()
    new = lock.Lock(tmp_path)
    assert new.there()
    with pytest.raises(CannotWrite):
        old.check()
    new.release()
    assert lock.holder(tmp_path) is None
