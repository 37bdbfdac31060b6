"""Templates, addresses of static files, and Markdown of strangers as HTML that can do nothing."""

import functools
import hashlib
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import nh3
from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2.filters import do_mark_safe as _safe  # what nh3 has cleaned, and nothing else
from markdown_it import MarkdownIt

from accord.store.judgements import people
from accord.web.study_form import KINDS

HERE = Path(__file__).parent
STATIC = HERE / "static"
_TAGS = "a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i li ol p pre s strong sub sup"
TAGS = {*_TAGS.split(" "), "table", "tbody", "td", "th", "thead", "tr", "ul"}
"""no img, no style, no form, no frame: nothing that loads or sends by being looked at"""


NOTES = {
    "saved": "Saved.",
    "password": "Your password is set; other sessions were ended.",
    "made": "The study is open.",
    "added": "The items were added.",
    "role": "The role was changed.",
    "closed": "The account is closed.",
    "excluded": "Their judgements no longer count, and their items are open again.",
    "included": "Their judgements count again.",
    "opened": "The account is open again.",
    "uninvited": "The link leads nowhere now.",
    "members": "The members were changed.",
    "revoked": "The token no longer works.",
}
"""`?said=…` after a redirect -> a sentence; other words say nothing, so that no link can"""


@functools.cache
def static_digest() -> str:
    """Of all static files together: a part of their addresses, so that they may be kept forever."""
    found = hashlib.sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            found.update(path.relative_to(STATIC).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:12]


def static(path: str) -> str:
    """The address of a static file.  Modules that import each other by relative path stay right."""
    return f"/static/{static_digest()}/{path}"


@functools.cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False, "linkify": False, "breaks": True}).enable(
        ["table", "strikethrough"]
    )


def markdown(text: str) -> Any:
    """Markdown as HTML for a template.  The text is taken to be hostile: no images, no scripts;
    links keep only http, https and mailto, and tell nobody where they were clicked."""
    made = nh3.clean(
        _markdown().render(text),
        tags=TAGS,
        attributes={"a": {"href", "title"}, "ol": {"start"}, "code": {"class"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )
    return _safe(made)


def ago(then: datetime | None) -> str:
    """How long ago, in words: "5 minutes ago"; "never" for None."""
    if then is None:
        return "never"
    seconds = (datetime.now(UTC) - then).total_seconds()
    words = "ago" if seconds >= 0 else "from now"
    seconds = abs(seconds)
    if seconds < 60:
        return "just now" if words == "ago" else "in a minute"
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''} {words}"
    return "just now"


def moment(then: datetime | None) -> str:
    """A time as it is written: 24 Nov 2026, 18:05 UTC; an em dash for None."""
    return f"{then.astimezone(UTC):%-d %b %Y, %H:%M} UTC" if then else "—"


BROWSERS = {"Edg/": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome"}
BROWSERS |= {"Safari/": "Safari"}
SYSTEMS = {"Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Windows": "Windows"}
SYSTEMS |= {"Mac OS": "a Mac", "Linux": "Linux"}


def browser(agent: str) -> str:
    """What a browser calls itself, in three words: "Firefox on Windows"."""
    name = next((said for mark, said in BROWSERS.items() if mark in agent), "")
    system = next((said for mark, said in SYSTEMS.items() if mark in agent), "")
    if name and system:
        return f"{name} on {system}"
    return name or agent[:60] or "An unknown browser"


@functools.cache
def environment() -> jinja2.Environment:
    """Every value is escaped; a name that nobody gave is an error, and not an empty place."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(static=static, kinds=KINDS, study_tabs=study_tabs)
    made.filters.update(markdown=markdown, ago=ago, moment=moment, browser=browser)
    made.filters["shell"] = shlex.quote
    made.filters["pairup"] = lambda one: (one, one)
    return made


def page(request: Request, template: str, /, status: int = 200, **context: Any) -> HTMLResponse:
    """A template as a response.  Each has `user` (or None), `prefs`, `theme`, `path`, `rights`."""
    user = getattr(request.state, "user", None)
    prefs: dict[str, Any] = (user.prefs if user else None) or {}
    given = {
        "request": request,
        "user": user,
        "prefs": prefs,
        "theme": prefs.get("theme", "auto"),
        "path": request.url.path,
        "rights": rights(user.role if user else None),
        "note": NOTES.get(request.query_params.get("said", ""), ""),
    }
    text = environment().get_template(template).render(given | context)
    return HTMLResponse(text, status, {"Cache-Control": "no-store"})


def address(request: Request, path: str) -> str:
    """A page's address as others reach it: what the site was told, or else the one in use."""
    url = str(request.app.state.cfg.url) or str(request.base_url)
    return url.rstrip("/") + path


def rights(role: str | None) -> frozenset[str]:
    """What a role may do on the pages: read, judge, manage, own."""
    every = ("read", "judge", "manage", "own")
    return frozenset(what for what in every if role and people.may(role, what))


def study_tabs(study_id: int, allowed: frozenset[str]) -> list[tuple[str, str]]:
    """The pages of one study, as {{ ui.tabs(study_tabs(id, rights), path) }} takes them."""
    here = f"/studies/{study_id}"
    tabs = [(here, "Set-up"), (f"{here}/progress", "Progress")]
    more = [(f"{here}/adjudicate", "Adjudicate"), (f"{here}/people", "Members")]
    more += [(f"{here}/export", "Export")]
    return tabs + (more if "manage" in allowed else [])
