"""Kill ReST at chosen points of its whole way, go on, and look at what is left; see killing.py.

python kills_rest.py ROOT
"""

import json
import sys
from functools import partial
from pathlib import Path

from killing import APPEND, GUARD, SEAL, WRITE, each, quicken

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
"""as in killing.py"""


def walk(model: Path, out: Path) -> None:
    """All of it; what was made, noted beside."""
    given = records()
    place = Place(out, save_every=1)
    made = rest_stage(
        place, CFG, Policy.open(model), short, given.demonstrations, given.prompts, gold=short
    )
    out.with_suffix(".made").write_text(f"{made.handle.fingerprint} {made.numbers}")


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


if __name__ == "__main__":
    quicken()
    root = Path(sys.argv[1])
    each(POINTS, partial(walk, newborn(root / "model")), root, tree)
