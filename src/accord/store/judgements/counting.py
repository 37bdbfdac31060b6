"""What counts: judgements that nobody took back, of annotators who are not excluded.

The expressions are made once: to put one together takes as long as to run it.  Those that ask for
the time are executed with `{"at": now()}`.
"""

from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    bindparam,
    cast,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session, aliased

from accord.store.judgements.tables import Item, Judgement, Lease, Moment, Study, User


@cache
def standing() -> ColumnElement[bool]:
    """Of the table `Judgement`: a verdict, skip or flag that was not taken back."""
    later = aliased(Judgement)
    return and_(
        Judgement.act != "withdraw",
        ~exists().where(later.supersedes == Judgement.id),
    )


PRACTICE = "quiz"
"""the mark of an answer in a study's quiz: kept, and counted nowhere"""


@cache
def practice() -> ColumnElement[bool]:
    """Of the table `Judgement`: an answer in the quiz."""
    return cast(Judgement.marks, String).like(f'%"{PRACTICE}"%')


@cache
def counted() -> Select[Any]:
    """How many verdicts of people count for an item of the query around it.

    An AI judge's do not: the overlap asks for people.  Nor does an adjudicator's: it closes.
    """
    return (
        select(func.count(Judgement.id))
        .join(User, User.id == Judgement.user_id)
        .where(
            Judgement.item_id == Item.id,
            Judgement.act == "judge",
            Judgement.final.is_(False),
            User.kind == "person",
            User.excluded.is_(None),
            standing(),
        )
        .correlate(Item)
    )


@cache
def settled() -> ColumnElement[bool]:
    """An adjudicator has judged the item of the query around it, or thrown it out (a flag)."""
    return (
        exists()
        .where(
            Judgement.item_id == Item.id,
            Judgement.act.in_(("judge", "flag")),
            Judgement.final.is_(True),
            User.id == Judgement.user_id,
            User.excluded.is_(None),
            standing(),
        )
        .correlate(Item)
    )


@cache
def held() -> Select[Any]:
    """How many annotators hold an active lease on the item of the query around it."""
    return (
        select(func.count(Lease.id))
        .where(
            Lease.item_id == Item.id,
            Lease.adjudicates.is_(False),
            Lease.state == "active",
            Lease.expires > bindparam("at", type_=Moment()),
        )
        .correlate(Item)
    )


@cache
def wanted() -> ColumnElement[int]:
    """How many judgements the item of the query around it asks for."""
    overlap = select(Study.config["overlap"].as_integer()).where(Study.id == Item.study_id)
    return func.coalesce(Item.asked, overlap.correlate(Item).scalar_subquery())


@cache
def room() -> ColumnElement[bool]:
    """The item of the query around it has a place for one more annotator."""
    places = counted().scalar_subquery() + held().scalar_subquery()
    return and_(Item.open.is_(True), or_(Item.gold.is_not(None), places < wanted()))


def recount(session: Session, which: ColumnElement[bool]) -> None:
    """Brings `open` of these items up to date.  Known items (gold) stay open: each is asked of all.

    The rows are locked first, in the order of their numbers, so that the count is of what is.
    """
    session.flush()
    session.execute(select(Item.id).where(which).order_by(Item.id).with_for_update())
    change = update(Item).where(which).values(open=_still_open())
    session.execute(change.execution_options(synchronize_session=False))
    for one in [*session.identity_map.values()]:
        if isinstance(one, Item):
            session.refresh(one, ["open"])


@cache
def _still_open() -> ColumnElement[bool]:
    enough = counted().scalar_subquery() >= wanted()
    return or_(Item.gold.is_not(None), and_(~enough, ~settled()))
