"""What stands before every request: hosts, forged requests, sizes, headers.  Pure ASGI: streams
pass through untouched."""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""no inline script or style, no eval, nothing from elsewhere"""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
SAFE = ("GET", "HEAD", "OPTIONS")


class Hosts:
    """Only hosts that are ours: a foreign name that resolves to this machine is refused.

    Numbers are let through: DNS rebinding needs a name.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str]):
        self.app, self.names = app, {name.lower() for name in names} | {"localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses, or passes on."""
        if scope["type"] != "http" or self._ours(Headers(scope=scope).get("host", "")):
            return await self.app(scope, receive, send)
        said = "this site does not go by that name; it is told its names with hosts=name\n"
        return await PlainTextResponse(said, 400)(scope, receive, send)

    def _ours(self, host: str) -> bool:
        name = _name(host)
        if name in self.names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


class SameOrigin:
    """A request that changes something must come from our own pages (or from no browser at all).

    Browsers say so in Sec-Fetch-Site; older ones, and plain http, in Origin.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses, or passes on."""
        if scope["type"] != "http" or scope["method"] in SAFE or self._own(Headers(scope=scope)):
            return await self.app(scope, receive, send)
        said = "this request came from another site, and was refused\n"
        return await PlainTextResponse(said, 403)(scope, receive, send)

    def _own(self, headers: Headers) -> bool:
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site in ("same-origin", "none")
        origin = headers.get("origin")
        if origin is None:
            return True
        return bool(origin) and urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


class Frame:
    """The headers that every answer carries."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Adds them to what comes back."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def framed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        return await self.app(scope, receive, framed)
