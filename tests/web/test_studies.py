"""Setting up a study: the form knows every setting, files of every shape come in."""

import json
import re
from pathlib import Path

import pytest
from sqlalchemy import select

from accord.store.judgements import studies
from accord.store.judgements.forms import Talk
from accord.store.judgements.tables import Item, Prompt, Response
from accord.web import home, study_form
from site_fakes import Site, filled, site

OTHER = {
    "question": "Which is kinder?",
    "guidelines": "Be **kind**.",
    "verdicts": ("both_bad", "strength"),
    "axes": ("kind", "short"),
    "scale": 5,
    "reason": "required",
    "overlap": 3,
    "lease_minutes": 7.5,
    "gold_rate": 0.25,
    "shortest_s": 4.0,
    "blind": False,
    "reveal": True,
    "shuffle": False,
    "view.facts": False,
    "view.read_all": True,
    "view.formats": "plain",
    "leaks": ("I am", "as an AI"),
    "everyone": False,
    "talk.models": ("one", "two"),
    "talk.temperature": 0.5,
    "talk.longest": 64,
    "talk.pictures": True,
    "agree_below": 0.75,
    "quiz.items": 5,
    "quiz.passes": 0.5,
}


@pytest.mark.parametrize("name", study_form.FIELDS)
def test_every_setting_is_in_the_form_and_is_kept(tmp_path: Path, name: str) -> None:
    usual = study_form.defaults()
    assert usual[name] != OTHER[name]
    with site(tmp_path) as here:
        owner = here.client("owner")
        page = owner.get("/studies/new").text
        assert f'name="{name}"' in page
        kind = study_form.ONLY.get(name, ("pairwise",))[0]
        needs = {"talk.models": ("one",)} if name == "talk.pictures" else {}
        given = filled(**{**needs, name: OTHER[name]}) | {"name": "mine", "kind": kind}
        answer = owner.post("/studies/new", data=given)
        assert answer.status_code == 303, answer.text
        made = studies.config_of(studies.study(here.store, "mine"))
        other = OTHER[name]
        told = {name: list(other) if isinstance(other, tuple) else other}
        told |= {key: list(value) for key, value in needs.items()}
        assert study_form.defaults(made) == usual | told
        edit = owner.get("/studies/1/edit").text
        back = owner.post("/studies/1/edit", data=filled(**{"talk.models": ("another",)}))
        assert back.status_code == 303
        assert edit != owner.get("/studies/1/edit").text


@pytest.mark.parametrize(
    ("changed", "field", "says"),
    [
        ({"overlap": "0"}, "overlap", "greater than or equal to 1"),
        ({"overlap": "two"}, "overlap", "Give a whole number"),
        ({"lease_minutes": ""}, "lease_minutes", "Give a number"),
        ({"gold_rate": "0.9"}, "gold_rate", "less than or equal to 0.5"),
        ({"kind": "chat", "talk.models": "a, b, c"}, "talk.models", "at most two models"),
        ({"kind": "chat", "talk.temperature": "3"}, "talk.temperature", "less than or equal to 2"),
        ({"kind": "chat", "talk.longest": "0"}, "talk.longest", "greater than or equal to 1"),
        (
            {"kind": "chat", "talk.models": "a", "talk.temperature": "0"},
            "talk.models",
            "says the same twice",
        ),
        ({"kind": "rate", "axes": ""}, "axes", "at least one axis"),
        ({"kind": "rate", "axes": "a, a"}, "axes", "not all different"),
        ({"name": " "}, "name", "Give it a name"),
        ({"reason": "maybe"}, "reason", ""),
    ],
)
def test_a_mistake_is_said_beside_its_field(
    tmp_path: Path, changed: dict[str, str], field: str, says: str
) -> None:
    with site(tmp_path) as here:
        given = filled() | {"name": "mine", "kind": "pairwise"} | changed
        answer = here.client("owner").post("/studies/new", data=given)
        assert answer.status_code == 400
        place = answer.text.partition(f'id="f-{field}"')[2].partition('<div class="field">')[0]
        assert 'class="error"' in place
        assert says in place
        assert studies.studies(here.store) == []
        assert 'value="mine"' in answer.text or field == "name"  # what was typed is not lost


