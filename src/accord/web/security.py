"""Who is asking, and what they may do: the session cookie, roles, and how often one may try."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit

from fastapi import Depends, HTTPException, Path, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.responses import RedirectResponse, Response

from accord.store.judgements import people
from accord.store.judgements.opening import Store
from accord.store.judgements.tables import User

COOKIE = "accord_login"
WEEK = 7 * 24 * 3600
Right = Literal["read", "judge", "manage", "own"]


def store_of(request: Request) -> Store:
    """The open store of the site."""
    return request.app.state.store  # type: ignore[no-any-return]


TheStore = Annotated[Store, Depends(store_of)]


Id = Annotated[int, Path(ge=1, le=2**31 - 1)]
"""a number in an address that a database can look up"""


class Limit:
    """At most `count` in `seconds` for each key; kept in this process."""

    def __init__(self, count: int, seconds: float):
        self.count, self.seconds = count, seconds
        self._seen: dict[Any, deque[float]] = {}
        self._lock = threading.Lock()

    def allows(self, key: Any) -> bool:
        """Whether one more is within the limit; if it is, it is counted."""
        now = time.monotonic()
        with self._lock:
            if len(self._seen) > 10_000:  # who has been quiet since needs no memory
                self._seen = {k: v for k, v in self._seen.items() if v[-1] > now - self.seconds}
            times = self._seen.setdefault(key, deque())
            while times and times[0] <= now - self.seconds:
                times.popleft()
            if len(times) >= self.count:
                return False
            times.append(now)
            return True

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._seen.clear()

    def spend(self, key: Any) -> None:
        """As `allows`, and 429 where it does not."""
        if not self.allows(key):
            raise HTTPException(429, "too many tries; wait a minute and try again")


def caller(request: Request) -> str:
    """The address a request comes from."""
    return request.client.host if request.client else ""


class Login(HTTPException):
    """Nobody is logged in: a page sends to the login, and comes back after it."""

    def __init__(self) -> None:
        super().__init__(401, "log in first")


def visitor(request: Request, store: TheStore) -> User | None:
    """Who is logged in in this browser, or None; also as request.state.user, for the templates."""
    token = request.cookies.get(COOKIE)
    user = people.session_user(store, token) if token else None
    request.state.user = user
    return user


Visitor = Annotated[User | None, Depends(visitor)]


def viewer(user: Visitor) -> User:
    """Who is logged in; without that a page sends to the login."""
    if user is None:
        raise Login
    return user


Viewer = Annotated[User, Depends(viewer)]


def needs(what: Right) -> Callable[[User], User]:
    """A dependency: the one who is logged in, whose role allows it; 403 otherwise."""

    def allowed(user: Viewer) -> User:
        if not people.may(user.role, what):
            said = f"the role {user.role} does not allow this; an owner or manager can change it"
            raise HTTPException(403, said)
        return user

    return allowed


Reader = Annotated[User, Depends(needs("read"))]
Judge = Annotated[User, Depends(needs("judge"))]
Manager = Annotated[User, Depends(needs("manage"))]
Owner = Annotated[User, Depends(needs("own"))]


# --- programs ---

GUESSES = Limit(30, 60.0)
"""of wrong tokens, for each address"""
Given = Annotated[
    HTTPAuthorizationCredentials | None,
    Depends(HTTPBearer(auto_error=False, description="A token of your account page.")),
]


def bearer(scope: str, what: Right) -> Callable[[Request, Store, Given], User]:
    """A dependency: whose token came, if it has the scope and its owner's role still allows it."""

    def allowed(request: Request, store: TheStore, given: Given) -> User:
        found = people.token_user(store, given.credentials) if given else None
        if found is None:
            if given is not None:
                GUESSES.spend(caller(request))
            said = "send a token: Authorization: Bearer accord_…; your account page makes them"
            raise HTTPException(401, said, {"WWW-Authenticate": "Bearer"})
        user, scopes = found
        if scope not in scopes:
            raise HTTPException(403, f"this token lacks the scope {scope}")
        if not people.may(user.role, what):
            raise HTTPException(403, f"the role {user.role} does not allow this")
        return user

    return allowed


def begin(request: Request, response: Response, token: str) -> None:
    """Put a new session into the browser: never one that it brought along."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=4 * WEEK,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
        path="/",
    )


def local(where: str | None) -> str:
    """A path on this site to go on to; anything that leads elsewhere becomes the home page."""
    where = where or "/"
    parts = urlsplit(where)
    plain = where.startswith("/") and not where.startswith(("//", "/\\"))
    odd = any(ord(sign) < 32 for sign in where) or "\\" in where
    return where if plain and not odd and not parts.netloc and not parts.scheme else "/"


def to_login(request: Request) -> RedirectResponse:
    """The login, and back to this page after it."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/login?next={quote(here, safe='')}", 303)
