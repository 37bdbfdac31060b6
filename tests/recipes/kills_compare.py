"""Kill the comparison of methods three times, each time where it had gone on to; see killing.py.

python kills_compare.py OUT WORD...
"""

import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from killing import arm, child

from accord.config import read_each
from accord.demo.contest import defaults
from accord.recipes.compare import Compare
from accord.recipes.compare_job import CompareJob, run_compare
from accord.recipes.job import Desk

POINTS = [
    ("DPO is training", "accord.recipes.dpo:see", 2),
    ("RLOO is training", "accord.recipes.grpo:optimise", 2),
    ("answers to measure on are written", "accord.recipes.field:sampled", 2),
]


def crash(words: list[str], where: str, at: int) -> None:
    """A comparison that dies."""
    arm(where, at, "before")
    classes: tuple[Any, Any] = (CompareJob, Compare)
    first: Any = read_each(classes, None, words)
    run_compare(Desk((), print), *read_each(classes, None, words, defaults(*first)))


if __name__ == "__main__":
    out, *words = sys.argv[1:]
    for what, where, at in POINTS:
        status = child(partial(crash, [*words, f"out={out}"], where, at))
        assert status == -signal.SIGKILL, f"{what} was not reached ({status})"
        assert not Path(out, "compare.json").exists(), what
