"""A site with its people, and clients that are logged in as they."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from accord.store.judgements import people, studies
from accord.store.judgements.forms import Kind, NewItem, StudyConfig, Talk
from accord.store.judgements.opening import Store, open_store
from accord.store.judgements.tables import User
from accord.web import account, judging_pictures, models_speaking, security, study_form
from accord.web.app import SiteConfig, build

HTML = {"accept": "text/html"}
PASSWORD = "correct horse battery"
ROLES = ("owner", "manager", "annotator", "viewer")


class Site:
    """The application, its store, and one person of each role."""

    def __init__(self, store: Store, folder: Path):
        self.store, self.folder = store, folder
        self.app = build(store, SiteConfig(runs=folder / "runs", url=""))
        self.users: dict[str, User] = {role: people.add(store, role, role) for role in ROLES}

    def client(self, role: str | None = None, **more: Any) -> TestClient:
        """A browser, logged in as the person of that role; redirects are not followed."""
        made = TestClient(self.app, headers=HTML, follow_redirects=False, **more)
        if role is not None:
            link = people.one_time_link(self.store, self.users[role].id)
            made.cookies.set(security.COOKIE, people.use_link(self.store, link) or "")
        return made

    def program(self, role: str, *scopes: str) -> TestClient:
        """A program with a token of that person."""
        token = people.new_token(self.store, self.users[role].id, "a program", scopes)
        headers = {"authorization": f"Bearer {token}"}
        return TestClient(self.app, headers=headers, raise_server_exceptions=False)

    def study(self, kind: Kind = "pairwise", items: int = 2, **config: Any) -> int:
        """A study with some items; its id."""
        if kind == "chat":
            config.setdefault("talk", Talk(models=("m",)))
        made = studies.create(self.store, f"a study of {kind}", kind, StudyConfig(**config))
        answers = ("one", "two", "three")[: 1 if kind == "rewrite" else 2]
        new = [
            NewItem([{"role": "user", "content": f"question {n}"}], answers) for n in range(items)
        ]
        if kind != "chat":
            studies.add_items(self.store, made.id, new)
        return made.id


def filled(**changed: object) -> dict[str, object]:
    """The form of a study as a browser would send it, with some fields changed."""
    told: dict[str, object] = {}
    for name, value in (study_form.defaults() | changed).items():
        if isinstance(value, bool):
            told |= {name: "yes"} if value else {}
        elif name == "verdicts":
            told[name] = [*value]
        elif isinstance(value, list | tuple):
            told[name] = ", ".join(value)
        else:
            told[name] = str(value)
    return told


def forget_tries() -> None:
    """Limits are kept in the process: each site of a test begins anew."""
    for limit in (
        account.TRIES,
        account.NAMED,
        security.GUESSES,
        models_speaking.ANSWERS,
        judging_pictures.SHOWN,
    ):
        limit.forget()


@contextlib.contextmanager
def site(folder: Path, where: str | None = None) -> Iterator[Site]:
    """A fresh one, its store in the folder or where it is told."""
    forget_tries()
    store = open_store(where or folder)
    try:
        yield Site(store, folder)
    finally:
        store.close()
