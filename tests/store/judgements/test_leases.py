"""Who gets which item: overlap, expiry, order, known items; and the race of many."""

import os
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from accord.store.judgements import acts, leases, people, showing, studies
from accord.store.judgements.forms import Act, BadAct, Gone, NotThere, StudyConfig
from accord.store.judgements.opening import Store, now, open_store
from accord.store.judgements.tables import Item, Judgement, Lease
from judgement_fakes import drain, held, items, prefer, team

ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import sys
from accord.store.judgements import leases
from accord.store.judgements.opening import open_store
store = open_store(sys.argv[1])
while task := leases.next_task(store, 1, int(sys.argv[2])):
    print(task.item_id, task.lease_id, task.key, flush=True)
    from accord.store.judgements import acts
    from accord.store.judgements.forms import Act
    acts.submit(store, int(sys.argv[2]), Act(task.lease_id, task.key, ranks=(0, 1)))
"""


def late(store: Store, lease_id: int) -> None:
    """A lease that ran out a minute ago."""
    with store.write() as session:
        row = update(Lease).where(Lease.id == lease_id)
        session.execute(row.values(expires=now() - timedelta(minutes=1)))


def test_an_own_lease_comes_first_and_stays_the_same(store: Store) -> None:
    one, _ = team(store, 2)
    study = held(store, count=2)
    first, again = (leases.next_task(store, study.id, one.id) for _ in range(2))
    assert first is not None
    assert again is not None
    assert (first.lease_id, first.answers) == (again.lease_id, again.answers)
    assert first.key != again.key, "each rendering has a key of its own"


def test_overlap_is_kept_and_nobody_judges_twice(store: Store) -> None:
    few = team(store, 3)
    study = held(store, count=4, overlap=2)
    seen = [drain(store, user, study) for user in few]
    assert [len({*one}) == len(one) for one in seen] == [True] * 3
    counts = Counter(item for one in seen for item in one)
    assert {*counts.values()} == {2}
    assert len(counts) == 4
    assert seen[2] == []


def test_a_lease_holds_a_place_until_it_runs_out(store: Store) -> None:
    one, two = team(store, 2)
    study = held(store, count=1)
    first = leases.next_task(store, study.id, one.id)
    assert first is not None
    assert leases.next_task(store, study.id, two.id) is None
    late(store, first.lease_id)
    second = leases.next_task(store, study.id, two.id)
    assert second is not None
    assert second.item_id == first.item_id
    with pytest.raises(Gone, match="given to somebody else"):
        acts.submit(store, one.id, Act(first.lease_id, first.key, ranks=(0, 1)))
    with pytest.raises(Gone):
        leases.beat(store, first.lease_id, one.id, {"ranks": [0, 1]})


def test_a_late_verdict_counts_while_nobody_took_the_place(store: Store) -> None:
    one, _ = team(store, 2)
    study = held(store, count=1)
    task = leases.next_task(store, study.id, one.id)
    assert task is not None
    late(store, task.lease_id)
    acts.submit(store, one.id, Act(task.lease_id, task.key, ranks=(0, 1)))
    assert studies.studies(store)[0].judged == 1


def test_a_beat_prolongs_and_keeps_the_draft(store: Store) -> None:
    (one,) = team(store, 1)
    study = held(store, count=1, lease_minutes=1.0)
    task = leases.next_task(store, study.id, one.id)
    assert task is not None
    late(store, task.lease_id)
    assert leases.beat(store, task.lease_id, one.id, {"reason": "so far"}) > now()
    leases.beat(store, task.lease_id, one.id)
    leases.release(store, task.lease_id, one.id)
    again = leases.next_task(store, study.id, one.id)
    assert again is not None
    assert again.draft == {"reason": "so far"}
    assert leases.task(store, again.lease_id, one.id).draft == {"reason": "so far"}


def test_a_released_place_is_free_at_once(store: Store) -> None:
    one, two = team(store, 2)
    study = held(store, count=1)
    task = leases.next_task(store, study.id, one.id)
    assert task is not None
    leases.release(store, task.lease_id, one.id)
    assert leases.next_task(store, study.id, two.id) is not None
    with pytest.raises(NotThere):
        leases.release(store, task.lease_id, two.id)


def test_nobody_judges_what_they_wrote(store: Store) -> None:
    one, two = team(store, 2)
    study = studies.create(store, "own", "pairwise", StudyConfig())
    studies.add_items(store, study.id, items(1, models=("", f"human:{one.pseudonym}")))
    assert leases.next_task(store, study.id, one.id) is None
    assert leases.next_task(store, study.id, two.id) is not None


def test_who_may_judge(store: Store) -> None:
    (viewer,) = team(store, 1, "viewer")
    (one,) = team(store, 1)
    study = held(store, everyone=False)
    with pytest.raises(BadAct, match="viewer"):
        leases.next_task(store, study.id, viewer.id)
    with pytest.raises(BadAct, match="not a member"):
        leases.next_task(store, study.id, one.id)
    studies.set_members(store, study.id, [one.id], None)
    assert leases.next_task(store, study.id, one.id) is not None
    with pytest.raises(BadAct, match="only managers"):
        leases.next_task(store, study.id, one.id, adjudicate=True)


@pytest.mark.parametrize("status", ["paused", "closed"])
def test_a_study_that_rests_gives_nothing_out(store: Store, status: str) -> None:
    (one,) = team(store, 1)
    study = held(store)
    studies.set_status(store, study.id, status)
    assert leases.next_task(store, study.id, one.id) is None


def test_closed_and_excluded_accounts_get_nothing(store: Store) -> None:
    one, two = team(store, 2)
    study = held(store)
    task = leases.next_task(store, study.id, one.id)
    assert task is not None
    people.exclude(store, one.id)
    people.close_account(store, two.id)
    assert leases.next_task(store, study.id, one.id) is None
    assert leases.next_task(store, study.id, two.id) is None
    with pytest.raises(Gone, match="no part"):
        acts.submit(store, one.id, Act(task.lease_id, task.key, ranks=(0, 1)))


# --- order ---


def test_the_order_is_stable_recorded_and_balanced(store: Store) -> None:
    few = team(store, 2)
    study = held(store, count=24, overlap=2)
    for user in few:
        drain(store, user, study)
    with store.read() as session:
        rows = [*session.scalars(select(Lease))]
        shown = {j.lease_id: j.shown for j in session.scalars(select(Judgement))}
    for lease in rows:
        order, seed = showing.order_of(study.id, lease.item_id, lease.user_id, 2)
        assert (lease.order, lease.seed) == (order, seed)
        assert shown[lease.id] == order
    by_user = [[row.order for row in rows if row.user_id == user.id] for user in few]
    assert by_user[0] != by_user[1], "annotators have orders of their own"
    assert 12 < sum(order == [0, 1] for one in by_user for order in one) < 36


def test_the_order_is_the_same_in_every_process() -> None:
    # the seed is what `printf 3/17/5 | b2sum -l 64` says
    assert showing.order_of(3, 17, 5, 4) == ([0, 2, 1, 3], "48e8cad20d5a0b06")


def test_without_shuffling_the_order_is_the_items_own(store: Store) -> None:
    (one,) = team(store, 1)
    study = held(store, count=10, shuffle=False)
    drain(store, one, study)
    with store.read() as session:
        assert {(*row.order, row.seed) for row in session.scalars(select(Lease))} == {(0, 1, "")}


# --- known items ---


def test_known_items_come_at_the_rate_and_look_like_others(store: Store) -> None:
    few = team(store, 2)
    known = items(20, gold={"ranks": [0, 1]})
    gold = [
        type(one)([{"role": "user", "content": f"g{i}"}], one.answers, gold=one.gold)
        for i, one in enumerate(known)
    ]
    study = held(store, count=40, overlap=2, gold=gold, gold_rate=0.25)
    with store.read() as session:
        golden = {*session.scalars(select(Item.id).where(Item.gold.is_not(None)))}
    assert len(golden) == 20
    asked: list[int] = []
    for user in few:
        asked += drain(store, user, study)
    share = sum(one in golden for one in asked) / len(asked)
    assert 0.12 < share < 0.4, share
    task = leases.next_task(store, study.id, few[0].id)
    assert task is None, "known items are never asked alone"
    row = studies.studies(store)[0]
    assert (row.items, row.judged, row.open) == (40, 40, 0)


def test_the_queue_goes_by_priority(store: Store) -> None:
    (one,) = team(store, 1)
    study = studies.create(store, "first", "pairwise", StudyConfig(gold_rate=0.0))
    studies.add_items(store, study.id, [*items(2), *items(4, priority=1.0)[2:]])
    assert drain(store, one, study) == [3, 4, 1, 2]


# --- many at once ---


def test_a_race_of_threads_never_exceeds_the_overlap(store: Store) -> None:
    few = team(store, 12)
    study = held(store, count=60, overlap=2)
    gate = threading.Barrier(len(few))

    def work(user_id: int) -> int:
        gate.wait()
        count = 0
        while (task := leases.next_task(store, study.id, user_id)) is not None:
            acts.submit(store, user_id, Act(task.lease_id, task.key, ranks=(0, 1)))
            count += 1
        return count

    with ThreadPoolExecutor(len(few)) as pool:
        done = [*pool.map(work, [user.id for user in few])]
    assert sum(done) == 120
    with store.read() as session:
        rows = Counter(session.scalars(select(Judgement.item_id)))
        assert len({*session.execute(select(Judgement.item_id, Judgement.user_id))}) == 120
    assert {*rows.values()} == {2}
    assert len(rows) == 60


def test_two_tabs_of_one_person_share_a_lease(store: Store) -> None:
    (one,) = team(store, 1)
    study = held(store, count=20)
    with ThreadPoolExecutor(6) as pool:
        tasks = [*pool.map(lambda _: leases.next_task(store, study.id, one.id), range(6))]
    assert len({task.lease_id for task in tasks if task}) == 1


def test_a_race_of_processes(where: str) -> None:
    store = open_store(where)
    few = team(store, 3)
    held(store, count=40, overlap=1)
    store.close()
    env = {**os.environ, "PYTHONPATH": str(ROOT.parent / "src")}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, where, str(user.id)],
            env=env,
            stdout=subprocess.PIPE,
            text=True,
        )
        for user in few
    ]
    told = [one.communicate(timeout=120)[0].split("\n")[:-1] for one in running]
    assert [one.returncode for one in running] == [0, 0, 0]
    given = [line.split()[0] for lines in told for line in lines]
    assert len(given) == 40
    assert len({*given}) == 40


def test_an_unknown_study_or_person_is_named(lite: Store) -> None:
    with pytest.raises(NotThere, match="account 9"):
        leases.next_task(lite, 1, 9)
    (one,) = team(lite, 1)
    with pytest.raises(NotThere, match="study 7"):
        leases.next_task(lite, 7, one.id)
    study = held(lite)
    assert prefer(lite, one, study) is not None
