"""A study, its people and its items, made up; and hands that judge without a browser."""

from collections.abc import Callable, Sequence
from typing import Any

from accord.store.judgements import acts, leases, people, studies
from accord.store.judgements.forms import Act, Kind, NewItem, Receipt, StudyConfig, Task
from accord.store.judgements.opening import Store
from accord.store.judgements.tables import Study, User

PASSWORD = "correct horse"


def team(store: Store, count: int = 3, role: str = "annotator") -> list[User]:
    """People called a0, a1, ..."""
    return [people.add(store, f"{role[0]}{i}", role) for i in range(count)]


def items(count: int, answers: int = 2, **more: Any) -> list[NewItem]:
    """Prompts q0, q1, ... with the answers "q0 a", "q0 b", ..."""
    return [
        NewItem(
            [{"role": "user", "content": f"q{i}"}],
            tuple(f"q{i} {'abcdefgh'[k]}" for k in range(answers)),
            **more,
        )
        for i in range(count)
    ]


def held(
    store: Store,
    kind: Kind = "pairwise",
    count: int = 3,
    answers: int = 2,
    gold: Sequence[NewItem] = (),
    **config: Any,
) -> Study:
    """A study of that kind with so many items."""
    config = {"gold_rate": 0.0} | config
    made = studies.create(store, f"{kind} study", kind, StudyConfig(**config))
    added = studies.add_items(store, made.id, [*items(count, answers), *gold])
    assert added.refused == []
    return made


def of(task: Task, own: Sequence[int]) -> tuple[int, ...]:
    """Ranks of the answers a, b, ... of `items`, as they are shown."""
    return tuple(own["abcdefgh".index(one.text[-1])] for one in task.answers)


def prefer(
    store: Store, user: User, study: Study, own: Sequence[int] = (0, 1), **more: Any
) -> Receipt | None:
    """The user's next item, judged so; None where nothing is left."""
    task = leases.next_task(store, study.id, user.id)
    if task is None:
        return None
    return acts.submit(store, user.id, Act(task.lease_id, task.key, ranks=of(task, own), **more))


def drain(
    store: Store, user: User, study: Study, how: Callable[[Task], Sequence[int]] | None = None
) -> list[int]:
    """All that is left for somebody, judged; the items in order."""
    seen = []
    while (task := leases.next_task(store, study.id, user.id)) is not None:
        ranks = of(task, how(task) if how else (0, 1))
        acts.submit(store, user.id, Act(task.lease_id, task.key, ranks=ranks, ms_total=9000))
        seen.append(task.item_id)
    return seen
