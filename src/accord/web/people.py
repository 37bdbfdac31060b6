"""Accounts, invitations, whose judgements count, and the log of who did what."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, HTTPException, Request, UploadFile
from sqlalchemy import func, select
from starlette.responses import RedirectResponse, Response

from accord.errors import AccordError
from accord.store.artifact import Artifact
from accord.store.judgements import people, studies
from accord.store.judgements.opening import Store
from accord.store.judgements.tables import Event, Export, Judgement, User
from accord.web.render import address, page
from accord.web.security import Id, Manager, Owner, TheStore

router = APIRouter(include_in_schema=False)
Text = Annotated[str, Form(max_length=200)]
Whole = Annotated[int, Form()]
LONGEST = 1 << 20
"""bytes of a list of people"""
PAGE = 100


@router.get("/people")
def everybody(request: Request, store: TheStore, user: Manager) -> Response:
    """Who is here, and how others come in."""
    return _people(request, store)


def _people(
    request: Request, store: Store, status: int = 200, error: str = "", **more: Any
) -> Response:
    count = func.count(Judgement.id)
    with store.read() as session:
        each = session.execute(select(Judgement.user_id, count).group_by(Judgement.user_id)).all()
    given: dict[str, Any] = {
        "everyone": people.users(store),
        "judged": {row[0]: row[1] for row in each},
        "invites": people.invites(store),
        "studies": {row.study.id: row.study.name for row in studies.studies(store)},
        "error": error,
        "links": [],
        "roles": people.ROLES,
    }
    return page(request, "people.html", status, **given | more)


@router.post("/people/invite")
def invite(
    request: Request,
    store: TheStore,
    user: Manager,
    role: Text = "annotator",
    uses: Annotated[int, Form(ge=1, le=10_000)] = 1,
    days: Annotated[float, Form(gt=0, le=365)] = 7,
    note: Text = "",
    study: Text = "",
) -> Response:
    """A link, shown once."""
    if role == "manager" and not people.may(user.role, "own"):
        raise HTTPException(403, "only an owner invites managers")
    try:
        study_id = int(study) if study.isdecimal() else None
        token = people.invite(
            store, role, study_id=study_id, uses=uses, days=days, note=note, by=user.id
        )
    except AccordError as error:
        return _people(request, store, 400, str(error))
    many = "one person" if uses == 1 else f"{uses} people"
    told = f"Makes {many} {role}, for {days:g} day{'s' if days != 1 else ''}"
    return _people(request, store, links=[(told, address(request, f"/join/{token}"))])


@router.post("/people/csv")
def from_csv(
    request: Request, store: TheStore, user: Owner, file: Annotated[UploadFile, File()]
) -> Response:
    """Accounts from a list, each with a link that lets it in."""
    raw = file.file.read(LONGEST + 1)
    if len(raw) > LONGEST:
        return _people(request, store, 400, "a list of people has at most 1 MB")
    try:
        made = people.people_from_csv(store, raw.decode("utf-8"), user.id)
    except UnicodeDecodeError:
        return _people(request, store, 400, "the list is not UTF-8; save it as CSV UTF-8")
    except AccordError as error:
        return _people(request, store, 400, str(error))
    links = [(one.name, address(request, f"/in/{token}")) for one, token in made]
    return _people(request, store, links=links)


@router.post("/people/uninvite")
def uninvite(store: TheStore, user: Manager, hash: Text) -> Response:
    """The link leads nowhere from now on."""
    people.revoke_invite(store, hash, user.id)
    return RedirectResponse("/people?said=uninvited", 303)


# --- one of them ---


def whom(store: Store, user_id: int, by: User) -> User:
    """The account, if the one who asks may change it: a manager changes no owner or manager."""
    found = people.user(store, user_id)
    above = people.may(found.role, "manage") and not people.may(by.role, "own")
    if above and found.id != by.id:
        raise HTTPException(403, f"only an owner changes the account of a {found.role}")
    return found


@router.get("/people/{user_id}")
def one(request: Request, store: TheStore, user: Manager, user_id: Id) -> Response:
    """What can be done with an account, and what that would mean."""
    return _one(request, store, user, user_id)


def _one(
    request: Request, store: Store, user: User, user_id: int, link: str = "", status: int = 200
) -> Response:
    whom = people.user(store, user_id)
    with store.read() as session:
        count = select(func.count(Judgement.id)).where(Judgement.user_id == user_id)
        judged = session.scalar(count) or 0
    return page(
        request,
        "person.html",
        status,
        whom=whom,
        judged=judged,
        roles=people.ROLES,
        link=link,
        events=people.events(store, user_id=user_id, limit=20),
        affected=affected(store, user_id, request.app.state.cfg.runs),
    )


def affected(store: Store, user_id: int, runs: Path) -> list[Artifact]:
    """Models that learned from this person's judgements: by the digests of what was exported."""
    with store.read() as session:
        own = set(session.scalars(select(Judgement.id).where(Judgement.user_id == user_id)))
        exports = session.scalars(select(Export)).all()
    digests = {one.digest for one in exports if not own.isdisjoint(one.judgements)}
    if not digests or not runs.is_dir():
        return []
    made = Artifact.find(runs)
    touched = {one.id for one in made if digests & set(one.hashes.values())}
    while more := {one.id for one in made if touched & set(one.parents)} - touched:
        touched |= more  # what was made of them, and of that
    return [one for one in made if one.id in touched and one.kind in ("policy", "reward")]


