"""Errors as the protocol has them: a status, and one sentence that says what and which field."""

import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from accord.errors import AccordError

_KINDS = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


class Wrong(Exception):
    """A request that is not answered."""

    def __init__(
        self, status: int, said: str, *, param: str | None = None, code: str = "", wait: int = 0
    ):
        """`wait`: seconds after which asking again makes sense."""
        super().__init__(said)
        self.status, self.said, self.param, self.code, self.wait = status, said, param, code, wait

    def told(self) -> dict[str, Any]:
        """As JSON."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        kind = _KINDS.get(self.status, kind)
        told = {"message": self.said, "type": kind, "param": self.param, "code": self.code or None}
        return {"error": told}


class Json(Response):
    """ASCII, so that whatever a client wrote can be said back, half characters too."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """NaN is no number of JSON: a ValueError."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def answer(wrong: Wrong) -> Json:
    """The response."""
    headers: Mapping[str, str] = {"retry-after": str(wrong.wait)} if wrong.wait else {}
    if wrong.status == 401:
        headers = {"www-authenticate": "Bearer"}
    return Json(wrong.told(), wrong.status, headers)


def install(app: FastAPI) -> None:
    """Every error of an application in this form."""

    def wrong(_: Request, error: Exception) -> Response:
        assert isinstance(error, Wrong)
        return answer(error)

    def unreadable(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(_first(error))

    def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        said = {404: "there is nothing at this address", 413: "the request is too large"}
        made = answer(Wrong(error.status_code, said.get(error.status_code, str(error.detail))))
        made.headers.update(error.headers or {})
        return made

    def mistaken(_: Request, error: Exception) -> Response:
        assert isinstance(error, AccordError)
        return answer(Wrong(400, str(error)))

    def broken(_: Request, error: Exception) -> Response:
        return answer(Wrong(500, f"something broke here: {type(error).__name__}"))

    app.add_exception_handler(Wrong, wrong)
    app.add_exception_handler(RequestValidationError, unreadable)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(AccordError, mistaken)
    app.add_exception_handler(Exception, broken)


def _first(error: RequestValidationError) -> Wrong:
    """The first mistake, with the field as the client wrote it."""
    told = min(error.errors(), key=lambda one: one["type"] != "value_error")
    place = [str(part) for part in told["loc"] if part != "body"]
    if told["type"] == "json_invalid":
        return Wrong(400, f"the body is no JSON: {told['ctx']['error']}", code="bad_json")
    if not place:
        said = "the body must be a JSON object, sent as application/json"
        return Wrong(400, str(told["ctx"]["error"]) if told["type"] == "value_error" else said)
    param = place[0] if place[0] != "messages" else _path(told["loc"])
    if told["type"] == "extra_forbidden":
        return Wrong(400, f"unknown field {param!r}: leave it out", param=param, code="unknown")
    if told["type"] == "value_error":
        return Wrong(400, str(told["ctx"]["error"]), param=param, code="unsupported")
    return Wrong(400, f"{param}: {told['msg'].lower()}", param=param, code="invalid_value")


def _path(loc: Any) -> str:
    """messages[2].role; what pydantic adds about alternatives is left out."""
    path = ""
    for part in loc[1:]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.isidentifier() and part != "str":
            path += f".{part}" if path else part
    return path
