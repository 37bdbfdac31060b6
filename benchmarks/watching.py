"""How fast the site's run pages are with many runs and long ones.

    python benchmarks/watching.py [runs=300] [steps=100000]

Writes runs as a trainer would, into a folder that is removed, and prints milliseconds of one core,
and bytes.
"""

import json
import math
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accord.store.run import Run
from accord.web.runs_alerts import Rules, alerts
from accord.web.runs_find import Finder
from accord.web.runs_live import Stream
from accord.web.runs_series import Shelf

METRICS = [f"objective/{name}" for name in ("scores", "kl", "entropy")]
METRICS += ["completions/mean_length", "policy/clipfrac", "policy/grad_norm", "loss", "lr"]
METRICS += [f"group/{i}" for i in range(22)]
"""30 numbers a step, as PPO logs"""
SHOWN = 8
WIDTH = 600


def line(step: int, rng: random.Random) -> dict[str, Any]:
    """What a step logs."""
    return {"step": step} | {name: math.sin(step / 500) + rng.random() for name in METRICS}


def long_run(folder: Path, steps: int) -> None:
    """A run of that many steps, and eight samples at every tenth of them."""
    rng = random.Random(0)
    words = "Once upon a time there was a small dog who wanted to see the sea. " * 6
    with (
        (folder / "metrics.jsonl").open("w") as metrics,
        (folder / "samples.jsonl").open("w") as samples,
    ):
        for step in range(steps):
            metrics.write(json.dumps(line(step, rng)) + "\n")
            for i in range(SHOWN) if step % 10 == 0 else ():
                told = {"step": step, "prompt": f"prompt {i}", "response": words, "score": 0.5}
                samples.write(json.dumps(told) + "\n")


def timed(what: str, act: Callable[[], Any], count: int = 1) -> Any:
    """Does it, and prints the processor's time it took; of several times, the median."""
    seen = []
    for _ in range(count):
        begun = time.process_time()
        made = act()
        seen.append(time.process_time() - begun)
    print(f"{what:58} {sorted(seen)[len(seen) // 2] * 1000:10.1f} ms")
    return made


def main(runs: int = 300, steps: int = 100_000) -> None:
    """Write, look, and tell."""
    with tempfile.TemporaryDirectory() as room:
        root = Path(room)
        for i in range(runs):
            run = Run(root / f"run-{i:03d}")
            for step in run.steps({"lr": 0.1, "i": i}, 3):
                run.log(step, loss=1.0)
            rng = random.Random(i)
            with (root / f"run-{i:03d}" / "metrics.jsonl").open("a") as file:
                for step in range(3, 1000):
                    file.write(json.dumps(line(step, rng)) + "\n")
        folder = root / "run-000"
        long_run(folder, steps)
        size = (folder / "metrics.jsonl").stat().st_size
        print(f"{runs} runs; the longest has {steps:,} steps, {size / 1e6:.0f} MB of metrics")
        look(root, folder, steps)


def look(root: Path, folder: Path, steps: int) -> None:
    """The pages' work, without the pages."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    finder, shelf = Finder(root), Shelf()
    timed("the list, for the first time", finder.runs)
    finder._at = -1e9
    timed("the list, again", finder.runs)
    watched = timed("the long run, for the first time", lambda: shelf.get(folder))
    timed("the long run, again", lambda: shelf.get(folder), 20)
    columns = [watched.columns[name] for name in METRICS[:8]]
    timed(f"8 charts of {WIDTH} pixels", lambda: [c.picture(WIDTH) for c in columns], 5)
    timed("8 charts, a tenth of the steps", lambda: [c.picture(WIDTH, 0, 9999) for c in columns], 5)
    timed("its alerts", lambda: alerts(watched.columns, Rules()), 3)
    found = finder.get("run-000")
    assert found is not None
    stream = Stream([found], finder, shelf, watched.mark)
    list(stream.poll(Rules()))
    timed("a poll of the stream that has nothing new", lambda: list(stream.poll(Rules())), 20)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line(steps, random.Random(0))) + "\n")
    news = timed("a poll with one new step", lambda: list(stream.poll(Rules())))
    assert [one.event for one in news][:1] == ["rows"]
    timed("index of its samples, for the first time", lambda: watched.samples.refresh())
    timed("a page of samples", lambda: watched.samples.page(step=0), 20)
    timed("words in all samples", lambda: watched.samples.page(words="zebra"))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{'memory: columns and index':58} {watched.size / 1e6:10.1f} MB")
    print(f"{'memory: the process grew by':58} {(after - before) / 1e3:10.1f} MB")
    points = sum(len(column.picture(WIDTH)[0]) for column in columns)
    print(f"{'points sent for 8 charts':58} {points:10d}")


if __name__ == "__main__":
    main(**{key: int(value) for key, value in (word.split("=") for word in sys.argv[1:])})
