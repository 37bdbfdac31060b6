"""The API: scopes, items in, verdicts, and nothing that breaks it."""

from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis

from accord.store.judgements import people, studies
from site_fakes import Site, site

EVERY = ("read", "judge", "manage", "runs")
ITEM = {"prompt": "Hi", "answers": ["Hello!", "Go away."], "models": ["x", "y"]}


def test_from_items_to_judgements(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        program = here.program("manager", *EVERY)
        asked = {"name": "by program", "kind": "pairwise", "config": {"verdicts": ["tie"]}}
        made = program.post("/api/v1/studies", json=asked)
        assert made.status_code == 201
        number = made.json()["id"]
        items = [ITEM, ITEM, {"prompt": [{"role": "user", "content": "Bye"}], "answers": ["a"]}]
        added = program.post(f"/api/v1/studies/{number}/items", json=items).json()
        assert (added["new"], added["known"], len(added["refused"])) == (1, 1, 1)
        judge = here.program("annotator", "judge")
        task = judge.post(f"/api/v1/studies/{number}/next").json()
        assert [one["model"] for one in task["answers"]] == ["", ""]  # blind
        assert {one["text"] for one in task["answers"]} == {"Hello!", "Go away."}
        first = [one["text"] for one in task["answers"]].index("Hello!")
        act = {"lease_id": task["lease_id"], "key": task["key"], "ranks": [first, 1 - first]}
        told = judge.post("/api/v1/judgements", json=act | {"ms_total": 4000})
        assert told.json()["repeated"] is False
        again = judge.post("/api/v1/judgements", json=act).json()
        assert again == told.json() | {"repeated": True}
        assert judge.post(f"/api/v1/studies/{number}/next").json() is None
        (row,) = program.get(f"/api/v1/studies/{number}/judgements").json()
        assert row["annotator"] == here.users["annotator"].pseudonym
        assert (row["ranks"], row["ms_total"], row["counts"]) == ([0, 1], 4000, True)
        after = program.get(f"/api/v1/studies/{number}/judgements?after={row['id']}")
        assert after.json() == []
        assert program.get(f"/api/v1/studies/{number}/progress").json()["done"] == 1
        assert program.get(f"/api/v1/studies/{number}/agreement").json()["n"] == 0
        closed = program.put(f"/api/v1/studies/{number}/status?status=closed")
        assert closed.json()["status"] == "closed"
        assert program.get("/api/v1/studies").json()[0]["status"] == "closed"
        late = judge.post("/api/v1/judgements", json=act | {"key": "another"})
        assert late.status_code == 409


CALLS = [
    ("get", "/api/v1/me", "read", "viewer"),
    ("get", "/api/v1/studies", "read", "viewer"),
    ("get", "/api/v1/studies/1", "read", "viewer"),
    ("get", "/api/v1/studies/1/progress", "read", "manager"),
    ("get", "/api/v1/studies/1/agreement", "read", "manager"),
    ("get", "/api/v1/studies/1/judgements", "read", "manager"),
    ("post", "/api/v1/studies", "manage", "manager"),
    ("post", "/api/v1/studies/1/items", "manage", "manager"),
    ("put", "/api/v1/studies/1/status?status=open", "manage", "manager"),
    ("post", "/api/v1/studies/1/next", "judge", "annotator"),
    ("post", "/api/v1/judgements", "judge", "annotator"),
    ("post", "/api/v1/leases/1/release", "judge", "annotator"),
]
BODIES: dict[str, Any] = {
    "/api/v1/studies": {"name": "s", "kind": "rank"},
    "/api/v1/studies/1/items": [ITEM],
    "/api/v1/judgements": {"lease_id": 1, "key": "k", "ranks": [0, 1]},
}


@pytest.mark.parametrize(("method", "path", "scope", "least"), CALLS)
def test_scope_and_role_both_count(
    tmp_path: Path, method: str, path: str, scope: str, least: str
) -> None:
    def call(client: Any) -> int:
        return client.request(method, path, json=BODIES.get(path)).status_code

    with site(tmp_path) as here:
        here.study()
        assert call(here.program("owner", *(one for one in EVERY if one != scope))) == 403
        order = people.ROLES
        for role in order:
            enough = order.index(role) <= order.index(least)  # type: ignore[arg-type]
            assert (call(here.program(role, scope)) != 403) == enough, role
        bare = here.client("owner")  # a session of the browser is no token
        assert call(bare) == 401
        wrong = here.client()
        wrong.headers["authorization"] = "Bearer accord_wrong"
        assert call(wrong) == 401


def test_a_token_sinks_with_its_owner(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        here.study()
        program = here.program("manager", "manage", "read")
        assert program.get("/api/v1/studies/1/judgements").status_code == 200
        people.set_role(here.store, here.users["manager"].id, "annotator")
        assert program.get("/api/v1/studies/1/judgements").status_code == 403
        people.close_account(here.store, here.users["manager"].id)
        assert program.get("/api/v1/me").status_code == 401


def test_what_is_not_yours_is_not_there(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        number = here.study(everyone=False)
        program = here.program("annotator", "read", "judge")
        assert program.get(f"/api/v1/studies/{number}").status_code == 404
        assert program.post(f"/api/v1/studies/{number}/next").status_code == 400
        assert program.get("/api/v1/studies").json() == []


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "x\ud800", "answers": ["a", "b"]},
        {"prompt": "x\x00", "answers": ["a\x00", "b"]},
        {"prompt": [], "answers": ["a", "b"]},
        {"prompt": [{"role": "judge", "content": "x"}], "answers": ["a", "b"]},
        {"prompt": "x", "answers": ["a", "b"], "gold": {"ranks": ["first"]}},
        {"prompt": "x", "answers": ["a", "b"], "gold": {"anything": 1}},
        {"prompt": "x", "answers": ["a", "b"], "priority": 1e400},
        {"prompt": "x", "answers": ["a", "b"], "models": ["only one"]},
        {"prompt": [{"role": "user", "content": [{"type": "image", "path": "/etc/passwd"}]}]},
    ],
)
def test_an_odd_item_is_refused_and_breaks_nothing(tmp_path: Path, body: dict[str, Any]) -> None:
    import json

    with site(tmp_path) as here:
        number = here.study(items=0)
        raw = json.dumps([body]).encode()
        program = here.program("owner", "manage", "judge")
        head = {"content-type": "application/json"}
        answer = program.post(f"/api/v1/studies/{number}/items", content=raw, headers=head)
        assert answer.status_code < 500, answer.text
        assert here.client("owner").get(f"/studies/{number}").status_code == 200
        assert program.post(f"/api/v1/studies/{number}/next").status_code < 500


def test_the_description_is_of_the_api_alone(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        told = here.client().get("/api/v1/openapi.json").json()
    assert told["openapi"].startswith("3.")
    assert all(path.startswith("/api/v1/") for path in told["paths"])
    assert told["components"]["securitySchemes"]
    for path, methods in told["paths"].items():
        for name, one in methods.items():
            assert one.get("summary"), (path, name)
            assert "401" in one["responses"] or "/runs/" in path, (path, name)


@pytest.fixture
def whole(tmp_path: Path):
    with site(tmp_path) as here:
        here.study()
        yield here


def test_no_request_breaks_it(whole: Site) -> None:
    token = people.new_token(whole.store, whole.users["owner"].id, "tester", EVERY)
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", whole.app)
    count = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @hypothesis.settings(
            max_examples=12,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy())
        def once(case: Any) -> None:
            head = {"authorization": f"Bearer {token}"}
            answer = case.call(headers={**(case.headers or {}), **head})
            assert answer.status_code < 500, (case.method, case.path, answer.text)

        once()
        count += 1
    assert count >= 11
    assert studies.studies(whole.store)
