"""Whatever kills a run, whenever: the last commit stands, and the end is the same."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from accord.store import commit
from accord.store.run import Run
from store_fakes import Chain, play, tree

HERE = Path(__file__).resolve().parent
ENV = {**os.environ, "PYTHONPATH": os.pathsep.join([*(p for p in sys.path if p), str(HERE.parent)])}
SLOW = """
import sys, time
from pathlib import Path
from store_fakes import play
def within(step, run):
    time.sleep(0.01)
print(play(Path(sys.argv[1]), {"steps": 20, "lr": 0.1}, within=within)[2].where)
"""


def test_killed_at_every_operation() -> None:
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # many small files
    with tempfile.TemporaryDirectory(dir=memory) as root:
        ask = [sys.executable, str(HERE / "crashes.py"), root]
        said = subprocess.run(ask, env=ENV, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    points = int(said.stdout.split()[0])
    assert points > 150, "the hook sees fewer operations than there are"
    for kind in ("fsync", "half a write", "os.rename", "os.mkdir", "os.rmdir", "open"):
        assert kind in said.stdout


def test_killed_by_signal_at_any_time(tmp_path: Path) -> None:
    play(tmp_path / "whole", {"steps": 20, "lr": 0.1})
    dice, path = random.Random(0), tmp_path / "killed"
    ask = [sys.executable, "-c", SLOW, str(path)]
    for _ in range(3):
        process = subprocess.Popen(ask, env=ENV, stdout=subprocess.PIPE)
        deadline = time.monotonic() + 30
        done = _committed(path)
        while _committed(path) <= done and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(dice.random() * 0.05)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    said = subprocess.run(ask, env=ENV, capture_output=True, text=True, check=True)
    assert "all 20 steps are done" in said.stdout
    assert tree(path) == tree(tmp_path / "whole")


def _committed(path: Path) -> int:
    return max((int(p.name) for p in path.glob("commits/0*")), default=0)


def test_ctrl_c_waits_for_the_commit(tmp_path: Path) -> None:
    class Pressed(Chain):
        def save(self, folder: Path) -> None:
            signal.raise_signal(signal.SIGINT)
            super().save(folder)

    run = Run(tmp_path / "run")
    part = run.keep("policy", Pressed(1))
    steps = run.steps({"steps": 3})
    part.move(next(steps))
    with pytest.raises(KeyboardInterrupt):
        next(steps)
    assert (run.committed, run.done) == (1, False)
    assert commit.newest(tmp_path / "run" / "commits")[0] == commit.verify(
        tmp_path / "run" / "commits" / "00000001"
    )
    assert "1 of 3 steps are safe" in run.where
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_in_a_step_loses_that_step_only(tmp_path: Path) -> None:
    def pressed(step: int, run: Run) -> None:
        if step == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        play(tmp_path / "run", within=pressed)
    play(tmp_path / "run")
    play(tmp_path / "whole")
    assert tree(tmp_path / "run") == tree(tmp_path / "whole")


def test_everything_is_on_the_disk_before_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def synced(fd: int) -> None:
        told.append(("fsync", os.readlink(f"/proc/self/fd/{fd}")))
        fsync(fd)

    def renamed(old: Path, new: Path) -> None:
        told.append(("rename", str(new)))
        rename(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    play(tmp_path, {"steps": 1, "lr": 0.1})
    home = tmp_path / "commits"
    names = [path for _, path in told]
    named = told.index(("rename", str(home / "00000001")))
    draft = home / f"tmp-{os.getpid()}"
    for path in (home / "00000001").rglob("*"):
        assert names.index(str(draft / path.relative_to(home / "00000001"))) < named
    for journal in ("metrics", "samples", "ledger"):
        assert names.index(str(tmp_path / f"{journal}.jsonl")) < named
    files = [n for n in names[:named] if n.startswith(str(draft))]
    assert files[-2:] == [str(draft / "manifest.json"), str(draft)], "the manifest comes last"
    assert told[named + 1] == ("fsync", str(home))


@pytest.mark.parametrize("save_every", [1, 2, 3])
@pytest.mark.parametrize("at", range(4))
def test_broken_off_in_any_step(tmp_path: Path, at: int, save_every: int) -> None:
    def fail(step: int, run: Run) -> None:
        if step == at:
            raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        play(tmp_path / "run", within=fail, save_every=save_every)
    *end, run = play(tmp_path / "run", save_every=save_every)
    *want, whole = play(tmp_path / "whole", save_every=save_every)
    assert end == want
    assert tree(tmp_path / "run") == tree(tmp_path / "whole")
    assert run.history == whole.history
    assert run.ledger.counts() == whole.ledger.counts()
    assert (
        sorted(p.name for p in tmp_path.glob("run/commits/*"))
        == {
            1: ["00000003", "00000004"],
            2: ["00000002", "00000004"],
            3: ["00000003", "00000004"],
        }[save_every]
    )
