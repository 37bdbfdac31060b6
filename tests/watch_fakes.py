"""Runs to look at, and a site that looks at them with somebody logged in."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from accord.store.judgements import people
from accord.store.judgements.opening import Store, open_store
from accord.store.run import Run
from accord.web.app import SiteConfig, build
from accord.web.security import COOKIE
from site_fakes import forget_tries


def numbers(step: int) -> dict[str, float]:
    """What a step of a policy gradient logs."""
    return {
        "objective/scores": step / 10 - 1,
        "objective/kl": 0.1 * step,
        "objective/entropy": 2.0,
        "completions/mean_length": 50.0,
        "policy/clipfrac": 0.1,
        "policy/grad_norm": 1.0,
    }


def shown(step: int, count: int = 3) -> list[dict[str, Any]]:
    """Samples of a step; the first prompt comes at every step."""
    return [
        {
            "id": f"{step}.{i}",
            "prompt": "Once upon a time" if i == 0 else f"Prompt {step}-{i}",
            "response": f"answer {i} of step {step}",
            "score": float(i - 1),
            "kl": 0.5 * i,
            "finish": "eos",
        }
        for i in range(count)
    ]


def write_run(folder: Path, steps: int = 6, *, stop: int | None = None, **settings: Any) -> Run:
    """A run with its own journals; `stop`: broken off after so many steps."""
    run = Run(folder, save_every=2)
    for step in run.steps({"lr": 0.1, **settings}, steps):
        if step == stop:
            break
        run.sample(step, shown(step))
        run.log(step, **numbers(step), tokens_per_second=100.0)
    run.close()
    return run


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """Add lines, as a trainer does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")


@contextmanager
def site(
    folder: Path, runs: Path, role: str = "owner", workers: Any = None
) -> Iterator[tuple[TestClient, FastAPI, Store]]:
    """The site, and a browser in which somebody of that role is logged in."""
    forget_tries()
    store = open_store(folder / "site")
    user = people.add(store, "Ada", role)
    app = build(store, SiteConfig(runs=runs), workers)
    token = people.use_link(store, people.one_time_link(store, user.id))  # no password to hash
    assert token
    headers = {"accept": "text/html"}
    with TestClient(app, cookies={COOKIE: token}, headers=headers) as client:
        yield client, app, store
    app.state.stop.set()
    store.close()
