"""Who judges what: an item is given to an annotator under a lease, in one writing transaction.

The judgements an item has and the leases that run on it never exceed its overlap.  A lease lasts
as long as its page sends beats; one that ran out gives its place back, unless nobody took it.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, exists, func, select
from sqlalchemy.orm import Session

from accord.store.judgements import quiz
from accord.store.judgements.accounts import locked, may
from accord.store.judgements.counting import room, settled
from accord.store.judgements.forms import BadAct, Gone, NotThere, StudyConfig, Task
from accord.store.judgements.opening import Store, now
from accord.store.judgements.progress import disputed
from accord.store.judgements.showing import order_of, task_of
from accord.store.judgements.studies import config_of, get, takes_part
from accord.store.judgements.tables import Author, Item, Lease, Moment, Study, User


def next_task(
    store: Store, study_id: int, user_id: int, *, adjudicate: bool = False
) -> Task | None:
    """What this annotator judges now; None where nothing is left for them.

    A lease of their own that still runs comes first.  Then a known item (gold) at the study's rate,
    then the items in their turn: never one they wrote, never one twice.  `adjudicate`: instead an
    item that others disagree on or flagged.
    """
    queue = [one.item_id for one in disputed(store, study_id)] if adjudicate else []
    with store.write(lasting=False) as session:
        user, study = locked(session, user_id), get(session, study_id)
        _admitted(session, study, user, adjudicate)
        if user.excluded is not None or user.closed is not None:
            return None
        lease = _own(session, study_id, user_id, adjudicate)
        if lease is not None and not adjudicate and _too_early(session, study, user, lease):
            lease.state, lease = "released", None
        if lease is None and study.status == "open":
            if adjudicate:
                item_id = _to_settle(session, queue, user_id)
            else:
                item_id = _turn(session, study, user)
            if item_id is not None:
                lease = _take(session, study, item_id, user_id, adjudicate)
        if lease is None:
            return None
        extend(lease, config_of(study))
        session.flush()
        return task_of(session, lease)


def task(store: Store, lease_id: int, user_id: int) -> Task:
    """A lease's task once more, for a page that is loaded again."""
    with store.write(lasting=False) as session:
        locked(session, user_id)
        lease = hold(session, lease_id, user_id)
        session.flush()
        return task_of(session, lease)


def beat(
    store: Store, lease_id: int, user_id: int, draft: dict[str, Any] | None = None
) -> datetime:
    """A sign of life, with what was written so far; when the lease runs out now.

    Gone where it ran out before and its place was given on.
    """
    with store.write(lasting=False) as session:
        locked(session, user_id)
        lease = hold(session, lease_id, user_id)
        if draft is not None:
            lease.draft = draft
        return lease.expires


def release(store: Store, lease_id: int, user_id: int) -> None:
    """The place goes back; the draft stays, should the same annotator get the item again."""
    with store.write(lasting=False) as session:
        lease = _mine(session, lease_id, user_id)
        if lease.state == "active":
            lease.state = "released"


def hold(session: Session, lease_id: int, user_id: int) -> Lease:
    """The lease, running from now on; Gone where it is done, or where its place was given on."""
    lease = _mine(session, lease_id, user_id)
    if lease.state == "done":
        raise Gone("you have judged this item already; undo takes the verdict back")
    user, at = session.get_one(User, user_id), now()
    item = session.scalars(select(Item).where(Item.id == lease.item_id).with_for_update()).one()
    if user.excluded is not None or user.closed is not None:
        raise Gone("this account takes no part any more")
    study = get(session, item.study_id)
    _admitted(session, study, user, lease.adjudicates)  # roles and members change
    if lease.state != "active" or lease.expires <= at:
        if not _room(session, item.id, user_id, lease.adjudicates):
            raise Gone("this item waited too long and was given to somebody else")
        lease.state = "active"
    extend(lease, config_of(study))
    return lease


# --- within a transaction ---


def _mine(session: Session, lease_id: int, user_id: int) -> Lease:
    lease = session.get(Lease, lease_id)
    if lease is None or lease.user_id != user_id:
        raise NotThere(f"there is no lease {lease_id} of yours")
    return lease


def _admitted(session: Session, study: Study, user: User, adjudicate: bool) -> None:
    need = "manage" if adjudicate else "judge"
    if not may(user.role, need):
        what = "managers settle" if adjudicate else "annotators judge"
        raise BadAct(f"you are a {user.role}; only {what} items: ask an owner for another role")
    if not takes_part(session, study, user):
        raise BadAct(f"you are not a member of the study {study.name!r}; ask its manager")


def extend(lease: Lease, config: StudyConfig) -> None:
    """It runs from now on for as long as the study gives."""
    lease.beat = now()
    lease.expires = lease.beat + timedelta(minutes=config.lease_minutes)


def _own(session: Session, study_id: int, user_id: int, adjudicates: bool) -> Lease | None:
    """The latest that still runs."""
    query = (
        select(Lease)
        .join(Item, Item.id == Lease.item_id)
        .where(Item.study_id == study_id, Lease.user_id == user_id)
        .where(Lease.state == "active", Lease.expires > now())
        .where(Lease.adjudicates.is_(adjudicates))
        .order_by(Lease.issued.desc(), Lease.id.desc())
    )
    return session.scalars(query.limit(1)).first()


