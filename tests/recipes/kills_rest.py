"""Kill ReST at chosen points of its whole way, go on, and look at what is left; see kills.py.

python kills_rest.py ROOT
"""

import json
import shutil
import signal
import sys
from functools import partial
from pathlib import Path

from kills import APPEND, GUARD, WRITE, arm, child, copied, moved, quicken, watch

from accord.engine.roles import Policy
from accord.maths.selection import Interpolated
from accord.recipes.growing import Grow
from accord.recipes.improving import Improve
from accord.recipes.rest import ReST
from accord.recipes.rest_job import rest_stage
from accord.recipes.sft import SFT
from accord.recipes.stage import Place
from recipe_fakes import FAST, newborn, records, short

CFG = ReST(
    rounds=2,
    held_out=0.3,
    imitate=SFT(epochs=1, batch=4, lr=1e-3, held_out=0, optimizer=FAST),
    grow=Grow(n=4, longest=6),
    improve=Improve(
        keep=Interpolated((0.0, 0.5)), batch=8, measure_every=1, patience=1, lr=1e-2, optimizer=FAST
    ),
)
SEAL = "accord.store.artifact:seal"
POINTS = [
    ("imitating", GUARD, 2, "after"),
    ("sampling", "accord.engine.seats:Seats.step", 3, "after"),
    ("half a line of answers", APPEND, 6, "half"),
    ("grown, not sealed", SEAL, 2, "before"),
    ("sealed, not named", SEAL, 2, "after"),
    ("looking", "accord.recipes.improving:Look.__call__", 2, "before"),
    ("an update", GUARD, 5, "after"),
    ("the policy is written, its best is not", "accord.engine.best:Best.save", 1, "before"),
    ("its best is written, the name is not", "accord.engine.best:Best.save", 1, "after"),
    ("weights are written, moments are not", WRITE, 4, "before"),
    ("the policy is sealed, not named", SEAL, 3, "after"),
    ("before the second Grow", "accord.recipes.rest:grow", 2, "before"),
    ("sampling again", "accord.engine.seats:Seats.step", 60, "after"),
    ("the last seal", SEAL, 7, "before"),
]
"""as in kills.py"""


def walk(model: Path, out: Path) -> None:
    """All of it; what was made, noted beside."""
    given = records()
    place = Place(out, save_every=1)
    made = rest_stage(
        place, CFG, Policy.open(model), short, given.demonstrations, given.prompts, gold=short
    )
    out.with_suffix(".made").write_text(f"{made.handle.fingerprint} {made.numbers}")


def crash(model: Path, out: Path, where: str, at: int, done: str) -> None:
    """A walk that dies."""
    arm(where, at, done)
    walk(model, out)


def tree(out: Path) -> dict[str, bytes]:
    """All that two equal ways have in common: all but the clock, and who was at it."""
    found = {p.relative_to(out).as_posix(): p for p in out.rglob("*") if p.is_file()}
    made = {}
    for name, path in found.items():
        if path.name not in ("run.json", "timings.jsonl", "lock"):
            made[name] = path.read_bytes()
        if path.name == "artifact.json":
            told = json.loads(made[name])
            assert told.pop("created")
            made[name] = json.dumps(told).encode()
    return made


def seen(model: Path, out: Path, to: Path) -> None:
    """A whole walk, copied at each point but the last."""
    watch(POINTS[:-1], partial(copied, out, to))
    walk(model, out)


def kill(root: Path) -> None:
    """All points; the last by a true SIGKILL."""
    model, first, out, at_points = (
        newborn(root / "model"),
        root / "whole",
        root / "left",
        root / "at",
    )
    assert child(partial(seen, model, out, at_points)) == 0
    moved(out, first)
    want, made = tree(first), first.with_suffix(".made").read_text()
    for index, (what, where, at, done) in enumerate(POINTS):
        if index < len(POINTS) - 1:
            assert (at_points / str(index)).exists(), f"{what} was not reached"
            moved(at_points / str(index) / out.name, out)
        else:
            shutil.rmtree(out)
            status = child(partial(crash, model, out, where, at, done))
            assert status == -signal.SIGKILL, f"{what} was not reached ({status})"
        assert child(partial(walk, model, out)) == 0, f"no resume after {what}"
        got = tree(out)
        odd = [key for key in sorted(set(got) | set(want)) if got.get(key) != want.get(key)]
        assert not odd, f"killed at {what}, other files: {odd}"
        assert out.with_suffix(".made").read_text() == made, what
        print(what)


if __name__ == "__main__":
    quicken()
    kill(Path(sys.argv[1]))
