"""Ways in: logins of browsers, links, invites, tokens of programs.

Of each only the sha256 is kept; the secret itself is returned once, here.
"""

import csv
import hashlib
import io
import secrets
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from accord.errors import BadData, BadSettings
from accord.store.judgements.accounts import added, hasher, seal
from accord.store.judgements.audit import note
from accord.store.judgements.forms import NotThere
from accord.store.judgements.opening import Store, now
from accord.store.judgements.tables import Invite, Login, Member, Study, Token, User

IDLE = timedelta(days=14)
"""how long a browser stays logged in after the last request"""
TOUCH = timedelta(minutes=1)
"""how often a request is noted, at most: reading pages should not write"""
SCOPES = ("read", "judge", "manage", "runs")
CSV_DAYS = 7


def hashed(token: str) -> str:
    """What is kept of a secret; it is random enough to need no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


# --- browsers ---


def login(store: Store, name: str, password: str, agent: str = "") -> str | None:
    """The token of a new login, or None; as slow for a name that nobody has as for a wrong one."""
    with store.read() as session:
        user = session.scalars(select(User).where(User.name == name.strip())).first()
    known = user.password if user and user.closed is None else None
    right = hasher().verify(password, known or _nobody())
    if not right or known is None or user is None:
        return None
    with store.write() as session:
        return _enter(session, user.id, agent)


def _nobody() -> str:
    if not _NOBODY:
        _NOBODY.append(hasher().hash(secrets.token_hex()))
    return _NOBODY[0]


_NOBODY: list[str] = []


def _enter(session: Session, user_id: int, agent: str) -> str:
    token = secrets.token_urlsafe(32)
    at = now()
    made = Login(hash=hashed(token), user_id=user_id, created=at, seen=at, expires=at + IDLE)
    made.agent = agent[:200]
    session.add(made)
    note(session, user_id, "logged in", agent=made.agent)
    return token


def session_user(store: Store, token: str) -> User | None:
    """Whose login a token is; None where it ran out, was ended, or the account is closed."""
    at = now()
    with store.read() as session:
        found = session.get(Login, hashed(token))
        user = session.get(User, found.user_id) if found and found.expires > at else None
    if found is None or user is None or user.closed is not None:
        return None
    if at - found.seen > TOUCH:
        with store.write(lasting=False) as session:
            mine = update(Login).where(Login.hash == found.hash)
            session.execute(mine.values(seen=at, expires=at + IDLE))
    return user


def logins(store: Store, user_id: int) -> list[Login]:
    """The browsers in which someone is logged in, the latest first."""
    query = select(Login).where(Login.user_id == user_id, Login.expires > now())
    with store.read() as session:
        return [*session.scalars(query.order_by(Login.seen.desc()))]


def logout(store: Store, token: str) -> None:
    """End one login."""
    _end(store, Login.hash == hashed(token))


def logout_one(store: Store, user_id: int, hash: str) -> None:
    """End one of somebody's logins, by its hash in the list."""
    _end(store, (Login.hash == hash) & (Login.user_id == user_id))


def logout_all(store: Store, user_id: int) -> None:
    """End all logins of somebody."""
    _end(store, Login.user_id == user_id)


def _end(store: Store, which: object) -> None:
    with store.write() as session:
        for one in session.scalars(select(Login).where(which)):  # type: ignore[arg-type]
            note(session, one.user_id, "logged out")
            session.delete(one)


# --- invites and links ---


def invite(
    store: Store,
    role: str,
    *,
    study_id: int | None = None,
    uses: int = 1,
    days: float = 7,
    note: str = "",
    by: int | None = None,
) -> str:
    """The token of a link that makes accounts of that role, members of the study if one is named.

    Nobody is invited as an owner: a link can go astray.
    """
    if role not in ("manager", "annotator", "viewer"):
        raise BadSettings(f"a link invites a manager, annotator or viewer, not {role!r}")
    if uses < 1 or days <= 0:
        raise BadSettings("an invite is for at least one use, and for more than no time")
    made = Invite(role=role, study_id=study_id, user_id=None, note=note, left=uses)
    with store.write() as session:
        return _link(session, made, timedelta(days=days), by)


def _link(session: Session, made: Invite, lasts: timedelta, by: int | None) -> str:
    token = secrets.token_urlsafe(24)
    made.hash, made.created, made.expires = hashed(token), now(), now() + lasts
    session.add(made)
    what = "invited" if made.user_id is None else "link made"
    note(session, by, what, role=made.role, study=made.study_id, user=made.user_id, note=made.note)
    return token


def open_invite(store: Store, token: str) -> Invite | None:
    """The invite a link stands for, while it can be used."""
    with store.read() as session:
        return _usable(session, token, person=False)


def invites(store: Store) -> list[Invite]:
    """All that can still be used, the latest first; they are named by their hashes."""
    query = select(Invite).where(Invite.user_id.is_(None), Invite.left > 0, Invite.expires > now())
    with store.read() as session:
        return [*session.scalars(query.order_by(Invite.created.desc()))]


def revoke_invite(store: Store, hash: str, by: int | None = None) -> None:
    """The link leads nowhere from now on."""
    with store.write() as session:
        if found := session.get(Invite, hash):
            session.delete(found)
            note(session, by, "invite revoked", role=found.role, note=found.note)


