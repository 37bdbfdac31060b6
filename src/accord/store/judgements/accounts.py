"""Accounts: who there is, what each may do, and whose judgements count."""

import re
import secrets
from functools import cache
from typing import Any, Literal

from pwdlib import PasswordHash
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from accord.errors import BadSettings
from accord.store.judgements.audit import note
from accord.store.judgements.counting import recount
from accord.store.judgements.forms import NotThere
from accord.store.judgements.opening import Store, now
from accord.store.judgements.tables import Invite, Item, Judgement, Lease, Login, Token, User

Role = Literal["owner", "manager", "annotator", "viewer"]
ROLES: tuple[Role, ...] = ("owner", "manager", "annotator", "viewer")
"""each may do all that those after it may"""
NEEDS = {"own": "owner", "manage": "manager", "judge": "annotator", "read": "viewer"}
"""what is to be done -> the least role for it"""
SHORTEST = 8
"""characters of a password"""


def may(role: str, what: str) -> bool:
    """Whether a role suffices to own, manage, judge or read."""
    return ROLES.index(_role(role)) <= ROLES.index(_role(NEEDS[what]))


def add(
    store: Store,
    name: str,
    role: str,
    *,
    password: str | None = None,
    email: str | None = None,
    kind: str = "person",
    by: int | None = None,
) -> User:
    """A new account; BadSettings where the name is taken or the password too short.

    `kind` is person, or ai for a judge that is a program; without a password one comes in by link.
    """
    sealed = None if password is None else seal(password)
    with store.write() as session:
        user = added(session, name, role, sealed, email, kind)
        note(session, by, "account made", user=user.id, name=user.name, role=role, kind=kind)
    return user


def added(
    session: Session, name: str, role: str, sealed: str | None, email: str | None, kind: str
) -> User:
    """The same within a transaction: the password is sealed already, which takes its time."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= 120:
        raise BadSettings(f"a name has 1 to 120 characters; {name[:40]!r} has {len(name)}")
    if kind not in ("person", "ai"):
        raise BadSettings(f"an account is of a person or of an ai, not of {kind!r}")
    if session.scalar(select(User.id).where(func.lower(User.name) == name.lower())) is not None:
        raise BadSettings(f"the name {name!r} is taken; choose another")
    user = User(
        name=name,
        kind=kind,
        role=_role(role),
        password=sealed,
        email=email or None,
        pseudonym=f"{kind if kind == 'ai' else 'annotator'}-{secrets.token_hex(4)}",
        prefs={},
        created=now(),
    )
    session.add(user)
    session.flush()
    return user


def seal(password: str) -> str:
    """The argon2 hash of a password of at least 8 characters; takes about a third of a second."""
    if len(password) < SHORTEST:
        raise BadSettings(f"a password has at least {SHORTEST} characters; choose a longer one")
    return hasher().hash(password)


@cache
def hasher() -> PasswordHash:
    """Argon2 as the library recommends it."""
    return PasswordHash.recommended()


def user(store: Store, id_or_name: int | str) -> User:
    """An account by its number or name; NotThere where there is none."""
    with store.read() as session:
        return _get(session, id_or_name)


def users(store: Store) -> list[User]:
    """All accounts, by name, closed ones too."""
    with store.read() as session:
        return [*session.scalars(select(User).order_by(func.lower(User.name)))]


def owners(store: Store) -> int:
    """How many owners can come in: a fresh store has none."""
    with store.read() as session:
        return _owners(session)


def set_password(store: Store, user_id: int, password: str, by: int | None = None) -> None:
    """A new password; every browser that was logged in is logged out."""
    sealed = seal(password)
    with store.write() as session:
        _get(session, user_id).password = sealed
        _out(session, user_id)
        note(session, by or user_id, "password changed", user=user_id)


def set_role(store: Store, user_id: int, role: str, by: int | None = None) -> None:
    """Another role; the last owner keeps theirs."""
    with store.write() as session:
        user = _get(session, user_id)
        was, user.role = user.role, _role(role)
        session.flush()
        _still_owned(session, was)
        note(session, by, "role changed", user=user_id, was=was, role=role)


def set_prefs(store: Store, user_id: int, prefs: dict[str, Any]) -> None:
    """Preferences of the pages, replaced as a whole."""
    with store.write() as session:
        _get(session, user_id).prefs = prefs


def set_email(store: Store, user_id: int, email: str | None) -> None:
    """Where to reach them; never exported."""
    if email and not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        raise BadSettings(f"{email!r} is no e-mail address; name@host is")
    with store.write() as session:
        _get(session, user_id).email = email or None


def close_account(store: Store, user_id: int, by: int | None = None) -> None:
    """No more logins, tokens or leases; what was judged stays, and counts."""
    with store.write() as session:
        user = _get(session, user_id)
        if user.closed is None:
            user.closed = now()
            session.flush()
            _still_owned(session, user.role)
            _out(session, user_id)
            keys = select(Token).where(Token.user_id == user_id, Token.revoked.is_(None))
            for token in session.scalars(keys):
                token.revoked = now()
            for link in session.scalars(select(Invite).where(Invite.user_id == user_id)):
                session.delete(link)
            _free(session, user_id)
            note(session, by or user_id, "account closed", user=user_id)


def open_account(store: Store, user_id: int, by: int | None = None) -> None:
    """A closed account may log in again."""
    with store.write() as session:
        _get(session, user_id).closed = None
        note(session, by, "account opened", user=user_id)


def exclude(store: Store, user_id: int, by: int | None = None) -> int:
    """This annotator's judgements stop counting; how many of their items are open again by that."""
    with store.write() as session:
        user = locked(session, user_id)
        user.excluded = user.excluded or now()
        session.flush()
        _free(session, user_id)
        opened = _recount(session, user_id)
        note(session, by, "excluded", user=user_id, opened=opened)
    return opened


