"""Leases, verdicts, undo and exclusion in any order, against a model of a few lines of Python."""

import random
from collections import defaultdict
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from accord.store.judgements import acts, leases, people, resolve, studies
from accord.store.judgements.forms import Act, Gone, Task
from accord.store.judgements.opening import Store, now
from accord.store.judgements.tables import Item, Lease
from judgement_fakes import held, of, team

PEOPLE, ITEMS, OVERLAP = 3, 3, 2
STEPS = 120


class Site:
    """A study of three items, two judgements each, three people, and what must be so."""

    def __init__(self, store: Store, rng: random.Random) -> None:
        self.store, self.rng = store, rng
        self.users = [user.id for user in team(self.store, PEOPLE)]
        self.study = held(self.store, count=ITEMS, overlap=OVERLAP).id
        self.tasks: dict[int, list[Task]] = defaultdict(list)
        """pages that were opened, the last at the end"""
        self.live: dict[int, list[int]] = defaultdict(list)
        """items under a running lease, the one to be shown next at the end"""
        self.said: dict[int, list[tuple[int, str]]] = defaultdict(list)
        """item and act, in order"""
        self.out: set[int] = set()

    # --- the model ---

    def taken(self, item: int, but: int | None = None) -> int:
        """Verdicts that count, and leases that run, of others than `but`."""
        verdicts = sum(
            (item, "judge") in said for user, said in self.said.items() if user not in self.out
        )
        return verdicts + sum(item in few for user, few in self.live.items() if user != but)

    def for_whom(self, user: int) -> list[int]:
        done = {item for item, _ in self.said[user]}
        items = range(1, ITEMS + 1)
        return [item for item in items if item not in done and self.taken(item, user) < OVERLAP]

    # --- what happens ---

    def next(self, at: int) -> None:
        user = self.users[at]
        task = leases.next_task(self.store, self.study, user)
        if user in self.out:
            assert task is None
            return
        if self.live[user]:
            want = self.live[user][-1]
        else:
            want = next(iter(self.for_whom(user)), 0)
        assert (task.item_id if task else 0) == want
        if task is not None:
            self.tasks[user].append(task)
            if want not in self.live[user]:
                self.live[user].append(want)

    def send(self, at: int) -> None:
        user, act = self.users[at], self.rng.choice(("judge", "judge", "judge", "skip", "flag"))
        if not self.tasks[user]:
            return
        task = self.tasks[user].pop()
        over = any(item == task.item_id for item, _ in self.said[user])
        may = (
            user not in self.out
            and not over
            and (task.item_id in self.live[user] or self.taken(task.item_id, user) < OVERLAP)
        )
        ranks = of(task, (0, 1)) if act == "judge" else None
        sent = Act(task.lease_id, task.key, act=act, ranks=ranks)  # type: ignore[arg-type]
        try:
            receipt = acts.submit(self.store, user, sent)
        except Gone:
            assert not may
            return
        assert may
        assert acts.submit(self.store, user, sent).judgement_id == receipt.judgement_id
        self.said[user].append((task.item_id, act))
        if task.item_id in self.live[user]:
            self.live[user].remove(task.item_id)

    def undo(self, at: int) -> None:
        user = self.users[at]
        task = acts.undo(self.store, user, self.study)
        if user in self.out or not self.said[user]:
            assert task is None
            return
        item, act = self.said[user].pop()
        assert task is not None
        assert (task.item_id, (task.draft or {})["act"]) == (item, act)
        self.tasks[user].append(task)
        self.live[user].append(item)

    def release(self, at: int) -> None:
        user = self.users[at]
        if self.live[user]:
            item = self.live[user].pop()
            lease = next(t.lease_id for t in reversed(self.tasks[user]) if t.item_id == item)
            leases.release(self.store, lease, user)

    def time_passes(self, at: int) -> None:
        with self.store.write() as session:
            late = now() - timedelta(seconds=1)
            session.execute(update(Lease).where(Lease.state == "active").values(expires=late))
        self.live.clear()

    def exclude(self, at: int) -> None:
        people.exclude(self.store, self.users[at])
        self.out.add(self.users[at])
        self.live[self.users[at]].clear()

    def include(self, at: int) -> None:
        people.include(self.store, self.users[at])
        self.out.discard(self.users[at])

    # --- what must be so ---

    def items_are_open_while_they_want_verdicts(self) -> None:
        with self.store.read() as session:
            is_open = {item.id: item.open for item in session.scalars(select(Item))}
        for item in range(1, ITEMS + 1):
            verdicts = sum(
                (item, "judge") in said for user, said in self.said.items() if user not in self.out
            )
            assert is_open[item] == (verdicts < OVERLAP), item

    def records_are_what_was_said(self) -> None:
        how = resolve.Filters(labels="every", flagged="keep")
        made = resolve.records(self.store, self.study, how)
        want = sum(
            act == "judge"
            for user, said in self.said.items()
            if user not in self.out
            for _, act in said
        )
        assert len(made.comparisons) == want
        assert {one.ranks for one in made.comparisons} <= {(0, 1)}
        assert studies.studies(self.store)[0].items == ITEMS


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_acts(store: Store, seed: int) -> None:
    rng = random.Random(seed)
    site, done = Site(store, rng), []
    often = {
        site.next: 8,
        site.send: 8,
        site.undo: 2,
        site.release: 1,
        site.time_passes: 1,
        site.exclude: 1,
        site.include: 1,
    }
    for _ in range(STEPS):
        (what,) = rng.choices([*often], [*often.values()])
        at = rng.randrange(PEOPLE)
        done.append(f"{what.__name__} {at}")
        try:
            what(at)
            site.items_are_open_while_they_want_verdicts()
            site.records_are_what_was_said()
        except Exception as error:
            raise AssertionError(", ".join(done)) from error