def accept(store: Store, token: str, name: str, password: str | None = None) -> User:
    """The account an invite makes; BadSettings where it has run out or the name is taken."""
    sealed = None if password is None else seal(password)
    with store.write() as session:
        found = _usable(session, token, person=False)
        if found is None:
            raise BadSettings("this invitation has run out; ask for another one")
        found.left -= 1
        user = added(session, name, found.role, sealed, None, "person")
        if found.study_id is not None:
            session.add(Member(study_id=found.study_id, user_id=user.id))
        note(session, user.id, "joined", role=found.role, study=found.study_id)
    return user


def one_time_link(store: Store, user_id: int, minutes: float = 10, by: int | None = None) -> str:
    """The token of a link that logs an account in once, without a password."""
    with store.write() as session:
        user = session.get(User, user_id)
        if user is None or user.closed is not None:
            raise NotThere(f"there is no open account {user_id}")
        made = Invite(role=user.role, study_id=None, user_id=user_id, note="", left=1)
        return _link(session, made, timedelta(minutes=minutes), by)


def use_link(store: Store, token: str, agent: str = "") -> str | None:
    """A login by such a link; None where it was used, or ran out."""
    with store.write() as session:
        found = _usable(session, token, person=True)
        if found is None or found.user_id is None:
            return None
        user = session.get(User, found.user_id)
        if user is None or user.closed is not None:
            return None
        found.left -= 1
        return _enter(session, user.id, agent)


def _usable(session: Session, token: str, *, person: bool) -> Invite | None:
    query = select(Invite).where(Invite.hash == hashed(token)).with_for_update()
    found = session.scalars(query).first()
    if found is None or found.left < 1 or found.expires <= now():
        return None
    return found if (found.user_id is not None) == person else None


def people_from_csv(store: Store, text: str, by: int | None = None) -> list[tuple[User, str]]:
    """Accounts from a CSV with the column `name`, and `role`, `email`, `study` where wanted.

    All or none: BadData names the line.  With each comes the token of a link that lets it in.
    """
    made: list[tuple[User, str]] = []
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    if "name" not in (reader.fieldnames or ()):
        raise BadData("the CSV has no column 'name'; its first line names the columns")
    if odd := {*(reader.fieldnames or ())} - {"name", "role", "email", "study"}:
        raise BadData(f"the CSV has columns that mean nothing here: {', '.join(sorted(odd))}")
    with store.write() as session:
        for number, row in enumerate(reader, 2):
            try:
                user = added(
                    session, row["name"] or "", row.get("role") or "annotator", None,
                    row.get("email"), "person",
                )  # fmt: skip
                if study := row.get("study"):
                    session.add(Member(study_id=_study(session, study), user_id=user.id))
            except (BadSettings, NotThere) as error:
                raise BadData(f"line {number}: {error}") from None
            note(session, by, "account made", user=user.id, name=user.name, role=user.role)
            link = Invite(role=user.role, study_id=None, user_id=user.id, note="", left=1)
            made.append((user, _link(session, link, timedelta(days=CSV_DAYS), by)))
    return made


def _study(session: Session, name: str) -> int:
    found = session.scalar(select(Study.id).where(Study.name == name))
    if found is None:
        raise NotThere(f"there is no study {name!r}")
    return found


# --- programs ---


def new_token(store: Store, user_id: int, name: str, scopes: Sequence[str]) -> str:
    """A key for programs that act for this account; shown once."""
    if odd := [scope for scope in scopes if scope not in SCOPES]:
        raise BadSettings(f"{odd[0]!r} is no scope; there are {', '.join(SCOPES)}")
    if not scopes:
        raise BadSettings(f"a token needs at least one scope of {', '.join(SCOPES)}")
    token = "accord_" + secrets.token_urlsafe(32)
    with store.write() as session:
        made = Token(hash=hashed(token), user_id=user_id, name=name.strip() or "unnamed")
        made.scopes, made.created = sorted({*scopes}), now()
        session.add(made)
        note(session, user_id, "token made", name=made.name, scopes=made.scopes)
    return token


def tokens(store: Store, user_id: int) -> list[Token]:
    """Somebody's keys that work, the latest first."""
    query = select(Token).where(Token.user_id == user_id, Token.revoked.is_(None))
    with store.read() as session:
        return [*session.scalars(query.order_by(Token.id.desc()))]


def token_user(store: Store, token: str) -> tuple[User, frozenset[str]] | None:
    """Whose key it is, and what it may be used for."""
    at = now()
    query = select(Token).where(Token.hash == hashed(token), Token.revoked.is_(None))
    with store.read() as session:
        found = session.scalars(query).first()
        user = session.get(User, found.user_id) if found else None
    if found is None or user is None or user.closed is not None:
        return None
    if found.used is None or at - found.used > TOUCH:
        with store.write(lasting=False) as session:
            session.execute(update(Token).where(Token.id == found.id).values(used=at))
    return user, frozenset(found.scopes)


def revoke_token(store: Store, user_id: int, token_id: int) -> None:
    """The key opens nothing from now on."""
    with store.write() as session:
        found = session.get(Token, token_id)
        if found is None or found.user_id != user_id:
            raise NotThere(f"there is no token {token_id} of yours")
        if found.revoked is None:
            found.revoked = now()
            note(session, user_id, "token revoked", name=found.name)
