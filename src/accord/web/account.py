"""Coming in and going out, and what one may change about oneself."""

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from accord.errors import AccordError, BadSettings
from accord.store.judgements import people
from accord.store.judgements.doors import hashed
from accord.store.judgements.opening import Store
from accord.store.judgements.tables import User
from accord.web import prefs, security
from accord.web.render import page
from accord.web.security import TheStore, Viewer, Visitor

router = APIRouter(include_in_schema=False)
TRIES = security.Limit(10, 60.0)
"""of passwords and links, for each address"""
NAMED = security.Limit(20, 600.0)
"""of passwords for one name, from wherever"""
SHORTEST = 8
SCOPES = {
    "read": ("read", "read: studies, progress, judgements, exports"),
    "judge": ("judge", "judge: take items and judge them"),
    "manage": ("manage", "manage: make studies, add items"),
    "runs": ("manage", "runs: send what a training run writes"),
}
"""scope of a token -> (what its owner must be allowed, what it is for)"""
Text = Annotated[str, Form(max_length=200)]
LOCAL = ("127.0.0.1", "::1", "localhost", "testclient")


@router.get("/login")
def login_page(request: Request, user: Visitor, next: str = "/") -> Response:
    """The form; who is logged in already goes on."""
    if user is not None:
        return RedirectResponse(security.local(next), 303)
    return page(request, "login.html", next=security.local(next), error="", name="")


@router.post("/login")
def login(
    request: Request, store: TheStore, name: Text = "", password: Text = "", next: Text = "/"
) -> Response:
    """A new session, or the form again with one sentence that does not say which half was wrong."""
    TRIES.spend(security.caller(request))
    NAMED.spend(name.strip().lower())
    token = people.login(store, name.strip(), password, request.headers.get("user-agent", ""))
    if token is None:
        said = "Name and password do not go together."
        return page(
            request, "login.html", 401, next=security.local(next), error=said, name=name.strip()
        )
    return entered(request, store, token, next)


def entered(request: Request, store: Store, token: str, where: str = "/") -> Response:
    """On into the site with a session of its own; the one before it ends."""
    if before := request.cookies.get(security.COOKIE):
        people.logout(store, before)
    answer = RedirectResponse(security.local(where), 303)
    security.begin(request, answer, token)
    return answer


@router.post("/logout")
def logout(request: Request, store: TheStore) -> Response:
    """The session ends here and in the store."""
    if token := request.cookies.get(security.COOKIE):
        people.logout(store, token)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(security.COOKIE, path="/")
    return answer


# --- links ---


@router.get("/in/{token}")
def link_page(request: Request, store: TheStore, token: str) -> Response:
    """A one-time link.  On this machine it works at once; elsewhere it asks for a click, since
    programs that preview links would use it up."""
    here = request.url.hostname in LOCAL and security.caller(request) in LOCAL
    if here and request.headers.get("sec-fetch-site", "none") == "none":
        return use_link(request, store, token)
    return page(request, "link.html", action=f"/in/{token}")


@router.post("/in/{token}")
def use_link(request: Request, store: TheStore, token: str) -> Response:
    """Logs in, once."""
    TRIES.spend(security.caller(request))
    found = people.use_link(store, token, request.headers.get("user-agent", ""))
    if found is None:
        raise HTTPException(403, SPENT)
    return entered(request, store, found)


SPENT = "This link was used already, or is too old; ask whoever sent it for another."


@router.get("/join/{token}")
def join_page(request: Request, store: TheStore, token: str) -> Response:
    """The form that makes an account."""
    TRIES.spend(security.caller(request))
    found = people.open_invite(store, token)
    if found is None:
        raise HTTPException(403, SPENT)
    return page(request, "join.html", token=token, role=found.role, errors={}, name="")


