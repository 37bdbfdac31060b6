"""The site on SQLite and on PostgreSQL: from the sign-in to the file, through its pages."""

import json
import re
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from accord.store.judgements import people
from accord.store.judgements.forms import Talk
from endpoint_fakes import endpoint, events
from site_fakes import PASSWORD, Site, filled, site
from visitors import read

PAIRS = [
    {"prompt": f"question {n}", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(3)
]
GOLD = [{"prompt": "known", "chosen": "good", "rejected": "bad"}]


def lines(few: list[dict[str, str]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in few).encode()


def sign_in(here: Site) -> TestClient:
    """The owner, by name and password."""
    people.set_password(here.store, here.users["owner"].id, PASSWORD)
    owner = here.client()
    told = {"name": "owner", "password": PASSWORD}
    assert owner.post("/login", data=told | {"password": "wrong"}).status_code == 401
    answer = owner.post("/login", data=told)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    return owner


def make(owner: TestClient, kind: str = "pairwise", **config: Any) -> str:
    """A study's address, made with its form."""
    answer = owner.post("/studies/new", data=filled(**config) | {"name": kind, "kind": kind})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].partition("?")[0]


def joined(here: Site, owner: TestClient, name: str) -> TestClient:
    """Somebody who comes in by an invitation."""
    page = owner.post("/people/invite", data={"role": "annotator"}).text
    link = re.search(r"/join/[\w-]+", page)
    assert link is not None
    guest = here.client()
    assert guest.post(link[0], data={"name": name}).status_code == 303
    return guest


def judge(client: TestClient, address: str, wish: str = "good", **more: str) -> str:
    """An answer with the wish in it is found better; the page that comes then."""
    form = read(client.get(address).text)
    assert form is not None
    told = {"lease": form["lease"], "key": form["key"], "answers": "2", "ms_total": "9000"}
    more = more or {"verdict": "first" if wish in form["texts"][0] else "second"}
    answer = client.post(address, data=told | more)
    assert answer.status_code == 303, answer.text
    return client.get(answer.headers["location"]).text


def rows(owner: TestClient, study: str, form: str) -> list[dict[str, Any]]:
    """What is handed out."""
    made = owner.post(f"{study}/export", data={"to": form})
    assert made.status_code == 200, made.text
    return [json.loads(line) for line in made.text.splitlines()]


def chosen(owner: TestClient, study: str) -> list[str]:
    """The better answers, as a trainer gets them."""
    return sorted(one["chosen"] for one in rows(owner, study, "trl_standard"))


def test_pairs_from_the_form_to_the_file(where: str, tmp_path: Path) -> None:
    with site(tmp_path, where) as here:
        owner = sign_in(here)
        study = make(owner, overlap=2, gold_rate=0.5)
        for few, gold in ((PAIRS, ""), (GOLD, "yes")):
            sent = {"file": ("rows.jsonl", lines(few))}
            answer = owner.post(f"{study}/items", files=sent, data={"gold": gold})
            assert f"{len(few)} item" in answer.text
        for guest in [joined(here, owner, name) for name in ("Ada", "Ben")]:
            assert "pairwise" in guest.get("/").text
            said = judge(guest, f"{study}/judge", act="flag", flag_tag="personal data")
            assert "Reported" in said
            back = guest.post(f"{study}/judge/undo")
            assert "Taken back." in guest.get(back.headers["location"]).text
            while "Thank you" not in said:
                said = judge(guest, f"{study}/judge")
        assert chosen(owner, study) == ["good 0", "good 1", "good 2"]
        assert len(rows(owner, study, "study")) >= 3
        parts = ("", "/edit", "/people", "/progress", "/export", "/adjudicate")
        pages = [study + part for part in parts]
        pages += ["/", "/people", "/people/5", "/log", "/models", "/leaderboard", "/account"]
        for page in pages:
            assert owner.get(page).status_code == 200, page


def test_what_two_dispute_a_manager_decides(where: str, tmp_path: Path) -> None:
    with site(tmp_path, where) as here:
        owner = here.client("owner")
        study = make(owner, overlap=2)
        owner.post(f"{study}/items", files={"file": ("rows.jsonl", lines(PAIRS[:1]))})
        for name, wish in (("Ada", "bad"), ("Ben", "good")):
            judge(joined(here, owner, name), f"{study}/judge", wish)
        judge(owner, f"{study}/adjudicate")
        assert chosen(owner, study) == ["good 0"]


def test_a_talk_and_its_choice(where: str, tmp_path: Path) -> None:
    with endpoint() as there, site(tmp_path, where) as here:
        owner = here.client("owner")
        for name in ("left", "right"):
            answer = owner.post("/models/add", data={"name": name, "where": there.url})
            assert answer.status_code == 303
        study = make(owner, "chat", talk=Talk(models=("left", "right")), verdicts=("tie",))
        ada = joined(here, owner, "Ada")
        told = events(ada.post(f"{study}/judge/say", data={"text": "hello"}).text)
        assert told[-1] == ("done", {"ready": True, "alike": False})
        assert ada.get(f"{study}/judge").text.count("heard hello") >= 2
        judge(ada, f"{study}/judge", "left")
        assert chosen(owner, study) == ["**left** heard hello"]
