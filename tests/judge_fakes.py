"""A site with studies to judge in, for tests of the pages."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from sqlalchemy import select
from starlette.testclient import TestClient

from accord.store.judgements import people, studies
from accord.store.judgements.forms import Kind, NewItem, StudyConfig
from accord.store.judgements.opening import Store, open_store
from accord.store.judgements.tables import Judgement, Study, User
from accord.web import security
from accord.web.app import SiteConfig, build
from site_fakes import forget_tries

LONG = "First throw one ball from hand to hand, to the height of your eyes.\n\n" * 30
TEXTS = (
    "Learning to juggle is about **rhythm**.\n\n1. Take one ball.\n2. Then take two.",
    "Just buy three balls and throw them. It takes practice, and *patience*.",
    "No. It is too late.",
    "Begin with scarves: they fall slowly, and your eyes have time.",
)
ASK = "I have always wanted to learn to juggle. Is it too late, and how do I begin?"


@dataclass
class Site:
    """A store, its application, and who is who."""

    store: Store
    app: FastAPI
    users: dict[str, User] = field(default_factory=dict)

    def user(self, name: str = "maria", role: str = "owner") -> User:
        """Somebody; made where they are not yet."""
        if name not in self.users:
            self.users[name] = people.add(self.store, name, role)
        return self.users[name]

    def token(self, name: str = "maria", role: str = "owner") -> str:
        """A login of theirs."""
        link = people.one_time_link(self.store, self.user(name, role).id)
        token = people.use_link(self.store, link)
        assert token is not None
        return token

    def client(self, name: str = "maria", role: str = "owner") -> TestClient:
        """A browser without scripts, logged in."""
        client = TestClient(self.app, follow_redirects=False)
        client.cookies.set(security.COOKIE, self.token(name, role))
        client.headers["accept"] = "text/html"
        return client

    def study(self, kind: Kind, count: int = 3, answers: int = 0, **config: Any) -> Study:
        """A study with items of its kind."""
        many = answers or {"pairwise": 2, "rank": 4, "rate": 2, "rewrite": 1, "chat": 2}[kind]
        made = studies.create(
            self.store, f"{kind} {len(studies.studies(self.store))}", kind, StudyConfig(**config)
        )
        items = [
            NewItem([{"role": "user", "content": f"{ASK} ({number})"}], TEXTS[:many])
            for number in range(count)
        ]
        added = studies.add_items(self.store, made.id, items)
        assert (added.new, added.refused) == (count, [])
        return made

    def judgements(self) -> list[Judgement]:
        """All that was ever said, oldest first."""
        with self.store.read() as session:
            return [*session.scalars(select(Judgement).order_by(Judgement.id))]


def site(folder: Path) -> Site:
    """A new site in an empty folder."""
    forget_tries()
    store = open_store(folder)
    return Site(store, build(store, SiteConfig(runs=folder / "runs")))


def shown(text: str, name: str) -> str:
    """The value of a hidden field, as a page has it."""
    return text.split(f'name="{name}" value="')[1].split('"')[0]
