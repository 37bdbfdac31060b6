"""Endpoints that want a key: its variable is named, the key itself is neither kept nor shown."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, select, text

from accord.config import plain
from accord.store.judgements import migrate, people
from accord.store.judgements.forms import StudyConfig
from accord.store.judgements.opening import Store, open_store
from accord.store.judgements.tables import Model
from endpoint_fakes import begin, begin_pair, endpoint, events, say
from site_fakes import site as fresh
from watch_fakes import site

NAME, KEY = "PARROT_API_KEY", "sk-proj-0123456789abcdef"


@pytest.fixture(autouse=True)
def variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, f"{KEY}\n")
    monkeypatch.setenv("ACCORD_PASSWORD", "a password")


def rows(store: Store) -> list[Model]:
    with store.read() as session:
        return [*session.scalars(select(Model))]


def test_the_endpoint_is_told_the_key_and_nobody_else_is(tmp_path: Path) -> None:
    with endpoint() as there, site(tmp_path, tmp_path / "runs") as (client, _, store):
        form = {"name": "parrot", "where": there.url, "key": NAME}
        assert client.post("/models/add", data=form).status_code == 200
        assert [one.key for one in rows(store)] == [NAME]
        text, _ = say(client, begin(client, "parrot"), text="hello")
        assert text == "**parrot** heard hello"
        assert there.keys == [f"Bearer {KEY}"]
        pages = [client.get(at).text for at in ("/models", "/models/parrot", "/log")]
        assert NAME in pages[1]
        assert not any(KEY in page for page in pages)
    kept = b"".join(path.read_bytes() for path in (tmp_path / "site").iterdir())
    assert NAME.encode() in kept
    assert KEY.encode() not in kept


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"key": "NO_SUCH_KEY"}, "no variable NO_SUCH_KEY, which is to hold the key"),
        ({"key": KEY}, "never the key itself"),
        ({"key": "abcdef0123456789abcdef"}, "never the key itself"),
        ({"key": "ACCORD_PASSWORD"}, "belongs to this site"),
        ({"key": NAME, "where": "FOLDER"}, "takes no key"),
    ],
)
def test_what_is_wrong_with_it_is_said_at_once(
    tmp_path: Path, form: dict[str, str], says: str
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("{}")
    given = {"name": "parrot", "where": "http://127.0.0.1:1/v1"} | form
    given["where"] = given["where"].replace("FOLDER", str(tmp_path / "m"))
    with site(tmp_path, tmp_path / "runs") as (client, _, store):
        answer = client.post("/models/add", data=given)
        assert answer.status_code == 422
        assert says in answer.text
        assert 'value="parrot"' in answer.text, "the rest of the form stays"
        assert form["key"] not in answer.text or form["key"].isupper()
        assert rows(store) == []


@pytest.mark.parametrize("role", ["owner", "manager", "annotator"])
def test_a_key_that_has_gone_is_told_to_who_can_do_something(
    tmp_path: Path, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with endpoint() as there, site(tmp_path, tmp_path / "runs", role) as (client, _, store):
        with store.write() as session:
            told: dict[str, Any] = {"where": there.url, "key": NAME}
            session.add(Model(name="parrot", created=people.users(store)[0].created, **told))
        monkeypatch.delenv(NAME)
        manages = role != "annotator"
        pages = client.get("/models").text + client.get("/models/parrot").text
        assert (NAME in pages) == manages
        _, end = say(client, begin(client, "parrot"), text="hello")
        assert (f"no variable {NAME}" in end["wrong"]) == manages
        assert manages or "a manager who tries is told why" in end["wrong"]
        assert there.asked == []


def test_a_server_that_says_the_key_again_is_not_quoted(tmp_path: Path) -> None:
    with endpoint(lambda body: said) as there, site(tmp_path, tmp_path / "runs") as (client, _, _):
        form = {"name": "parrot", "where": there.url, "key": NAME}
        client.post("/models/add", data=form)
        said, there.complaint = [], f"{'no ' * 60}entry with {KEY}"
        end = say(client, begin(client, "parrot"), text="hello")[1]
        assert "503" in end["wrong"]
        assert KEY[:8] not in end["wrong"]
        said = ["I was told ", KEY]
        text, _ = say(client, begin(client, "parrot"), text="hello")
        assert text == "I was told …"


def test_a_blind_comparison_does_not_tell_whose_key_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with endpoint() as there, site(tmp_path, tmp_path / "runs") as (client, _, _):
        for name in ("parrot", "gull"):
            client.post("/models/add", data={"name": name, "where": there.url, "key": NAME})
        monkeypatch.delenv(NAME)
        _, end = say(client, begin_pair(client, "parrot", "gull"), text="hello")
    assert "has no variable" in end["wrong"]
    assert not [one for one in ("parrot", "gull", NAME) if one in end["wrong"]]


def test_a_store_from_before_keys_is_brought_along(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as then:
        first = "accord.store.judgements.opening.upgrade"
        then.setattr(first, lambda engine: migrate.upgrade(engine, "0001"))
        old = open_store(where)
    assert "key" not in {one["name"] for one in inspect(old.engine).get_columns("model")}
    with endpoint() as there:
        with old.engine.execution_options(writes="lasting").begin() as connection:
            quoted = 'INSERT INTO model (name, "where", called, artifact, created, hidden)'
            row = {"at": there.url, "no": False, "then": "2026-11-01 12:00:00+00:00"}
            values = "('parrot', :at, '', '', :then, :no)"
            connection.execute(text(f"{quoted} VALUES {values}"), row)
            config = plain(StudyConfig()) | {"models": ["parrot"]}  # where it stood then
            del config["talk"], config["quiz"]  # studies did not say how their answers are drawn
            config_row = {"config": json.dumps(config), "then": row["then"]}
            quoted = "INSERT INTO study (name, kind, config, status, created)"
            values = "('a talk', 'chat', :config, 'open', :then)"
            connection.execute(text(f"{quoted} VALUES {values}"), config_row)
        old.close()
        with fresh(tmp_path, where) as here:
            owner = here.client("owner")
            form = {"name": "gull", "where": there.url, "key": NAME}
            assert owner.post("/models/add", data=form).status_code == 303
            assert {one.name: one.key for one in rows(here.store)} == {"parrot": "", "gull": NAME}
            for name, key in (("parrot", ""), ("gull", f"Bearer {KEY}")):
                chat = owner.post("/chat", data={"model": name}).headers["location"]
                answer = owner.post(f"{chat}/say", json={"text": "hello"})
                assert events(answer.text)[-1][1]["text"] == f"**{name}** heard hello"
                assert there.keys[-1] == key
            page = owner.get("/studies/1").text
            assert "<dt>Temperature</dt><dd>1</dd>" in page
            answer = owner.post("/studies/1/judge/say", data={"text": "hello"})
            assert events(answer.text)[-1][1] == {"ready": True, "alike": True}
            asked = there.asked[-1]
            assert (asked["temperature"], asked["max_tokens"]) == (1.0, 256)
