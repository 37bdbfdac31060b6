"""Fifty annotators at once, and a server that is killed among them: nothing lost, nothing twice."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from accord.store.judgements import acts, leases, people, studies
from accord.store.judgements.forms import Act, Gone
from accord.store.judgements.opening import Store, now, open_store
from accord.store.judgements.tables import Judgement, Lease
from judgement_fakes import drain, held, team

SRC = Path(__file__).resolve().parents[3] / "src"
WORKER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from accord.store.judgements import acts, leases
from accord.store.judgements.forms import Act
from accord.store.judgements.opening import open_store
store = open_store(sys.argv[1])
def work(user):
    while task := leases.next_task(store, 1, user):
        act = Act(task.lease_id, task.key, ranks=(0, 1))
        receipt = acts.submit(store, user, act)
        print(f"{user} {task.item_id} {task.lease_id} {task.key} {receipt.judgement_id}\\n", end="",
              flush=True)
with ThreadPoolExecutor(4) as pool:
    print([*pool.map(work, [1, 2, 3, 4])])
"""


def rows(store: Store) -> list[Judgement]:
    with store.read() as session:
        return [*session.scalars(select(Judgement).order_by(Judgement.id))]


def test_fifty_annotators_at_once(store: Store) -> None:
    few = team(store, 50)
    study = held(store, count=34, overlap=3)

    def work(user_id: int) -> list[tuple[int, int]]:
        rng, said = random.Random(user_id), []
        while (task := leases.next_task(store, study.id, user_id)) is not None:
            act = Act(task.lease_id, task.key, ranks=(0, 1))
            receipts = [acts.submit(store, user_id, act) for _ in range(rng.choice((1, 2)))]
            assert len({one.judgement_id for one in receipts}) == 1
            said.append((receipts[0].judgement_id, task.item_id))
        return said

    with ThreadPoolExecutor(50) as pool:
        told = [one for said in pool.map(work, [user.id for user in few]) for one in said]
    kept = rows(store)
    assert sorted(told) == [(one.id, one.item_id) for one in kept], "none lost, none doubled"
    assert {*Counter(one.item_id for one in kept).values()} == {3}
    assert max(Counter((one.item_id, one.user_id) for one in kept).values()) == 1
    assert studies.studies(store)[0].open == 0


@pytest.mark.parametrize("wait", [5, 21])
def test_killed_in_the_middle(where: str, wait: int) -> None:
    store = open_store(where)
    few = team(store, 4)
    study = held(store, count=30, overlap=2)
    running = subprocess.Popen(
        [sys.executable, "-c", WORKER, where],
        env={**os.environ, "PYTHONPATH": str(SRC)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    lines = [running.stdout.readline() for _ in range(wait)]
    running.send_signal(signal.SIGKILL)
    lines += running.communicate()[0].splitlines(keepends=True)
    assert running.returncode == -signal.SIGKILL
    told = [line.split() for line in lines if line.endswith("\n") and line.strip()]
    assert len(told) >= wait - 2
    kept = {one.id: one for one in rows(store)}
    for user, item, lease, key, judgement in told:
        one = kept[int(judgement)]
        assert (one.user_id, one.item_id, one.lease_id) == (int(user), int(item), int(lease))
        again = acts.submit(store, int(user), Act(int(lease), key, ranks=(0, 1)))
        assert (again.judgement_id, again.repeated) == (int(judgement), True)
    with store.write() as session:  # the leases of the dead run out
        session.execute(update(Lease).where(Lease.state == "active").values(expires=now()))
    time.sleep(0.01)
    for user in few:
        drain(store, user, study)
    counts = Counter(one.item_id for one in rows(store))
    assert {*counts.values()} == {2}
    assert len(counts) == 30
    store.close()


def test_excluding_while_they_judge(store: Store) -> None:
    few = team(store, 4)
    study = held(store, count=30, overlap=2)

    def work(user_id: int) -> None:
        try:
            while (task := leases.next_task(store, study.id, user_id)) is not None:
                acts.submit(store, user_id, Act(task.lease_id, task.key, ranks=(0, 1)))
        except Gone:
            assert user_id == few[0].id, "only the excluded one is turned away"

    with ThreadPoolExecutor(5) as pool:
        jobs = [pool.submit(work, user.id) for user in few]
        out = pool.submit(people.exclude, store, few[0].id)
        for job in (*jobs, out):
            job.result()
    for user in few:
        drain(store, user, study)
    counts = Counter(one.item_id for one in rows(store) if one.user_id != few[0].id)
    assert {*counts.values()} == {2}
    assert len(counts) == 30
    assert studies.studies(store)[0].open == 0


def test_writers_stand_in_line(folder: Path) -> None:
    """Each gets its turn in the order of coming, however many there are."""
    store, order, came = open_store(folder), [], []
    first_in, let_go = threading.Event(), threading.Event()

    def write(number: int) -> None:
        with store.write() as session:
            session.execute(select(Judgement))
            order.append(number)
            if number == 0:
                first_in.set()
                assert let_go.wait(30)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(30)]
    threads[0].start()
    assert first_in.wait(30)
    for number, one in enumerate(threads[1:], 1):
        one.start()
        while len(store._turn._line) < number:
            time.sleep(0.001)
        came.append(number)
    let_go.set()
    for one in threads:
        one.join(30)
    assert order == [0, *came]
    store.close()


def test_a_writer_that_fails_lets_the_next_one_in(folder: Path) -> None:
    store = open_store(folder)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), store.write():
            _ = 1 / 0
    team(store, 1)
    store.close()


def test_a_writer_within_a_writer_is_refused(store: Store) -> None:
    with store.write(), pytest.raises(RuntimeError, match="wait for itself"), store.write():
        pass
    team(store, 1)


def test_a_verdict_waits_for_the_disk_and_a_lease_does_not(folder: Path) -> None:
    store = open_store(folder)
    for lasting, level in ((True, 2), (False, 1)):
        with store.write(lasting=lasting) as session:
            assert session.execute(text("PRAGMA synchronous")).scalar() == level
    store.close()
