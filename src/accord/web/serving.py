"""The command `serve`: the site on this machine, in one process, without torch."""

import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import Field

from accord.config import Settings
from accord.errors import BadSettings, CannotWrite
from accord.store.judgements import people
from accord.store.judgements.opening import Store, open_store
from accord.store.judgements.tables import User
from accord.web import home
from accord.web.app import SiteConfig, build

GRACE_S = 3
"""how long what is under way may take when the site goes down"""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
LINK_MINUTES = 60.0


class Serve(Settings):
    """The feedback site: people judge, watch runs, and talk to models."""

    where: str = "accord.db"
    """the judgements: a SQLite file or its folder (made where it is not), or a PostgreSQL URL"""
    host: str = "127.0.0.1"
    """the address to listen at; 0.0.0.0: every one of this machine, which takes an owner with a
    password"""
    port: int = Field(default=8080, ge=0, le=65535)
    """0: one that is free"""
    open: bool = True
    """show the site in a browser, logged in, where there is one"""
    runs: Path = Path("runs")
    """where runs and models are looked for"""
    hosts: tuple[str, ...] = ()
    """names the site goes by, beside localhost and plain addresses: site.example.org"""
    url: str = ""
    """how people reach it, where that differs: links that are sent begin so"""
    owner: str = ""
    """who the link at the start logs in; an empty store gets an owner of that name (yours on this
    machine, unless given), with the password in ACCORD_PASSWORD where there is one"""
    sample: bool = False
    """begin with a study of sample pairs"""
    workers: bool = True
    """start model folders when someone talks to them"""


class Server(uvicorn.Server):
    """Tells the streams when the site goes down: they would keep it up otherwise."""

    def __init__(self, config: uvicorn.Config, stop: threading.Event):
        super().__init__(config)
        self.stop = stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came: streams end, then connections; a second Ctrl+C does not wait for them.

        The signal is not raised again, as uvicorn would: models are stopped after this.
        """
        again = self.stop.is_set()
        self.stop.set()
        self.force_exit = again and sig == signal.SIGINT
        self.should_exit = True


def run(
    cfg: Serve, workers: Callable[[], Any] | None = None, ready: Callable[[str], None] | None = None
) -> None:
    """Serve until a signal.  `workers` makes what starts models; `ready` is told the address."""
    host, here = _checked(cfg)
    store = open_store(cfg.where)
    try:
        owner = _owner(store, cfg)
        _door(store, cfg, here)
        room = _listen(host, cfg.port)
        try:
            url = cfg.url.rstrip("/") or f"http://{_shown(host)}:{room.getsockname()[1]}"
            names = (*cfg.hosts, *([socket.gethostname()] if not here else []))
            called = "STORE" if "://" in cfg.where else cfg.where  # a URL may hold a password
            site = SiteConfig(runs=cfg.runs, hosts=names, url=url, where=called)
            started = workers() if workers and cfg.workers else None
            try:
                app = build(store, site, started)
                if cfg.sample:
                    home.add_sample(store, owner)
                link = _link(store, owner, url) if here else url
                _serve(app, room, link, ready)
            finally:
                if started is not None:
                    started.close()
        finally:
            room.close()
    finally:
        store.close()


def _checked(cfg: Serve) -> tuple[str, bool]:
    """(host, whether only this machine can reach it)."""
    if cfg.host == "localhost":
        return "127.0.0.1", True
    try:
        return cfg.host, ipaddress.ip_address(cfg.host).is_loopback
    except ValueError:
        raise BadSettings(
            f"host={cfg.host} is no address; 127.0.0.1 is this machine alone, 0.0.0.0 is all of it"
        ) from None


def _owner(store: Store, cfg: Serve) -> User:
    """The owner who may come in by a link; made where the store has none."""
    password = os.environ.get("ACCORD_PASSWORD") or None
    known = [one for one in people.users(store) if one.role == "owner" and not one.closed]
    if not known:
        name = cfg.owner or os.environ.get("USER") or os.environ.get("USERNAME") or "owner"
        return people.add(store, name, "owner", password=password)
    named = [one for one in known if cfg.owner in ("", one.name)]
    if not named:
        names = ", ".join(one.name for one in known)
        raise BadSettings(f"owner={cfg.owner} is no owner of this store; there is {names}")
    if password and not named[0].password:
        people.set_password(store, named[0].id, password)
    return named[0]


def _door(store: Store, cfg: Serve, here: bool) -> None:
    """Nobody but this machine comes in while there is no owner with a password."""
    guarded = any(
        one.role == "owner" and one.password and not one.closed for one in people.users(store)
    )
    if not here and not guarded:
        raise BadSettings(
            f"host={cfg.host} opens the site to others, and no owner has a password yet: begin "
            "with host=127.0.0.1 and set one on your account page, or give ACCORD_PASSWORD"
        )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    room = socket.socket(family, socket.SOCK_STREAM)
    room.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        room.bind((host, port))
        room.listen(
            128
        )  # whoever follows the link before the site answers waits, and is not refused
    except OSError as error:
        room.close()
        raise CannotWrite(
            f"{host}:{port} cannot be listened at ({error.strerror}); port=0 takes a free one"
        ) from None
    return room


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _link(store: Store, owner: User, url: str) -> str:
    return f"{url}/in/{people.one_time_link(store, owner.id, LINK_MINUTES)}"


def _serve(
    app: FastAPI, room: socket.socket, link: str, ready: Callable[[str], None] | None
) -> None:
    config = uvicorn.Config(
        app,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
        lifespan="off",
    )
    logging.getLogger("uvicorn.error").addFilter(_quiet)
    server = Server(config, app.state.stop)
    if ready is not None:
        ready(link)
    server.run([room])


def _quiet(record: logging.LogRecord) -> bool:
    """Without the lines in which uvicorn says that streams were cut as the site went down."""
    return "Cancel" not in record.getMessage()


def show(link: str) -> bool:
    """Open a browser, where this machine has a screen; whether it did."""
    if not (sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY")):
        return False
    return webbrowser.open(link)


__all__ = ["Serve", "run", "show"]
