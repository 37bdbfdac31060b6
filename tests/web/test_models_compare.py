"""Blind comparison: sides by lot, names after the verdict, a judgement, a leaderboard."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from sqlalchemy import select
from starlette.testclient import TestClient

from accord.store.judgements import resolve, studies, talk
from accord.store.judgements.forms import Act, StudyConfig
from accord.store.judgements.opening import Store
from accord.store.judgements.tables import Item, Judgement, Response
from accord.web.models_known import register
from endpoint_fakes import begin_pair, endpoint, say, talking
from watch_fakes import site


def judgements(store: Store) -> list[Judgement]:
    with store.read() as session:
        return [*session.scalars(select(Judgement))]


def offered(client: TestClient) -> tuple[int, dict[str, Any]]:
    chat = begin_pair(client, "left", "right")
    _, end = say(client, chat, text="hello")
    assert "answers" in end, end
    return chat, end


def test_names_are_hidden_until_the_verdict_and_then_fixed(tmp_path: Path) -> None:
    def reply(body: dict[str, Any]) -> list[str]:
        return ["first" if body["model"] == "left" else "second"]

    with talking(tmp_path, reply) as (client, app, _):
        sides = set()
        for _ in range(8):
            chat, end = offered(client)
            page = client.get(f"/chat/{chat}").text
            assert ">left<" not in page
            assert "left against" not in page
            texts = [one["text"] for one in end["answers"]]
            assert all(text in page for text in texts)
            vote = {"key": end["key"], "verdict": "left", "ms_total": 4000}
            told = client.post(f"/chat/{chat}/choose", json=vote).json()
            names = {"first": "left", "second": "right"}
            assert told["models"] == [names[text] for text in texts]
            sides.add(told["models"][0])
            again = client.post(f"/chat/{chat}/choose", json=vote)
            assert again.json()["judgement"] == told["judgement"]
            assert "over" in client.get(f"/chat/{chat}").text
            assert "begin a new comparison" in say(client, chat, text="more")[1]["wrong"]
        assert sides == {"left", "right"}
        rows = judgements(app.state.store)
        assert len(rows) == 8
        assert {row.ms_total for row in rows} == {4000}


def test_the_pieces_stand_where_the_answers_will(tmp_path: Path) -> None:
    def reply(body: dict[str, Any]) -> list[str]:
        return [body["model"], "!"]

    with talking(tmp_path, reply) as (client, _, _):
        for _ in range(6):
            chat = begin_pair(client, "left", "right")
            places, end = say(client, chat, by_place=True, text="hello")
            assert [places[0], places[1]] == [one["text"] for one in end["answers"]]


def test_what_each_verdict_becomes(tmp_path: Path) -> None:
    with talking(tmp_path) as (client, app, _):
        for verdict in ("left", "right", "tie", "bad", "skip"):
            chat, end = offered(client)
            answer = client.post(
                f"/chat/{chat}/choose", json={"key": end["key"], "verdict": verdict}
            )
            assert answer.status_code == 200, answer.text
        rows = judgements(app.state.store)
        assert [row.act for row in rows] == ["judge"] * 4 + ["skip"]
        left, right, tie, bad = rows[:4]
        for row, best in ((left, 0), (right, 1)):
            assert row.ranks
            assert row.shown[best] == row.ranks.index(0)
        assert tie.ranks == [0, 0]
        assert bad.both_bad
        wrong = client.post(f"/chat/{chat}/choose", json={"key": "x", "verdict": "left"})
        assert wrong.status_code == 400
        assert client.post(f"/chat/{chat}/choose", json={"verdict": "up"}).status_code == 422


def test_by_lot_and_with_too_few(tmp_path: Path) -> None:
    with talking(tmp_path) as (client, app, _):
        chat = begin_pair(client, "", "right")
        found = talk.chat(app.state.store, chat, 1)
        assert found.blind
        assert "right" in found.models
        assert len({*found.models}) == 2
        same = client.post("/compare", data={"left": "left", "right": "left"})
        assert same.status_code == 400
    with site(tmp_path / "other", tmp_path / "runs") as (client, _, _):
        assert "It takes two" in client.get("/compare").text
        assert client.post("/compare", data={}).status_code == 400


def test_alike_answers_are_no_choice(tmp_path: Path) -> None:
    with talking(tmp_path, lambda body: ["same"]) as (client, app, _):
        chat = begin_pair(client, "left", "right")
        _, end = say(client, chat, text="hello")
        assert end["alike"]
        assert judgements(app.state.store) == []
        assert talk.chat(app.state.store, chat, 1).blind


def test_an_error_does_not_name_the_model(tmp_path: Path) -> None:
    def reply(body: dict[str, Any]) -> list[str]:
        return ["fine"] if body["model"] == "left" else []

    with talking(tmp_path, reply) as (client, _, _):
        chat = begin_pair(client, "left", "right")
        _, end = say(client, chat, text="hello")
        assert "503" in end["wrong"]
        assert "right" not in end["wrong"]


def test_a_pair_goes_to_a_study(tmp_path: Path) -> None:
    with talking(tmp_path) as (client, app, _):
        store: Store = app.state.store
        study = studies.create(store, "Stories", "pairwise", StudyConfig(), 1)
        chat, end = offered(client)
        vote = {"key": end["key"], "verdict": "right"}
        told = client.post(f"/chat/{chat}/choose", json=vote).json()
        assert told["studies"] == [{"id": study.id, "name": "Stories"}]
        sent = {"judgement": told["judgement"], "study": study.id}
        assert "Sent to Stories" in client.post("/compare/send", json=sent).json()["said"]
        assert "already" in client.post("/compare/send", json=sent).json()["said"]
        assert client.post("/compare/send", json={**sent, "judgement": 99}).status_code == 404
        with store.read() as session:
            item = session.scalars(select(Item).where(Item.study_id == study.id)).one()
            models = {session.get_one(Response, one).model for one in item.responses}
        assert models == {"left", "right"}


def play(store: Store, a: str, b: str, wins: int, losses: int) -> None:
    arena = talk.arena(store, 1)
    for i in range(wins + losses):
        chat = talk.open_chat(store, 1, (a, b), study_id=arena.id, blind=True)
        talk.say(store, chat.id, 1, f"{a} {b} {i}")
        found = talk.offer(store, chat.id, 1, [talk.Answer("x", a), talk.Answer("y", b)])
        assert found.pending
        best = found.pending["order"].index(0 if i < wins else 1)
        ranks = (0, 1) if best == 0 else (1, 0)
        talk.choose(store, chat.id, 1, Act(0, found.pending["key"], ranks=ranks))


def test_the_leaderboard_orders_by_strength(tmp_path: Path) -> None:
    with site(tmp_path, tmp_path / "runs") as (client, app, _):
        assert "No verdict yet" in client.get("/leaderboard").text
        store: Store = app.state.store
        play(store, "strong", "weak", 15, 5)
        play(store, "middle", "weak", 12, 8)
        said = client.get("/leaderboard").text
        body = said[said.index("<tbody>") :]
        assert body.index("strong") < body.index("middle") < body.index("weak")
        assert "40 verdicts" in said
        assert 'class="whisker"' in said
        assert "75 %" in said
        study = talk.arena(store).id
        assert client.get("/leaderboard", params={"study": study}).status_code == 200
        assert len(resolve.leaderboard_games(store).games) == 40


def test_who_never_lost_has_no_finite_strength_and_it_is_said(tmp_path: Path) -> None:
    with site(tmp_path, tmp_path / "runs") as (client, app, _):
        play(app.state.store, "always", "never", 3, 0)
        said = client.get("/leaderboard").text
        assert "cut off" in said
        assert "no finite strength" in said


def test_a_viewer_may_look_and_not_vote(tmp_path: Path) -> None:
    with site(tmp_path, tmp_path / "runs", "viewer") as (client, app, _):
        assert isinstance(app, FastAPI)
        assert client.get("/leaderboard").status_code == 200
        assert client.get("/compare").status_code == 403
        assert client.post("/compare", data={}).status_code == 403
        assert client.post("/compare/send", json={"judgement": 1, "study": 1}).status_code == 403


def test_a_server_s_complaint_does_not_name_the_hidden(tmp_path: Path) -> None:
    with (
        endpoint(lambda body: []) as there,
        site(tmp_path, tmp_path / "runs") as (client, _, store),
    ):
        for name, called in (("left", "no"), ("right", "room")):
            register(store, name, there.url, called)  # it says: no room
        said = say(client, begin_pair(client, "left", "right"), text="hello")[1]["wrong"]
    assert not {"left", "right", "no", "room"} & {*said.replace(":", "").split()}, said