def _not_seen() -> Sequence[Any]:
    """Of items: neither judged, skipped or flagged by the annotator `me`, nor written."""
    done = exists().where(
        Lease.item_id == Item.id,
        Lease.user_id == bindparam("me"),
        Lease.state == "done",
        Lease.adjudicates.is_(False),
    )
    wrote = exists().where(Author.item_id == Item.id, Author.user_id == bindparam("me"))
    return ~done, ~wrote


@cache
def _first(*, waits: bool) -> Select[tuple[int]]:
    query = (
        select(Item.id)
        .where(Item.study_id == bindparam("study"), Item.gold.is_(None), room())
        .where(*_not_seen())
        .order_by(Item.turn, Item.id)
        .limit(1)
    )
    return query.with_for_update(skip_locked=not waits, of=Item)


def _open(session: Session, study_id: int, user_id: int) -> int | None:
    """The first item with a place, its row locked.

    PostgreSQL: others' locked rows are passed by first, and waited for if nothing else is there.
    A query sees what was when it began, so the place is looked at again under the lock.  A row that
    was locked in vain is let go before the next one is asked for: two could wait for each other.
    """
    while True:
        told = {"study": study_id, "me": user_id, "at": now()}
        point = session.begin_nested()
        found = session.scalar(_first(waits=False), told)
        if found is None:
            found = session.scalar(_first(waits=True), told)
        if found is None or _room(session, found, user_id, False):
            point.commit()
            return found
        point.rollback()


@cache
def _places(*, adjudicates: bool) -> Select[tuple[int]]:
    here = select(Item.id).where(Item.id == bindparam("item"))
    if not adjudicates:
        return here.where(room())
    held = exists().where(
        Lease.item_id == Item.id,
        Lease.adjudicates.is_(True),
        Lease.user_id != bindparam("me"),
        Lease.state == "active",
        Lease.expires > bindparam("at", type_=Moment()),
    )
    return here.where(~settled(), ~held)


def _room(session: Session, item_id: int, user_id: int, adjudicates: bool) -> bool:
    told = {"item": item_id, "me": user_id, "at": now()}
    return session.scalar(_places(adjudicates=adjudicates), told) is not None


def _too_early(session: Session, study: Study, user: User, lease: Lease) -> bool:
    """Whether it is of the study's own items, and the quiz, begun since, comes first."""
    item = session.get_one(Item, lease.item_id)
    return item.gold is None and not quiz.stand(session, study, user).open


def _turn(session: Session, study: Study, user: User) -> int | None:
    """A known item while the quiz asks; nothing after a quiz that was failed."""
    found = quiz.stand(session, study, user)
    if found.state == "asks":
        return next(iter(_known(session, study, user.id)), None)
    if not found.open:
        return None
    return _gold(session, study, user.id) or _open(session, study.id, user.id)


def _known(session: Session, study: Study, user_id: int) -> list[int]:
    """Known items that were not seen."""
    gold = select(Item.id).where(Item.study_id == study.id, Item.gold.is_not(None))
    left = gold.where(*_not_seen()).order_by(Item.id)
    return [*session.scalars(left, {"me": user_id})]


def _gold(session: Session, study: Study, user_id: int) -> int | None:
    """A known item, at the study's rate, where one is left; only among others, never alone."""
    rate = config_of(study).gold_rate
    theirs = select(func.count()).select_from(Lease).join(Item, Item.id == Lease.item_id)
    theirs = theirs.where(Item.study_id == study.id, Lease.user_id == user_id)
    told = f"gold/{study.id}/{user_id}/{session.scalar(theirs)}".encode()
    lot = int.from_bytes(hashlib.blake2b(told, digest_size=8).digest()) / 2**64
    if lot >= rate or _open(session, study.id, user_id) is None:
        return None
    few = _known(session, study, user_id)
    return few[int(lot / rate * len(few))] if few else None


def _to_settle(session: Session, queue: Sequence[int], user_id: int) -> int | None:
    passed = select(Lease.item_id).where(
        Lease.user_id == user_id, Lease.adjudicates.is_(True), Lease.state == "done"
    )
    seen = {*session.scalars(passed)}
    for item_id in queue:
        if item_id in seen:
            continue
        lock = select(Item.id).where(Item.id == item_id).with_for_update()
        session.execute(lock)
        if _room(session, item_id, user_id, True):
            return item_id
    return None


def _take(session: Session, study: Study, item_id: int, user_id: int, adjudicates: bool) -> Lease:
    """A new lease, or the annotator's own that ran out, with its order and draft."""
    query = select(Lease).where(
        Lease.item_id == item_id, Lease.user_id == user_id, Lease.adjudicates.is_(adjudicates)
    )
    lease = session.scalars(query).first()
    if lease is None:
        item = session.get_one(Item, item_id)
        order, seed = order_of(study.id, item_id, user_id, len(item.responses))
        if not config_of(study).shuffle:
            order, seed = sorted(order), ""
        lease = Lease(item_id=item_id, user_id=user_id, order=order, seed=seed)
        lease.adjudicates, lease.draft = adjudicates, None
        session.add(lease)
    lease.state, lease.issued = "active", now()
    return lease
