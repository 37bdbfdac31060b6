"""A site that really listens, and a browser that complains of every error and foreign request."""

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn

from accord.web import security
from judge_fakes import Site

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
DESK = {"width": 1280, "height": 800}
REST = """() => {
  for (const one of document.getAnimations())
    if (one.effect.getComputedTiming().endTime !== Infinity) one.finish();
}"""
PHONE = {"width": 360, "height": 740}


@contextlib.contextmanager
def listening(app: Any) -> Iterator[str]:
    """The address of an application, served by a thread until the end."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen(64)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
        app.state.stop.set()
        server.should_exit = True
        thread.join(10)


@dataclass
class Visit:
    """A person's browser on a site."""

    page: Any
    site: Site
    url: str
    wrong: list[str] = field(default_factory=list)
    """console errors, and requests to other hosts"""

    def go(self, path: str) -> Any:
        """Opens a page of the site."""
        self.page.goto(self.url + path)
        return self.page


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """Chromium; the test is skipped where there is none."""
    if not CHROMIUM:
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        made = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@contextlib.contextmanager
def visiting(
    chromium: Any, site: Site, who: tuple[str, str] = ("maria", "owner"), **options: Any
) -> Iterator[Visit]:
    """Somebody, with the site open; at the end nothing may have gone wrong."""
    options.setdefault("viewport", DESK)
    with listening(site.app) as url:
        context = chromium.new_context(**options)
        cookie = {"name": security.COOKIE, "value": site.token(*who), "url": url}
        context.add_cookies([cookie])
        page = context.new_page()
        page.set_default_timeout(8000)
        visit = Visit(page, site, url)
        page.on("console", lambda said: said.type == "error" and visit.wrong.append(said.text))
        page.on("pageerror", lambda error: visit.wrong.append(str(error)))
        page.on("request", lambda one: _foreign(one.url, url) and visit.wrong.append(one.url))
        try:
            yield visit
        finally:
            context.close()
    assert visit.wrong == []


def _foreign(asked: str, own: str) -> bool:
    return urlsplit(asked).scheme not in ("data", "blob") and not asked.startswith(own)


def axe(page: Any) -> list[str]:
    """What axe finds wrong with a page at rest, in words: half faded in, every colour is faint.

    All rules run; of what they find right only an example is written down, which is the quicker
    half of it.
    """
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate(REST)
    options = {"resultTypes": ["violations"]}
    found = Axe().run(page, options=options).response["violations"]
    return [f"{one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"]]
