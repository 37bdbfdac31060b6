"""How fast the store of judgements answers fifty annotators at once.

    python benchmarks/annotators.py                      # SQLite, in a folder of its own
    python benchmarks/annotators.py postgresql://...     # an empty database

Threads of one process, as under the site: each takes an item, waits as long as a quick reader would
(`--pause` seconds on average), and submits.  Printed are the 50th, 95th and 99th percentile of both
calls, and whether anything was lost or given twice.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import select

from accord.store.judgements import acts, leases, people, studies
from accord.store.judgements.forms import Act, NewItem, StudyConfig
from accord.store.judgements.opening import Store, open_store
from accord.store.judgements.tables import Judgement


def prepared(store: Store, count: int, items: int, overlap: int) -> tuple[int, list[int]]:
    """A study of so many items, and so many annotators."""
    who = [people.add(store, f"a{i}", "annotator").id for i in range(count)]
    made = studies.create(store, "speed", "pairwise", StudyConfig(overlap=overlap))
    texts = ((f"q{i}", f"one answer to {i}" * 20, f"another to {i}" * 20) for i in range(items))
    new = (NewItem([{"role": "user", "content": q}], (a, b)) for q, a, b in texts)
    began = time.perf_counter()
    studies.add_items(store, made.id, new)
    print(f"{items} items imported in {time.perf_counter() - began:.1f} s")
    return made.id, who


def work(
    store: Store, study: int, user: int, pause: float, start: threading.Barrier
) -> list[tuple[float, float]]:
    """Judge all that is left; the times of both calls, in seconds."""
    rng, times = random.Random(user), []
    start.wait()
    time.sleep(rng.random() * pause)
    while True:
        a = time.perf_counter()
        task = leases.next_task(store, study, user)
        b = time.perf_counter()
        if task is None:
            return times
        if pause:
            time.sleep(rng.expovariate(1 / pause))
        c = time.perf_counter()
        acts.submit(store, user, Act(task.lease_id, task.key, ranks=(0, 1)))
        times.append((b - a, time.perf_counter() - c))


def told(name: str, seconds: list[float]) -> str:
    """The percentiles in milliseconds."""
    few = sorted(seconds)
    cut = [1000 * few[min(len(few) - 1, int(share * len(few)))] for share in (0.5, 0.95, 0.99)]
    return f"{name:8s} p50 {cut[0]:7.1f} ms   p95 {cut[1]:7.1f} ms   p99 {cut[2]:7.1f} ms"


def main() -> int:
    """Run it."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("where", nargs="?", help="a folder or URL; a temporary folder without")
    words.add_argument("--annotators", type=int, default=50)
    words.add_argument("--items", type=int, default=500)
    words.add_argument("--overlap", type=int, default=2)
    words.add_argument("--pause", type=float, default=3.0, help="mean seconds between the calls")
    told_to = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(told_to.where or folder)
        study, who = prepared(store, told_to.annotators, told_to.items, told_to.overlap)
        start = threading.Barrier(len(who))
        began = time.perf_counter()
        with ThreadPoolExecutor(len(who)) as pool:
            jobs = [pool.submit(work, store, study, user, told_to.pause, start) for user in who]
            times = [pair for job in jobs for pair in job.result()]
        wall = time.perf_counter() - began
        with store.read() as session:
            kept = [*session.execute(select(Judgement.item_id, Judgement.user_id))]
        store.close()
    print(f"{len(who)} annotators, {len(times)} judgements in {wall:.1f} s")
    print(told("next", [a for a, _ in times]))
    print(told("submit", [b for _, b in times]))
    most = max(Counter(item for item, _ in kept).values())
    sound = len(kept) == len({*map(tuple, kept)}) == len(times) and most <= told_to.overlap
    print("nothing lost, nothing twice" if sound else f"WRONG: {len(kept)} kept, {most} an item")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
