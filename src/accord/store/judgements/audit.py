"""The audit log: who did what, and when.  A line is written in the transaction of what it tells."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from accord.store.judgements.opening import Store, now
from accord.store.judgements.tables import Event


def note(session: Session, user_id: int | None, what: str, **about: Any) -> None:
    """One line more; `user_id` is who did it, None for the site itself."""
    session.add(Event(at=now(), user_id=user_id, what=what, about=about))


def events(
    store: Store,
    *,
    user_id: int | None = None,
    what: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Event]:
    """The newest first: of one person, of one kind, older than the event `before`."""
    query = select(Event).order_by(Event.id.desc()).limit(limit)
    if user_id is not None:
        query = query.where(Event.user_id == user_id)
    if what is not None:
        query = query.where(Event.what == what)
    if before is not None:
        query = query.where(Event.id < before)
    with store.read() as session:
        return [*session.scalars(query)]