@router.post("/join/{token}")
def join(
    request: Request, store: TheStore, token: str, name: Text = "", password: Text = ""
) -> Response:
    """Makes the account, and logs it in."""
    TRIES.spend(security.caller(request))
    found, name = people.open_invite(store, token), name.strip()
    if found is None:
        raise HTTPException(403, SPENT)
    errors = {} if name else {"name": "tell what you are called here"}
    if password and len(password) < SHORTEST:
        errors["password"] = f"at least {SHORTEST} signs, or leave it empty"
    if not errors:
        try:
            user = people.accept(store, token, name, password or None)
        except AccordError as error:
            errors["name"] = str(error)
    if errors:
        given = {"token": token, "role": found.role, "errors": errors, "name": name}
        return page(request, "join.html", 400, **given)
    agent = request.headers.get("user-agent", "")
    inside = people.use_link(store, people.one_time_link(store, user.id), agent)
    if inside is None:
        raise HTTPException(403, SPENT)
    return entered(request, store, inside)


# --- one's own account ---


def _account(
    request: Request,
    store: Store,
    user: User,
    errors: dict[str, str] | None = None,
    token: str = "",
) -> Response:
    return page(
        request,
        "account.html",
        400 if errors else 200,
        logins=people.logins(store, user.id),
        here=hashed(request.cookies.get(security.COOKIE, "")),
        tokens=people.tokens(store, user.id),
        scopes=[(one, said) for one, (need, said) in SCOPES.items() if people.may(user.role, need)],
        token=token,
        errors=errors or {},
        themes=prefs.THEMES,
    )


@router.get("/account")
def account(request: Request, store: TheStore, user: Viewer) -> Response:
    """Preferences, password, sessions."""
    return _account(request, store, user)


@router.post("/account/prefs")
def save_prefs(
    store: TheStore, user: Viewer, theme: Text = "auto", plain: Text = "", shortcuts: Text = ""
) -> Response:
    """Keeps the preferences."""
    form = {"theme": theme, "plain": plain, "shortcuts": shortcuts}
    people.set_prefs(store, user.id, prefs.read(form, user.prefs or {}))
    return RedirectResponse("/account?said=saved", 303)


@router.post("/account/password")
def set_password(
    request: Request, store: TheStore, user: Viewer, now_: Text = "", new: Text = ""
) -> Response:
    """A new password; who has one gives it, and every other session ends."""
    TRIES.spend(security.caller(request))
    if user.password:
        asked = people.login(store, user.name, now_, "")
        if asked is None:
            return _account(request, store, user, {"now_": "this is not your password"})
        people.logout(store, asked)
    if len(new) < SHORTEST:
        return _account(request, store, user, {"new": f"at least {SHORTEST} signs"})
    people.set_password(store, user.id, new)
    people.logout_all(store, user.id)
    token = people.login(store, user.name, new, request.headers.get("user-agent", ""))
    return entered(request, store, token or "", "/account?said=password")


@router.post("/account/logout-all")
def logout_all(store: TheStore, user: Viewer) -> Response:
    """Ends every session, this one too."""
    people.logout_all(store, user.id)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(security.COOKIE, path="/")
    return answer


# --- tokens ---


@router.post("/account/tokens")
def new_token(
    request: Request,
    store: TheStore,
    user: Viewer,
    name: Text = "",
    scopes: Annotated[list[str], Form()] = [],  # noqa: B006 (FastAPI copies it)
) -> Response:
    """A key for programs, shown once."""
    try:
        if too_much := [one for one in scopes if not people.may(user.role, _need(one))]:
            raise BadSettings(f"the role {user.role} does not allow {too_much[0]}")
        token = people.new_token(store, user.id, name.strip() or "unnamed", scopes)
    except AccordError as error:
        return _account(request, store, user, {"scopes": str(error)})
    return _account(request, store, user, token=token)


def _need(scope: str) -> str:
    if scope not in SCOPES:
        raise BadSettings(f"{scope} is no scope")
    return SCOPES[scope][0]


@router.post("/account/tokens/{token_id}/revoke")
def revoke_token(store: TheStore, user: Viewer, token_id: security.Id) -> Response:
    """The key opens nothing any more."""
    people.revoke_token(store, user.id, token_id)
    return RedirectResponse("/account?said=revoked", 303)


@router.post("/account/logout-one")
def logout_one(store: TheStore, user: Viewer, hash: Text) -> Response:
    """Ends one session."""
    people.logout_one(store, user.id, hash)
    return RedirectResponse("/account?said=saved", 303)
