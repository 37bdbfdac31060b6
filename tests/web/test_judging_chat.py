"""A chat study through its pages: how answers are drawn, and steps taken back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from accord.store.judgements import talk
from accord.store.judgements.forms import Act, Gone, Talk
from accord.store.judgements.tables import Response
from accord.web.models_known import forget, model, register
from endpoint_fakes import Endpoint, Reply, echo, endpoint, events
from judge_fakes import Site, site
from visitors import IN_PLACE, read


@contextmanager
def chatting(
    folder: Path, reply: Reply = echo, **config: Any
) -> Iterator[tuple[Site, TestClient, str, Endpoint]]:
    """A study of two models, and somebody's browser that asks as its script does."""
    with endpoint(reply) as there:
        here = site(folder)
        for name in ("gull", "tern"):
            register(here.store, name, there.url, name)
        how = Talk(models=config.pop("models", ("gull", "tern")))
        config = {"talk": how, "verdicts": ("tie", "both_bad")} | config
        study = here.study("chat", 0, **config)
        client = here.client("ann", "annotator")
        client.headers |= IN_PLACE
        yield here, client, f"/studies/{study.id}/judge", there
        here.app.state.stop.set()
        here.store.close()


def say(client: TestClient, page: str, text: str = "") -> dict[str, Any]:
    """Asked; how it ended."""
    return events(client.post(f"{page}/say", data={"text": text}).text)[-1][1]


def choose(client: TestClient, page: str, verdict: str, **more: str) -> str:
    """The answers that wait get a verdict; what comes then."""
    form = read(client.get(page).text)
    assert form is not None
    told = {"lease": form["lease"], "key": form["key"], "answers": "2", "verdict": verdict}
    return client.post(page, data=told | more).text


def test_answers_are_drawn_as_the_study_says(tmp_path: Path) -> None:
    drawn = Talk(temperature=0.25, longest=33)
    with chatting(tmp_path, talk=drawn) as (here, client, page, there):
        assert say(client, page, "hello")["ready"]
        assert [(one["temperature"], one["max_tokens"]) for one in there.asked] == [(0.25, 33)] * 2
        choose(client, page, "first")
        with here.store.read() as session:
            each = [one.sampling["each"] for one in session.scalars(select(Response))]
        assert {(one["temperature"], one["longest"]) for few in each for one in few} == {(0.25, 33)}


def test_a_choice_is_taken_back_and_made_otherwise(tmp_path: Path) -> None:
    with chatting(tmp_path) as (here, client, page, there):
        say(client, page, "hello")
        before = read(client.get(page).text)
        after = choose(client, page, "first", reason="because it is kind")
        assert read(after) is None, "the talk goes on"
        back = client.post(f"{page}/undo").text
        assert "Taken back." in back
        form = read(back)
        assert form is not None
        assert before is not None
        assert form["texts"] == before["texts"]
        assert "because it is kind</textarea>" in back
        choose(client, page, "second")
        say(client, page, "go on")
        heard = [one["content"] for one in there.asked[-1]["messages"]]
        assert heard == ["hello", before["texts"][1], "go on"]
        deeds = here.judgements()
        assert [(one.act, one.supersedes) for one in deeds] == [
            ("judge", None),
            ("withdraw", deeds[0].id),
            ("judge", None),
        ]
        assert len({one.item_id for one in deeds}) == 1
        assert "1 judged by you" in client.get(page).text


def test_what_was_said_comes_back_into_the_field(tmp_path: Path) -> None:
    with chatting(tmp_path) as (here, client, page, _):
        say(client, page, "helo <b>")
        back = client.post(f"{page}/undo").text
        assert "helo &lt;b&gt;</textarea>" in back
        assert "Taken back: say it otherwise" in back
        assert read(client.get(page).text) is None
        assert here.judgements() == []
        assert "There is nothing to take back." in client.post(f"{page}/undo").text
        assert say(client, page, "hello")["ready"]


def test_a_skip_is_taken_back_too(tmp_path: Path) -> None:
    with chatting(tmp_path) as (here, client, page, _):
        say(client, page, "hello")
        form = read(client.get(page).text)
        assert form is not None
        told = {"lease": "0", "key": form["key"], "answers": "2", "act": "skip"}
        assert "Your last message has no answers yet" in client.post(page, data=told).text
        assert read(client.post(f"{page}/undo").text) is not None
        assert [one.act for one in here.judgements()] == ["skip", "withdraw"]


def test_nothing_is_taken_back_while_answers_are_being_written(tmp_path: Path) -> None:
    with chatting(tmp_path) as (here, client, page, there):
        say(client, page, "hello")
        choose(client, page, "first")
        there.gate.clear()
        chat = talk.chats(here.store, here.user("ann").id)[0]
        with here.client("ann").stream("POST", f"{page}/say", data={"text": "go on"}) as stream:
            lines = stream.iter_lines()
            next(line for line in lines if "heard" in line or "**" in line)
            assert "an answer is under way" in client.post(f"{page}/undo").text
            there.gate.set()
            assert any("ready" in line for line in lines)
        assert talk.chat(here.store, chat.id, chat.user_id).pending is not None


@pytest.mark.parametrize("reveal", [True, False])
def test_names_that_were_shown_make_a_choice_stand(tmp_path: Path, reveal: bool) -> None:
    with chatting(tmp_path, reveal=reveal) as (here, client, page, _):
        say(client, page, "hello")
        choose(client, page, "first")
        back = client.post(f"{page}/undo").text
        assert ("this verdict stands" in back) == reveal
        assert len(here.judgements()) == (1 if reveal else 2)


def test_a_study_without_models_takes_two_by_lot(tmp_path: Path) -> None:
    with chatting(tmp_path, models=()) as (here, client, page, there):
        register(here.store, "wren", there.url, "wren")
        assert say(client, page, "hello")["ready"]
        asked = {one["model"] for one in there.asked}
        assert len(asked) == 2
        assert asked < {"gull", "tern", "wren"}, (
            "the storyteller is a folder, and nothing starts it"
        )
        for name in ("gull", "tern"):
            forget(here.store, model(here.app, name).id or 0)
        client.post(f"{page}/undo")
        assert client.post(f"{page}/fresh", headers={"accept": ""}).json() == {
            "detail": "this study names no models, and there are not two here; tell its manager"
        }


def test_a_pair_that_waits_again_is_judged_in_a_new_conversation_too(tmp_path: Path) -> None:
    with chatting(tmp_path) as (here, client, page, _):
        say(client, page, "hello")
        choose(client, page, "first")
        client.post(f"{page}/undo")
        assert client.post(f"{page}/fresh").status_code == 303
        form = read(client.get(page).text)
        assert form is not None
        assert form["lease"] != "0", "an item of its own by now"
        assert read(choose(client, page, "second")) is None
        assert [one.act for one in here.judgements()] == ["judge", "withdraw", "judge"]
        assert say(client, page, "something else")["ready"]
        old = talk.chats(here.store, here.user("ann").id)[-1]
        assert old.pending is not None
        act = Act(0, old.pending["key"], ranks=(0, 1))
        with pytest.raises(Gone, match="judged this item already"):
            talk.choose(here.store, old.id, old.user_id, act)
