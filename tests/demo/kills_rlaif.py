"""Kill the demo of RLAIF at chosen points, run the same again, and look; see ../recipes/killing.py.

python kills_rlaif.py ROOT
"""

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from killing import SEAL, each, quicken
from kills_rest import tree

from accord.config import digest
from accord.data.constitution import read_constitution
from accord.demo import begin, rlaif
from accord.demo.simulated import Simulated
from accord.engine.calls import Calls
from accord.engine.draw import Sampling
from accord.engine.llm import Ask, Spoken
from accord.recipes.job import Desk
from accord.records import Invalid
from accord.records.plain import messages
from accord.verbs import VERBS
from recipe_fakes import newborn

STEP, CALL = "accord.engine.seats:Seats.step", "__main__:answer"
POINTS = [
    ("the panel's stories", STEP, 9, "after"),
    ("a revision", CALL, 17, "before"),
    ("an AI label", CALL, 40, "after"),
    ("the page is written, not sealed", SEAL, 10, "before"),
]
"""as in killing.py"""
WORDS = (
    *(
        "method=rlaif",
        "llm=someone",
        "scene=stories",
        "prompts=12",
        "tests=4",
        "seeds=1",
        "revise.rounds=1",
    ),
    *("revise.longest=24", "compare.longest=16", "ppo.longest=16", "ppo.steps=1", "ppo.batch=2"),
    *("ppo.minibatches=1", "ppo.epochs=1", "reward.epochs=1", "reward.batch=8", "sft.batch=8"),
)


class Logged:
    """The simulated model as if it were none: its calls are kept, each that is made has a line."""

    which = "someone"

    def __init__(self, log: Path):
        self.log, self.llm = log, Simulated(read_constitution(rlaif.CONSTITUTION))

    def say(
        self, asks: Sequence[Ask], *, longest: int, how: Sampling = Sampling()
    ) -> list[Spoken | Invalid]:
        """What it would say."""
        return [answer(self, one, partial(self.llm.say, [one], longest=longest)) for one in asks]

    def weigh(
        self, asks: Sequence[Ask], options: Sequence[Sequence[str]]
    ) -> list[tuple[float, ...] | Invalid]:
        """What it would weigh."""
        return [
            answer(self, one, partial(self.llm.weigh, [one], [few]))
            for one, few in zip(asks, options, strict=True)
        ]


def answer(llm: Logged, ask: Ask, make: Callable[[], Any]) -> Any:
    """A call, where it can be broken off."""
    with llm.log.open("a") as log:
        log.write(digest([messages(ask.messages), ask.opened, ask.seed]) + "\n")
    return make()[0]


def demo(out: Path) -> None:
    """The command; a call that broke off may be made again, and no other."""
    log = out.with_suffix(".asked")
    rlaif.open_llm = lambda word, file, how, tell: Calls(Logged(log), file)
    words = [*WORDS, f"model={out.parent}/model", f"out={out}"]
    begin.run(Desk((), lambda _: None), *VERBS["demo"].read(None, words))
    asked = log.read_text().splitlines()
    assert len(asked) - len(set(asked)) <= 1, "calls were made twice"
    out.with_suffix(".made").write_bytes((out / "page" / rlaif.NUMBERS).read_bytes())


def files(out: Path) -> dict[str, bytes]:
    """Pages name their folder and their day, and so do the artifacts that hold them."""
    return {k: v for k, v in tree(out).items() if not k.startswith(("report/", "page/"))}


def unfinished(out: Path) -> None:
    """The page is not there yet."""
    assert not (out / "page" / rlaif.NUMBERS).exists(), "too late"


if __name__ == "__main__":
    quicken()
    root = Path(sys.argv[1])
    config = newborn(root / "model") / "config.json"
    told_of = json.loads(config.read_text())
    config.write_text(json.dumps(told_of | {"max_position_embeddings": 200}))  # for openings
    each(POINTS, demo, root, files, unfinished)