def include(store: Store, user_id: int, by: int | None = None) -> int:
    """They count again; how many items have enough by that.  The change in the number open."""
    with store.write() as session:
        locked(session, user_id).excluded = None
        session.flush()
        closed = -_recount(session, user_id)
        note(session, by, "included", user=user_id, closed=closed)
    return closed


# --- within a transaction ---


def locked(session: Session, user_id: int) -> User:
    """An account, with what it does at this moment kept waiting till the transaction ends."""
    query = select(User).where(User.id == user_id).with_for_update(key_share=True)
    found = session.scalars(query).first()
    if found is None:
        raise NotThere(f"there is no account {user_id}")
    return found


def _get(session: Session, id_or_name: int | str) -> User:
    column = User.id if isinstance(id_or_name, int) else User.name
    found = session.scalars(select(User).where(column == id_or_name)).first()
    if found is None:
        raise NotThere(f"there is no account {id_or_name!r}")
    return found


def _role(role: str) -> Role:
    for known in ROLES:
        if role == known:
            return known
    raise BadSettings(f"{role!r} is no role; there are {', '.join(ROLES)}")


def _owners(session: Session) -> int:
    found = select(func.count()).where(User.role == "owner", User.closed.is_(None))
    return session.scalar(found.select_from(User)) or 0


def _still_owned(session: Session, was: str) -> None:
    if was == "owner" and not _owners(session):
        raise BadSettings("this is the last owner; make another one first")


def _out(session: Session, user_id: int) -> None:
    for login in session.scalars(select(Login).where(Login.user_id == user_id)):
        session.delete(login)


def _free(session: Session, user_id: int) -> None:
    active = select(Lease).where(Lease.user_id == user_id, Lease.state == "active")
    for lease in session.scalars(active):
        lease.state = "released"


def _recount(session: Session, user_id: int) -> int:
    """By how much the number of open items rises among those that the user judged."""
    theirs = select(Judgement.item_id).where(Judgement.user_id == user_id)
    count = select(func.count()).select_from(Item).where(Item.id.in_(theirs), Item.open.is_(True))
    before = session.scalar(count) or 0
    recount(session, Item.id.in_(theirs))
    return (session.scalar(count) or 0) - before
