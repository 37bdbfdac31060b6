"""Models: found, registered, talked to; answers said again, changed, stopped."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from accord.errors import NoAnswer
from accord.store import artifact
from accord.store.judgements import people, studies, talk
from accord.store.judgements.forms import StudyConfig, Talk
from accord.store.judgements.opening import Store
from accord.web import models_speaking
from accord.web.models_known import Known, forget, models, register, voice
from accord.web.models_speaking import room
from endpoint_fakes import begin, begin_pair, endpoint, events, say, talking
from watch_fakes import site, write_run


def policy(folder: Path, name: str = "x", parents: tuple[Any, ...] = ()) -> artifact.Artifact:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(name)
    numbers = {"objective/kl": 1.5}
    return artifact.seal(
        folder, kind="policy", settings={"name": name}, parents=parents, numbers=numbers
    )


def messages(app: FastAPI, chat_id: int) -> list[str]:
    return [one["content"] for one in talk.chat(app.state.store, chat_id, 1).messages]


# --- the list ---


def test_policies_are_found_and_described(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "a", 2)
    made = policy(tmp_path / "runs" / "a" / "policy")
    with site(tmp_path, tmp_path / "runs") as (client, app, _):
        names = [one.name for one in models(app)]
        assert names[0] == "a/policy"
        assert "storyteller" in names
        said = client.get("/models").text
        assert "a/policy" in said
        assert made.id[:12] in said
        page = client.get("/models/a/policy").text
        assert made.id in page
        assert "objective/kl" in page
        assert f"/lineage/{made.id}" in page
        assert client.get("/models/none").status_code == 404


def test_what_was_changed_after_it_was_sealed_is_no_model(tmp_path: Path) -> None:
    made = policy(tmp_path / "runs" / "policy")
    (made.folder / "config.json").write_text("longer than before")
    with site(tmp_path, tmp_path / "runs") as (_, app, _):
        assert [one.name for one in models(app)] == ["storyteller"]


def test_an_owner_adds_and_removes(tmp_path: Path) -> None:
    with site(tmp_path, tmp_path / "runs") as (client, app, _):
        form = {"name": "far", "where": "http://127.0.0.1:1/v1/", "called": "m"}
        assert client.post("/models/add", data=form).status_code == 200
        known = next(one for one in models(app) if one.name == "far")
        assert (known.kind, known.where, known.called) == ("endpoint", "http://127.0.0.1:1/v1", "m")
        twice = client.post("/models/add", data=form)
        assert twice.status_code == 422
        assert "choose another name" in twice.text
        nowhere = client.post("/models/add", data={"name": "x", "where": str(tmp_path)})
        assert "neither an address" in nowhere.text
        client.post(f"/models/forget/{known.id}")
        assert "far" not in [one.name for one in models(app)]
        client.post("/models/add", data=form)
        assert "far" in [one.name for one in models(app)]


@pytest.mark.parametrize("role", ["manager", "annotator", "viewer"])
def test_who_may_not_add(tmp_path: Path, role: str) -> None:
    with site(tmp_path, tmp_path / "runs", role) as (client, _, _):
        form = {"name": "far", "where": "http://127.0.0.1:1/v1"}
        assert client.post("/models/add", data=form).status_code == 403
        assert client.get("/models").status_code == 200


@pytest.mark.parametrize(("role", "sees"), [("owner", True), ("viewer", False)])
def test_who_sees_where_things_lie(tmp_path: Path, role: str, sees: bool) -> None:
    made = policy(tmp_path / "runs" / "policy")
    with site(tmp_path, tmp_path / "runs", role) as (client, app, _):
        register(app.state.store, "far", "http://10.0.0.9:1/v1")
        said = client.get("/models").text + client.get("/models/policy").text
        far = client.get("/models/far").text
    assert (str(made.folder) in said) == sees
    assert ("demo/storyteller" in said) == sees
    assert ("10.0.0.9" in far) == sees


class Workers:
    def __init__(self, wrong: str = "") -> None:
        self.asked: list[str] = []
        self.wrong = wrong

    def url(self, folder: str) -> tuple[str, str]:
        self.asked.append(folder)
        if self.wrong:
            raise NoAnswer(self.wrong.replace("FOLDER", folder))
        return "http://127.0.0.1:9/v1", "secret"


def test_a_folder_is_started(tmp_path: Path) -> None:
    workers = Workers()
    with site(tmp_path, tmp_path / "runs", workers=workers) as (_, app, _):
        made = voice(app, Known("a", "folder", "/models/a"), 1)
    assert (made.url, made.token, made.model) == ("http://127.0.0.1:9/v1", "secret", "a")
    assert workers.asked == ["/models/a"]
    with site(tmp_path / "none", tmp_path / "runs") as (_, app, _):  # noqa: SIM117
        with pytest.raises(NoAnswer, match="starts no models"):
            voice(app, Known("a", "folder", "/models/a"), 1)


BROKEN = "FOLDER does not begin to answer: FOLDER/config.json is broken, see /var/log/accord"


@pytest.mark.parametrize("kind", ["alone", "study"])
@pytest.mark.parametrize(
    ("role", "wrong", "says", "hides"),
    [
        ("owner", BROKEN, "config.json is broken, see /var/log", ""),
        ("manager", BROKEN, "config.json is broken, see /var/log", ""),
        ("annotator", BROKEN, "a manager who tries is told why", "config.json"),
        ("annotator", "FOLDER does not begin: out of memory", "out of memory", ""),
    ],
)
def test_why_a_folder_does_not_start_is_no_path_to_readers(
    tmp_path: Path, role: str, wrong: str, says: str, hides: str, kind: str
) -> None:
    made = policy(tmp_path / "runs" / "ppo" / "policy")
    workers = Workers(wrong)
    with site(tmp_path, tmp_path / "runs", role, workers) as (client, _, store):
        if kind == "alone":
            chat = begin(client, "ppo/policy")
            said = say(client, chat, text="hello")[1]["wrong"]
        else:
            config = StudyConfig(talk=Talk(models=("ppo/policy",)), blind=False)
            study = studies.create(store, "talk", "chat", config).id
            answer = client.post(f"/studies/{study}/judge/say", data={"text": "hello"})
            said = events(answer.text)[-1][1]["wrong"]
    assert workers.asked == [str(made.folder)]
    assert says in said
    assert said.startswith("ppo/policy") or role != "annotator"
    assert not hides or hides not in said
    assert (str(tmp_path) in said) == (wrong == BROKEN and role != "annotator")


# --- talk ---


def test_an_answer_streams_and_is_kept(tmp_path: Path) -> None:
    with talking(tmp_path) as (client, app, there):
        chat = begin(client)
        text, end = say(client, chat, text="hello", temperature=0.3, longest=9, seed=4)
        assert text == "**left** heard hello"
        assert "<strong>left</strong>" in end["html"]
        assert messages(app, chat) == ["hello", "**left** heard hello"]
        asked = there.asked[0]
        assert (asked["temperature"], asked["max_tokens"], asked["seed"]) == (0.3, 9, 4)
        page = client.get(f"/chat/{chat}").text
        assert "<strong>left</strong> heard hello" in page
        assert "hello" in client.get("/models").text
        say(client, chat, text="more")
        assert [one["role"] for one in there.asked[1]["messages"]] == ["user", "assistant", "user"]


def test_again_and_edit(tmp_path: Path) -> None:
    with talking(tmp_path) as (client, app, _):
        chat = begin(client)
        say(client, chat, text="one")
        say(client, chat, text="two")
        say(client, chat)
        assert len(messages(app, chat)) == 4
        say(client, chat, text="three", at=2)
        assert messages(app, chat)[2:] == ["three", "**left** heard three"]
        say(client, chat, text="first", at=0)
        assert messages(app, chat) == ["first", "**left** heard first"]


def test_stop_keeps_what_was_said(tmp_path: Path) -> None:
    with talking(tmp_path) as (client, app, there):
        chat = begin(client)
        there.gate.clear()
        speaking = None

        def stop() -> None:
            nonlocal speaking
            speaking = room(app).get(chat)
            while speaking is None or not speaking.parts[0].text:
                time.sleep(0.01)
                speaking = room(app).get(chat)
            assert client.post(f"/chat/{chat}/stop").json() == {"stopped": True}
            there.gate.set()

        thread = threading.Thread(target=stop)
        thread.start()
        text, end = say(client, chat, text="hello")
        thread.join()
        assert text.startswith("**left**")
        assert end["end"] == "stopped"
        assert messages(app, chat)[1] == text


def test_a_page_loaded_again_hears_the_rest(tmp_path: Path) -> None:
    with talking(tmp_path) as (client, _, _):
        chat = begin(client)
        say(client, chat, text="hello")
        answer = client.get(f"/chat/{chat}/stream")
        found = events(answer.text)
        assert "".join(o["text"] for n, o in found if n == "piece") == "**left** heard hello"
        other = begin(client)
        assert "No answer" in client.get(f"/chat/{other}/stream").text


def test_a_model_that_is_being_started_says_so(tmp_path: Path) -> None:
    with endpoint() as there:

        class Slow:
            def url(self, folder: str) -> tuple[str, str]:
                time.sleep(1.5)
                return there.url, "key"

        with site(tmp_path, tmp_path / "runs", workers=Slow()) as (client, _, _):
            chat = begin(client, "storyteller")
            found = events(client.post(f"/chat/{chat}/say", json={"text": "hello"}).text)
    assert found[0] == ("starting", {})
    assert found[-1][1]["text"] == "**storyteller** heard hello"


def test_a_model_that_fails_is_named_and_the_question_stays(tmp_path: Path) -> None:
    with talking(tmp_path, lambda body: []) as (client, app, _):
        chat = begin(client)
        _, end = say(client, chat, text="hello")
        assert "left answered 503: no room" in end["wrong"]
        assert messages(app, chat) == ["hello"]
        assert "wait for it" in say(client, chat, text="again")[1]["wrong"]


@pytest.mark.parametrize("where", ["http://[nonsense/v1", "http://127.0.0.1:99999/v1"])
def test_an_address_that_is_none_ends_the_answer(tmp_path: Path, where: str) -> None:
    with site(tmp_path, tmp_path / "runs") as (client, app, store):
        register(store, "odd", where, "m")
        chat = begin(client, "odd")
        assert "odd cannot be" in say(client, chat, text="hello")[1]["wrong"]
        assert not room(app).busy(chat)


def test_a_model_taken_away_since_ends_the_answer(tmp_path: Path) -> None:
    with talking(tmp_path) as (client, app, _):
        chat, pair = begin(client), begin_pair(client, "left", "right")
        for one in models(app):
            if one.id is not None:
                forget(app.state.store, one.id)
        assert "no model 'left'" in say(client, chat, text="hello")[1]["wrong"]
        assert not room(app).busy(chat)
        said = say(client, pair, text="hello")[1]["wrong"]
        assert "There is no model" in said
        assert "left" not in said, "which two they are is hidden still"


def test_a_mistake_of_ours_ends_the_answer_too(tmp_path: Path) -> None:
    class Broken:
        def url(self, folder: str) -> tuple[str, str]:
            raise RuntimeError(folder)

    with site(tmp_path, tmp_path / "runs", workers=Broken()) as (client, app, _):
        chat = begin(client, "storyteller")
        assert "server's log says why" in say(client, chat, text="hello")[1]["wrong"]
        assert not room(app).busy(chat)


def test_what_models_say_is_hostile(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script> ![x](http://evil.example/x.png) [y](javascript:alert(1))"
    with talking(tmp_path, lambda body: [bad]) as (client, _, _):
        chat = begin(client)
        _, end = say(client, chat, text=bad)
        for text in (end["html"], client.get(f"/chat/{chat}").text):
            assert "<script>alert" not in text
            assert "<img" not in text
            assert 'href="javascript' not in text


def test_a_conversation_is_its_owner_s(tmp_path: Path) -> None:
    with talking(tmp_path) as (client, app, _):
        store: Store = app.state.store
        other = people.add(store, "Eve", "viewer", password="a long password")
        made = talk.open_chat(store, other.id, ("left",))
        assert client.get(f"/chat/{made.id}").status_code == 404
        assert "no chat" in say(client, made.id, text="hi")[1]["wrong"]
        assert client.post(f"/chat/{made.id}/stop").status_code == 404


def test_sampling_has_bounds(tmp_path: Path) -> None:
    with talking(tmp_path) as (client, _, _):
        chat = begin(client)
        for body in ({"temperature": 3}, {"longest": 0}, {"seed": -1}, {"at": -1}):
            said = client.post(f"/chat/{chat}/say", json={"text": "x", **body})
            assert said.status_code == 422


def test_the_order_is_as_the_store_will_have_it(tmp_path: Path) -> None:
    with talking(tmp_path) as (_, app, _):
        store: Store = app.state.store
        arena = talk.arena(store, 1)
        seen = set()
        for i in range(12):
            made = talk.open_chat(store, 1, ("left", "right"), study_id=arena.id, blind=True)
            said = talk.say(store, made.id, 1, f"{i}")
            answers = [talk.Answer("a", "left"), talk.Answer("b", "right")]
            order = talk.turn_order(store, said)
            after = talk.offer(store, made.id, 1, answers)
            assert after.pending
            assert after.pending["order"] == order
            seen.add(tuple(order))
        assert seen == {(0, 1), (1, 0)}
        asis = StudyConfig(shuffle=False)
        straight = studies.create(store, "as it is", "chat", asis)
        for i in range(6):
            made = talk.open_chat(store, 1, ("left", "right"), study_id=straight.id, blind=True)
            assert talk.turn_order(store, talk.say(store, made.id, 1, f"{i}")) == [0, 1]


def test_who_asks_too_fast_is_told_before_an_answer_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models_speaking.ANSWERS, "count", 2)
    with talking(tmp_path) as (client, app, there):
        chat = begin(client)
        study = studies.create(
            app.state.store, "t", "chat", StudyConfig(talk=Talk(models=("left",)))
        ).id
        for text in ("one", "two"):
            say(client, chat, text=text)
        for at, said in ((f"/chat/{chat}/say", {"json": {"text": "three"}}),
                         (f"/studies/{study}/judge/say", {"data": {"text": "three"}})):  # fmt: skip
            answer = client.post(at, **said, headers={"accept": "text/event-stream"})
            assert answer.status_code == 429
            assert "wait a minute" in answer.json()["detail"]
        assert len(there.asked) == 2
        assert len(messages(app, chat)) == 4, "what was said too fast is not kept"
