"""The site beside a command that waits for judgements: in a thread, until the command goes on."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from accord.errors import CannotWrite
from accord.store.judgements import people
from accord.store.judgements.opening import Store
from accord.store.judgements.tables import User
from accord.web import serving
from accord.web.app import SiteConfig, build

BEGIN_S = 30.0
"""how long the site may take to answer"""


@contextmanager
def beside(store: Store, user: User, runs: Path, port: int = 0) -> Iterator[str]:
    """While it is open the site is served on this machine; what it yields is a link that lets the
    user in, once.  Port 0 is a free one.
    """
    room = serving._listen("127.0.0.1", port)
    try:
        url = f"http://127.0.0.1:{room.getsockname()[1]}"
        app = build(store, SiteConfig(runs=runs, url=url))
        config = uvicorn.Config(
            app,
            log_level="warning",
            timeout_graceful_shutdown=serving.GRACE_S,
            server_header=False,
            lifespan="off",
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([room],), daemon=True)
        thread.start()
        try:
            _answers(server, thread)
            yield f"{url}/in/{people.one_time_link(store, user.id, serving.LINK_MINUTES)}"
        finally:
            app.state.stop.set()  # streams end first: they would keep it up
            server.should_exit = True
            thread.join(serving.GRACE_S + 2)
    finally:
        room.close()


def _answers(server: uvicorn.Server, thread: threading.Thread) -> None:
    end = time.monotonic() + BEGIN_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > end:
            raise CannotWrite("the site did not start; is the port free? say judge.port=0")
        time.sleep(0.01)