def test_two_studies_have_two_names_and_kinds_are_known(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        owner = here.client("owner")
        given = filled() | {"name": "mine", "kind": "pairwise"}
        assert owner.post("/studies/new", data=given).status_code == 303
        assert owner.post("/studies/new", data=given).status_code == 400
        assert owner.post("/studies/new", data=given | {"kind": "duel"}).status_code == 400
        assert owner.get("/studies/new?kind=rank").status_code == 200
        assert owner.get("/studies/2").status_code == 404
        assert owner.post("/studies/1/status", data={"status": "paused"}).status_code == 303
        assert studies.study(here.store, 1).status == "paused"
        assert owner.post("/studies/1/status", data={"status": "lost"}).status_code == 400


@pytest.mark.parametrize("kind", study_form.KINDS)
def test_the_preview_shows_what_the_form_says(tmp_path: Path, kind: str) -> None:
    with site(tmp_path) as here:
        owner = here.client("owner")
        given = filled(question="Which is kinder?", guidelines="Be **kind**.") | {"kind": kind}
        shown = owner.post("/studies/preview", data=given)
        assert shown.status_code == 200
        assert "Which is kinder?" in shown.text
        assert "<strong>kind</strong>" in shown.text
        half = owner.post("/studies/preview", data=given | {"overlap": "none"})
        assert "1 field still wrong" in half.text
        assert "Which is kinder?" in half.text


# --- files ---

PAIR = {"prompt": "Hi", "chosen": "Hello!", "rejected": "Go away."}
TURNS = [{"role": "user", "content": "Hi"}]
FILES = {
    "strings.jsonl": [PAIR],
    "messages.jsonl": [
        {
            "prompt": TURNS,
            "chosen": [{"role": "assistant", "content": "Hello!"}],
            "rejected": [{"role": "assistant", "content": "Go away."}],
        }
    ],
    "hh.jsonl": [
        {
            "chosen": "\n\nHuman: Hi\n\nAssistant: Hello!",
            "rejected": "\n\nHuman: Hi\n\nAssistant: Go away.",
        }
    ],
    "arena.jsonl": [
        {
            "conversation_a": [*TURNS, {"role": "assistant", "content": "Hello!"}],
            "conversation_b": [*TURNS, {"role": "assistant", "content": "Go away."}],
            "winner": "model_a",
            "model_a": "x",
            "model_b": "y",
        }
    ],
    "rows.json": [PAIR],
    "rows.csv": [PAIR],
}


def raw(name: str, rows: list[dict]) -> bytes:
    if name.endswith(".json"):
        return json.dumps(rows).encode()
    if name.endswith(".csv"):
        lines = [",".join(rows[0]), *(",".join(f'"{v}"' for v in row.values()) for row in rows)]
        return "\n".join(lines).encode()
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def send(here: Site, study: int, name: str, content: bytes, **more: str):
    files = {"file": (name, content)}
    return here.client("owner").post(f"/studies/{study}/items", files=files, data=more)


@pytest.mark.parametrize("name", FILES)
def test_pairs_come_in_from_every_usual_shape(tmp_path: Path, name: str) -> None:
    with site(tmp_path) as here:
        study = here.study(items=0)
        answer = send(here, study, name, raw(name, FILES[name]))
        assert answer.status_code == 200, answer.text
        assert "1 item added" in answer.text
        with here.store.read() as session:
            (item,) = session.scalars(select(Item)).all()
            texts = [session.get_one(Response, one).text for one in item.responses]
            prompt = session.get_one(Prompt, item.prompt_id)
        assert sorted(texts) == ["Go away.", "Hello!"]
        assert prompt.messages == TURNS
        assert item.gold is None
        again = send(here, study, name, raw(name, FILES[name]))
        assert "1 were here already" in again.text


def test_known_verdicts_check_attention(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        study = here.study(items=0)
        send(here, study, "gold.jsonl", raw("gold.jsonl", [PAIR]), gold="yes")
        with here.store.read() as session:
            (item,) = session.scalars(select(Item)).all()
            first = session.get_one(Response, item.responses[0]).text
        assert item.gold == {"ranks": [0, 1] if first == "Hello!" else [1, 0]}


def test_other_kinds_take_what_they_ask_about(tmp_path: Path) -> None:
    rows = [
        {"prompt": "Hi", "completion": "Hello!"},
        {"prompt": "Hi", "completion": "Hey."},
        {"prompt": "Bye", "completion": "See you."},
    ]
    with site(tmp_path) as here:
        for kind, count in (("rate", 2), ("rewrite", 3), ("rank", 1), ("pairwise", 1)):
            study = here.study(kind, items=0)
            answer = send(here, study, "rows.jsonl", raw("rows.jsonl", rows))
            assert answer.status_code == 200, answer.text
            added = re.search(r"(\d+) items? added", answer.text)
            assert added is not None
            assert int(added[1]) == count, kind
        chat = here.study("chat")
        answer = send(here, chat, "ask.jsonl", raw("ask.jsonl", [{"prompt": "Hi"}]))
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.exe", b"MZ", "files of items are"),
        ("a.jsonl", b"", "no rows"),
        ("a.jsonl", b"\x00\xff\xfe", "a.jsonl"),
        ("a.jsonl", b'{"x": 1}\n', "a.jsonl"),
        ("a.jsonl", b'{"prompt": "Hi", "completion": "one"}\n', "give a file that has them"),
        ("a.parquet", b"PAR1", "a.parquet"),
        ("../../x.jsonl", b"{", "x.jsonl"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    with site(tmp_path) as here:
        answer = send(here, here.study(items=0), name, content)
        assert answer.status_code == 400
        assert says in answer.text
        assert "/tmp" not in answer.text
        assert "Traceback" not in answer.text
        with here.store.read() as session:
            assert session.scalars(select(Item)).all() == []


def test_rows_that_are_not_used_are_told(tmp_path: Path) -> None:
    rows = raw("a.jsonl", [PAIR]) + b'{"prompt": 3}\n'
    with site(tmp_path) as here:
        answer = send(here, here.study(items=0), "a.jsonl", rows)
        assert "1 rows could not be used" in answer.text


# --- first steps ---


def test_an_empty_site_is_one_click_from_the_first_judgement(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        owner = here.client("owner")
        assert "Try it with sample pairs" in owner.get("/").text
        assert "Nothing to judge yet" in here.client("annotator").get("/").text
        answer = owner.post("/sample")
        assert answer.headers["location"] == "/studies/1/judge"
        assert owner.post("/sample").headers["location"] == "/studies/1/judge"  # not made twice
        (row,) = studies.studies(here.store)
        assert row.items == len(home.sample_items()) >= 25
        page = owner.get("/").text
        assert home.SAMPLE in page
        assert "Try it with sample pairs" not in page
        assert 'href="/studies/1/judge"' in here.client("annotator").get("/").text
        assert 'href="/studies/1/judge"' not in here.client("viewer").get("/").text


def test_the_sample_pairs_are_two_different_stories_each() -> None:
    for one in home.sample_items():
        assert len({*one.answers}) == 2
        assert all(len(text) > 40 for text in one.answers)


# --- members ---


def test_members_are_kept_and_invited(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        study, owner = here.study(), here.client("owner")
        judge = here.users["annotator"].id
        path = f"/studies/{study}/people"
        owner.post(path, data={})
        assert not studies.config_of(studies.study(here.store, study)).everyone
        assert here.client("annotator").get("/").text.count("a study of") == 0
        owner.post(path, data={"member": [str(judge), "999"]})
        assert [one.id for one in studies.members(here.store, study)] == [judge]
        assert "a study of" in here.client("annotator").get("/").text
        page = owner.post(f"/studies/{study}/invite").text
        link = page.partition("http://testserver/join/")[2].partition('"')[0]
        guest = here.client()
        assert guest.post(f"/join/{link}", data={"name": "Mia"}).status_code == 303
        assert "a study of" in guest.get("/").text
        owner.post(path, data={"everyone": "yes"})
        assert studies.config_of(studies.study(here.store, study)).everyone
        assert studies.members(here.store, study) == []


def test_how_a_study_is_set_up_is_shown_and_only_what_its_kind_has(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        owner = here.client("owner")
        talk = Talk(temperature=0.3, longest=77)
        chat = owner.get(f"/studies/{here.study('chat', talk=talk)}").text
        assert "Who is talked to" in chat
        assert "Add items" not in chat, "its items are what people say to models"
        assert "<dt>Temperature</dt><dd>0.3</dd>" in chat
        assert "<dt>Longest answer, in tokens</dt><dd>77</dd>" in chat
        pairs = owner.get(f"/studies/{here.study()}").text
        assert "Judgements of each item" in pairs
        assert not [one for one in ("Who is talked to", "Temperature", "Axes") if one in pairs]