@router.post("/people/{user_id}/role")
def set_role(store: TheStore, user: Manager, user_id: Id, role: Text) -> Response:
    """Another role; only an owner makes managers and owners."""
    whom(store, user_id, user)
    if role in people.ROLES and people.may(role, "manage") and not people.may(user.role, "own"):
        raise HTTPException(403, f"only an owner makes a {role}")
    people.set_role(store, user_id, role, user.id)
    return RedirectResponse(f"/people/{user_id}?said=role", 303)


@router.post("/people/{user_id}/link")
def link(request: Request, store: TheStore, user: Manager, user_id: Id) -> Response:
    """A link that lets this person in again, shown once."""
    whom(store, user_id, user)
    token = people.one_time_link(store, user_id, 24 * 60, user.id)
    return _one(request, store, user, user_id, address(request, f"/in/{token}"))


@router.post("/people/{user_id}/exclude")
def exclude(store: TheStore, user: Manager, user_id: Id) -> Response:
    """Their judgements stop counting."""
    whom(store, user_id, user)
    people.exclude(store, user_id, user.id)
    return RedirectResponse(f"/people/{user_id}?said=excluded", 303)


@router.post("/people/{user_id}/include")
def include(store: TheStore, user: Manager, user_id: Id) -> Response:
    """They count again."""
    whom(store, user_id, user)
    people.include(store, user_id, user.id)
    return RedirectResponse(f"/people/{user_id}?said=included", 303)


@router.post("/people/{user_id}/close")
def close(store: TheStore, user: Manager, user_id: Id) -> Response:
    """No more logins; what was judged stays."""
    whom(store, user_id, user)
    people.close_account(store, user_id, user.id)
    return RedirectResponse(f"/people/{user_id}?said=closed", 303)


@router.post("/people/{user_id}/open")
def reopen(store: TheStore, user: Manager, user_id: Id) -> Response:
    """The account may log in again."""
    whom(store, user_id, user)
    people.open_account(store, user_id, user.id)
    return RedirectResponse(f"/people/{user_id}?said=opened", 303)


# --- the log ---


@router.get("/log")
def log(
    request: Request, store: TheStore, user: Manager, before: int | None = None, what: str = ""
) -> Response:
    """Who did what, and when; the newest first."""
    rows = people.events(store, what=what or None, before=before, limit=PAGE)
    with store.read() as session:
        kinds = sorted(session.scalars(select(Event.what).distinct()))
    names = {one.id: one.name for one in people.users(store)}
    more = rows[-1].id if len(rows) == PAGE else None
    return page(request, "log.html", rows=rows, names=names, more=more, kinds=kinds, what=what)
