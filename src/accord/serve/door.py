"""Who is let in: by key, or, without one, by the name the endpoint was called by; and how much."""

import secrets
import time
from collections.abc import Sequence
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from accord.serve.wrong import Wrong, answer

BODY = 16 << 20
"""bytes of the largest request"""


class Touched(Protocol):
    """What notes when somebody last asked."""

    touched: float


class Door:
    """Pure ASGI, so that streams pass through it as they are."""

    def __init__(self, app: ASGIApp, lineup: Touched, key: str | None, hosts: Sequence[str] | None):
        self.app, self.lineup, self.key, self.hosts = app, lineup, key, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it through, or answer 400, 401 or 413."""
        if scope["type"] == "http":
            self.lineup.touched = time.monotonic()
            if (wrong := self._wrong(Headers(scope=scope), scope["path"])) is not None:
                await answer(wrong)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _wrong(self, headers: Headers, path: str) -> Wrong | None:
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length[:20]) > BODY:
            return Wrong(413, f"the request is larger than {BODY >> 20} MB", code="too_large")
        if self.hosts is not None and _host(headers.get("host", "")) not in self.hosts:
            said = "this endpoint does not go by that name: say which it has, hosts=NAME"
            return Wrong(400, said, code="unknown_host")
        if self.key is None or path == "/health":
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and secrets.compare_digest(given.encode(), self.key.encode()):
            return None
        said = "no key, or not the right one: send it as Authorization: Bearer KEY"
        return Wrong(401, said, code="invalid_api_key")


def _host(header: str) -> str:
    """Without its port."""
    name, colon, port = header.rpartition(":")
    return (name if colon and port.isdigit() else header).lower()
