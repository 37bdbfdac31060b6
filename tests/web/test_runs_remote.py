"""A run that is computed elsewhere: its lines arrive once, however often they are sent."""

import itertools
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from sqlalchemy import select
from starlette.testclient import TestClient

from accord.store.judgements import people
from accord.store.judgements.opening import Store
from accord.store.judgements.tables import User
from accord.web.runs import watching
from watch_fakes import numbers, site, write_run

_seq = itertools.count(1)


def token(store: Store, scope: str = "runs") -> dict[str, str]:
    with store.read() as session:
        user = session.scalars(select(User)).first()
    assert user
    return {"authorization": f"Bearer {people.new_token(store, user.id, 'trainer', [scope])}"}


def lines(first: int, count: int, step: int = 0) -> list[dict[str, Any]]:
    return [
        {"seq": first + i, "row": {"step": step + i, **numbers(step + i)}} for i in range(count)
    ]


def send(client: TestClient, key: dict[str, str], **body: Any) -> Any:
    answer = client.post("/api/v1/runs/far/away/events", json=body, headers=key)
    assert answer.status_code == 200, answer.text
    return answer.json()


def kl(app: FastAPI, folder: Path) -> list[float]:
    return list(watching(app).shelf.get(folder).columns["objective/kl"].steps)


def test_lines_are_kept_once(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    with site(tmp_path, root) as (client, app, store):
        key = token(store)
        run = {"recipe": "PPO", "total": 10, "settings": {"lr": 1}}
        assert send(client, key, run=run, lines=lines(1, 3)) == {"seq": 3, "new": 3}
        assert send(client, key, lines=lines(1, 3)) == {"seq": 3, "new": 0}
        assert send(client, key, lines=lines(2, 4, step=1)) == {"seq": 5, "new": 2}
        assert kl(app, root / "far/away") == [0, 1, 2, 3, 4]
        found = watching(app).finder.get("far/away")
        assert found
        assert (found.status, found.step, found.total) == ("running", 5, 10)
        assert "computed elsewhere" in client.get("/runs/far/away").text
        send(client, key, over="done")
        found = watching(app).finder.get("far/away")
        assert found
        assert found.status == "done"


def test_half_a_line_that_a_crash_left_is_sent_again(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    with site(tmp_path, root) as (client, app, store):
        key = token(store)
        send(client, key, lines=lines(1, 3))
        path = root / "far/away" / "metrics.jsonl"
        data = path.read_bytes()
        path.write_bytes(data[: data[:-1].rfind(b"\n") + 20])
        (root / "far/away" / "remote.json").write_text('{"seq": 2, "over": null}')
        assert send(client, key, lines=lines(1, 4)) == {"seq": 4, "new": 2}
        assert kl(app, root / "far/away") == [0, 1, 2, 3]


def test_a_trainer_that_goes_on_from_a_commit_cuts(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    with site(tmp_path, root) as (client, app, store):
        key = token(store)
        send(client, key, lines=lines(1, 5))
        cut = [{"seq": 6, "kind": "cut", "row": {"step": 2}}]
        send(client, key, lines=[*cut, *lines(7, 2, step=2)])
        assert kl(app, root / "far/away") == [0, 1, 2, 3]
        assert send(client, key, lines=lines(1, 5))["new"] == 0


def test_who_may_not_and_what_may_not(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    write_run(root / "mine", 2)
    with site(tmp_path, root) as (client, _, store):
        key, where = token(store), "/api/v1/runs/{}/events"
        assert client.post(where.format("a"), json={}).status_code == 401
        wrong = {"authorization": "Bearer nonsense"}
        assert client.post(where.format("a"), json={}, headers=wrong).status_code == 401
        other = token(store, "read")
        assert client.post(where.format("a"), json={}, headers=other).status_code == 403
        assert client.post(where.format("mine"), json={}, headers=key).status_code == 409
        for name in ("%2e%2e/out", "-/x", "a//b", ".git", "a" * 201):
            assert client.post(where.format(name), json={}, headers=key).status_code in (404, 422)
        for row in ({}, {"step": "1"}, {"step": -1}, {"step": True}):
            body = {"lines": [{"seq": 1, "row": row}]}
            assert client.post(where.format("a"), json=body, headers=key).status_code == 422
    assert sorted(path.name for path in root.iterdir()) == ["mine"]


def test_who_manages_no_longer_sends_nothing(tmp_path: Path) -> None:
    with site(tmp_path, tmp_path / "runs") as (client, _, store):
        mia = people.add(store, "mia", "manager")
        key = {"authorization": f"Bearer {people.new_token(store, mia.id, 'x', ['runs'])}"}
        send(client, key, lines=lines(1, 1))
        people.set_role(store, mia.id, "annotator")
        where = "/api/v1/runs/far/away/events"
        assert client.post(where, json={}, headers=key).status_code == 403
