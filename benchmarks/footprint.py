"""Memory where it is the model's, not the libraries': 135 million parameters, rows of 512 tokens.

    python benchmarks/bench.py tasks=memory [work=sft,reward,dpo] [length=512] [sides=recompute]

Each side alone, one after the other: two steps of two rows, one row at a time in the tuned peer,
the two gradients added up.  Written down are the most megabytes that a process had in memory, and
how many of them stood there before it opened a model.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import HERE, HOME, Worker, python

SIDES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Accord", "ours.py", ()),
    ("Accord, recompute, a row at a time", "ours.py", ("recompute=yes", "micro_tokens=1")),
    ("tuned, micro=1", "theirs.py", ("as=tuned", "micro=1")),
    ("tuned, micro=1, checkpointing", "theirs.py", ("as=tuned", "micro=1", "recompute=yes")),
)


def measure(work: str, words: Sequence[str], named: str = "") -> dict[str, dict[str, float]]:
    """Side -> its report after two steps, one side at a time; those with this in their names."""
    stuff, found = str(HOME / "stuff"), {}
    common = ("model=large", "data=long.json", "batch=2", *words)
    for name, script, more in (side for side in SIDES if named in side[0]):
        who = Path(sys.executable) if script == "ours.py" else python("trl-1.16")
        with (HOME / "bench.log").open("a") as log:
            side = Worker(who, script, (work, stuff, *common, *more), log)
            side.round()
            found[name] = side.round()
            side.stop()
        print(f"{work}, {name}: {found[name]}", flush=True)
    return found


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """For people, and for docs/performance.md; shares are of the peer that needs least."""
    lines = ["| task | side | peak MB | of the libraries | beyond them | of the leanest peer |"]
    lines.append("|---|---|---|---|---|---|")
    for work, sides in results.items():
        peers = [r["rss"] for name, r in sides.items() if "Accord" not in name]
        least = min(peers, default=float("nan"))
        for name, told in sides.items():
            peak, empty = told["rss"], told["empty"]
            lines.append(
                f"| {work} | {name} | {peak:.0f} | {empty:.0f} | {peak - empty:.0f} "
                f"| {peak / least:.0%} |"
            )
    return "\n".join(lines)


def main(told: dict[str, str]) -> None:
    """Make what is missing, measure, print and keep."""
    stuff = HOME / "stuff"
    if not (stuff / "long.json").exists():
        env: dict[str, Any] = {**os.environ, "OMP_NUM_THREADS": "1"}
        make = [sys.executable, str(HERE / "stuff.py"), str(stuff), "large"]
        subprocess.run(make, check=True, env=env)
    words = (f"threads={told.get('threads', '1')}", f"length={told.get('length', '512')}")
    results = {}
    for work in told.get("work", "sft,reward,dpo").split(","):
        results[work] = measure(work, words, told.get("sides", ""))
        (HOME / "memory.json").write_text(json.dumps(results, indent=1))
    print(table(results))
