"""Kill constitutional AI at chosen points of its whole way, go on, and look; see killing.py.

python kills_constitutional.py ROOT
"""

import sys
from functools import partial
from pathlib import Path

from killing import APPEND, GUARD, SEAL, WRITE, each, quicken
from kills_rest import tree

from accord.data.constitution import read_constitution
from accord.engine.calls import Calls
from accord.engine.roles import Policy
from accord.evaluate import report
from accord.recipes import constitutional_job as job
from accord.recipes.constitutional import Constitutional
from accord.recipes.revising import Revise
from accord.recipes.stage import Place
from accord.recipes.weighing import Feedback
from accord.records import Prompt, ask
from constitution_fakes import RULES, Logged
from recipe_fakes import TINY, WHO, newborn, short

CFG = Constitutional(
    revise=Revise(rounds=2, longest=5, helpful=1),
    sft=TINY.sft,
    compare=Feedback(longest=5),
    reward=TINY.reward,
    ppo=TINY.ppo,
    held_out=0.3,
)
CALL, STEP = "constitution_fakes:answer", "accord.engine.seats:Seats.step"
POINTS = [
    ("sampling what is revised", STEP, 2, "after"),
    ("the answers are sealed, not named", SEAL, 1, "after"),
    ("a critique", CALL, 5, "before"),
    ("a revision of the second round", CALL, 60, "after"),
    ("revisions, not sealed", SEAL, 3, "before"),
    ("imitating", GUARD, 3, "after"),
    ("the supervised model is sealed, not named", SEAL, 4, "after"),
    ("comparing", CALL, 75, "before"),
    ("labels, not sealed", SEAL, 6, "before"),
    ("half a line of a run", APPEND, 9, "half"),
    ("weights are written, moments are not", WRITE, 6, "before"),
    ("before the report", "accord.recipes.constitutional_job:_page", 1, "before"),
]
"""as in killing.py"""


def walk(root: Path, out: Path) -> None:
    """All of it; what was made, noted beside."""
    (root / "rules.yaml").write_text(RULES)
    asked = [
        Prompt(ask(f"{who} and {other}"), f"{who}+{other}") for who in WHO for other in WHO[:3]
    ]
    calls = out.with_suffix(".calls")
    calls.mkdir(exist_ok=True)
    model = Policy.open(root / "model")
    made = job.walk(
        Place(out, save_every=1, limit=0.9),
        CFG,
        read_constitution(root / "rules.yaml"),
        Calls(Logged(calls / "asked.log"), calls / "calls.jsonl"),
        model,
        model,
        job.Given(asked, [Prompt(ask(f"{who}!"), who) for who in WHO]),
        gold=short,
    )
    asked_again = (calls / "asked.log").read_text().splitlines()
    out.with_suffix(".made").write_text(f"{made.policy.handle.fingerprint} {made.policy.numbers}")
    twice = len(asked_again) - len(set(asked_again))
    assert twice <= 1, f"{twice} calls were made twice; the one that broke off may be"


def files(out: Path) -> dict[str, bytes]:
    """The report names its folder and its day: it is looked at by what it was made from."""
    made = tree(out)
    return {k: v for k, v in made.items() if not k.startswith("report/")}


def reported(out: Path) -> dict[str, bytes]:
    """The files, where the report is there too."""
    assert (out / "report" / "report.html").is_file()
    return files(out)


if __name__ == "__main__":
    quicken()
    report.curve = lambda *_: None  # its drawings are slow too, and not compared
    root = Path(sys.argv[1])
    newborn(root / "model")
    each(POINTS, partial(walk, root), root, reported)
