"""The site as one ASGI application."""

import importlib.metadata
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DataError, DBAPIError
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from accord.errors import AccordError
from accord.store.judgements.forms import Gone, NotThere
from accord.store.judgements.opening import Store
from accord.web import (
    account,
    api,
    handing,
    home,
    judging,
    lineage,
    models,
    people,
    progress,
    render,
    runs,
    security,
    studies,
)
from accord.web.guard import Frame, Hosts, SameOrigin

log = logging.getLogger(__name__)
BODY = 64 << 20
"""bytes of the largest request: an upload of items"""
PARTS = (
    account,
    home,
    people,
    studies,
    handing,
    judging,
    progress,
    runs,
    models,
    lineage,
    api,
)
"""in the order in which addresses are looked up"""
WRONG = {
    403: "This is not yours to see",
    404: "There is nothing here",
    413: "This is too large",
    429: "Too fast",
    500: "Something broke here",
    503: "This could not be saved",
}


@dataclass(frozen=True)
class SiteConfig:
    """What the site is told."""

    runs: Path = Path("runs")
    """where runs and models are looked for"""
    hosts: tuple[str, ...] = ("testserver",)
    """names the site goes by, beside localhost and plain addresses"""
    url: str = "http://127.0.0.1:8080"
    """how people reach it: what links begin with"""
    where: str = "accord.db"
    """what a training run calls the store: data=accord.db#stories"""


def build(store: Store, cfg: SiteConfig, workers: Any = None) -> FastAPI:
    """The application.  `app.state` has `store`, `cfg`, `workers` (model processes, or None) and
    `stop`: set when the site goes down, so that streams end."""
    app = Site(
        title="Accord",
        version=importlib.metadata.version("accord"),
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        middleware=[
            Middleware(Frame),
            Middleware(Hosts, names=cfg.hosts),
            Middleware(SameOrigin),
            Middleware(RequestBodyLimitMiddleware, max_body_size=BODY),
        ],
    )
    app.state.store, app.state.cfg, app.state.workers = store, cfg, workers
    app.state.stop = threading.Event()
    app.mount("/static", Static(directory=render.STATIC), name="static")
    for part in PARTS:
        app.include_router(part.router)
    app.add_exception_handler(AnyHTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(AccordError, _mistaken)
    for kind in (OverflowError, UnicodeEncodeError, DataError):
        app.add_exception_handler(kind, _unstorable)
    app.add_exception_handler(DBAPIError, _unkept)
    app.add_exception_handler(Exception, _broken)
    return app


class Site(FastAPI):
    """The pages, and an API that alone is described."""

    def openapi(self) -> dict[str, Any]:
        """The description of the API, without the pages' addresses."""
        told = super().openapi()
        told["paths"] = {k: v for k, v in told["paths"].items() if k.startswith("/api/")}
        return told


class Static(StaticFiles):
    """Files under a digest that changes with them: they may be kept forever."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file; an address with an older digest gives today's file, which is not kept."""
        digest, _, rest = path.partition("/")
        answer = await super().get_response(rest, scope)
        today = digest == render.static_digest()
        kept = "public, max-age=31536000, immutable" if today else "no-cache"
        answer.headers["cache-control"] = kept
        return answer


def wants_page(request: Request) -> bool:
    """Whether a person looks at the answer; programs get JSON."""
    path = request.url.path
    if path.startswith(("/api/", "/v1/")):
        return False
    return "text/html" in request.headers.get("accept", "")


def error_page(request: Request, status: int, said: str) -> Response:
    """A page with one sentence, or the sentence as JSON."""
    if not wants_page(request):
        return JSONResponse({"detail": said}, status)
    title = WRONG.get(status, "That did not work")
    return render.page(request, "error.html", status, code=status, title=title, sentence=said)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, AnyHTTPException)
    if isinstance(error, security.Login) and wants_page(request):
        return security.to_login(request)
    said = str(error.detail)
    if error.status_code == 404 and said == "Not Found":
        said = "No page has this address; it may have been moved, or never was."
    answer = error_page(request, error.status_code, said)
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


def _unreadable(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first.get("loc", ())[1:])
    return error_page(request, 422, f"{where}: {first.get('msg', 'not valid')}".strip(": "))


def _mistaken(request: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, NotThere) else 409 if isinstance(error, Gone) else 400
    return error_page(request, status, str(error))


def _unstorable(request: Request, error: Exception) -> Response:
    said = "a number is too large for the database, or a text has signs that are none"
    return error_page(request, 400, said)


def _unkept(request: Request, error: Exception) -> Response:
    assert isinstance(error, DBAPIError)
    log.error("the database failed: %s", error.orig)
    said = (
        f"The database says: {error.orig}. This was not kept; what was saved before is. Try again."
    )
    return error_page(request, 503, said)


def _broken(request: Request, error: Exception) -> Response:
    said = "The mistake is ours, and is in the server's log; what was judged before is safe."
    return error_page(request, 500, said)
