"""Judging without a script: plain forms, redirects, and what is in the store afterwards."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from accord.store.judgements.forms import NewItem, View
from accord.store.judgements.studies import add_items, set_status
from judge_fakes import Site, shown, site


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    made = site(tmp_path)
    yield made
    made.store.close()


def judge(client: TestClient, address: str, **fields: Any) -> str:
    """Loads the page, sends what is given, and follows; the page that comes."""
    text = client.get(address).text
    hidden = {name: shown(text, name) for name in ("lease", "key", "answers")}
    answer = client.post(address, data=hidden | fields)
    assert answer.status_code == 303, answer.text
    return client.get(answer.headers["location"]).text


def test_a_pair_from_the_page_to_the_store(here: Site) -> None:
    study = here.study("pairwise", verdicts=("tie", "both_bad"))
    client, address = here.client(), f"/studies/{study.id}/judge"
    page = client.get(address).text
    assert "Choose the most helpful and honest response" in page
    for words in ("A is better", "B is better", "Tie", "Both are bad"):
        assert words in page
    assert "Saved." in judge(client, address, verdict="second", reason="clearer", ms_total="5000")
    (made,) = here.judgements()
    assert made.ranks is not None
    assert [made.ranks[at] for at in made.shown] == [1, 0]
    assert (made.reason, made.ms_total, made.act) == ("clearer", 5000, "judge")


@pytest.mark.parametrize(
    ("kind", "fields", "check"),
    [
        ("rank", {f"rank_{p}": r for p, r in enumerate("3142")}, ("ranks", [2, 0, 3, 1])),
        (
            "rate",
            {f"rate_{axis}_{p}": 7 - p for axis in ("helpful", "honest") for p in (0, 1)},
            ("ratings", {"helpful": [7, 6], "honest": [7, 6]}),
        ),
        ("rewrite", {"rewrite": "It is never too late."}, ("rewrite", "It is never too late.")),
    ],
)
def test_every_kind_works_as_a_plain_form(
    here: Site, kind: Any, fields: dict[str, Any], check: tuple[str, Any]
) -> None:
    study = here.study(kind, axes=("helpful", "honest"), shuffle=False)
    judge(here.client(), f"/studies/{study.id}/judge", **fields)
    assert getattr(here.judgements()[0], check[0]) == check[1]


def test_what_is_missing_is_said_and_what_was_chosen_stays(here: Site) -> None:
    study = here.study("rate", axes=("helpful",))
    client, address = here.client(), f"/studies/{study.id}/judge"
    text = client.get(address).text
    hidden = {name: shown(text, name) for name in ("lease", "key", "answers")}
    answer = client.post(address, data={**hidden, "rate_helpful_0": "5", "reason": "so far"})
    assert answer.status_code == 422
    assert "is missing" in answer.text
    assert 'id="rate_helpful_0_5" value="5" checked' in answer.text
    assert "so far</textarea>" in answer.text
    assert here.judgements() == []


def test_sent_twice_it_counts_once(here: Site) -> None:
    study = here.study("pairwise")
    client, address = here.client(), f"/studies/{study.id}/judge"
    text = client.get(address).text
    fields = {"lease": shown(text, "lease"), "key": shown(text, "key"), "verdict": "first"}
    for _ in range(2):
        assert client.post(address, data=fields).status_code == 303
    assert len(here.judgements()) == 1


def test_skips_and_reports_are_kept_with_their_reasons(here: Site) -> None:
    study = here.study("pairwise", reason="required")
    client, address = here.client(), f"/studies/{study.id}/judge"
    assert "Skipped." in judge(client, address, act="skip", skip_tag="too long")
    assert "Reported" in judge(client, address, act="flag", flag_tag="personal data")
    assert [(one.act, one.tags) for one in here.judgements()] == [
        ("skip", ["too long"]),
        ("flag", ["personal data"]),
    ]


def test_undo_gives_the_item_back_with_what_was_said(here: Site) -> None:
    study = here.study("rank", count=1)
    client, address = here.client(), f"/studies/{study.id}/judge"
    places = {f"rank_{place}": rank for place, rank in enumerate("2143")}
    assert "Thank you" in judge(client, address, **places, reason="because")
    answer = client.post(f"{address}/undo")
    text = client.get(answer.headers["location"]).text
    assert "Taken back." in text
    assert "because</textarea>" in text
    assert text.count(" selected>") == 4
    assert [one.act for one in here.judgements()] == ["judge", "withdraw"]


def test_a_draft_survives_going_away(here: Site) -> None:
    study = here.study("rewrite")
    client, address = here.client(), f"/studies/{study.id}/judge"
    fields = {"lease": shown(client.get(address).text, "lease"), "rewrite": "half a sen"}
    assert client.post(f"{address}/beat", data=fields).status_code == 200
    assert "half a sen</textarea>" in client.get(address).text
    assert client.post(f"{address}/beat", data={"lease": "x"}).status_code == 422
    assert client.post(f"{address}/beat", data={"lease": "999"}).status_code == 409


def test_a_verdict_after_the_item_was_given_on_is_told_and_the_next_item_comes(here: Site) -> None:
    study = here.study("pairwise", count=3, lease_minutes=0.001)
    slow, quick = here.client(), here.client("tom", "annotator")
    address = f"/studies/{study.id}/judge"
    text = slow.get(address).text

    time.sleep(0.1)
    judge(quick, address, verdict="first")
    fields = {"lease": shown(text, "lease"), "key": shown(text, "key"), "verdict": "first"}
    answer = slow.post(address, data=fields)
    told = slow.get(answer.headers["location"]).text
    assert "given to somebody else" in told
    assert shown(told, "lease") != fields["lease"]
    assert len(here.judgements()) == 1


def test_after_the_last_one_comes_a_thank_you_that_says_what_happens(here: Site) -> None:
    study = here.study("pairwise", count=1)
    client = here.client()
    text = judge(client, f"/studies/{study.id}/judge", verdict="first")
    assert "Thank you" in text
    assert "a reward model learns from them" in text
    fresh = here.client("tom", "annotator").get(f"/studies/{study.id}/judge").text
    assert "Nothing to judge just now" in fresh


def test_hostile_answers_are_text(here: Site) -> None:
    study = here.study("pairwise", count=0)
    evil = "<script>alert(1)</script> ![x](https://spy.test/x.png) [y](javascript:alert(1))"
    add_items(here.store, study.id, [NewItem([{"role": "user", "content": evil}], (evil, "tame"))])
    text = here.client().get(f"/studies/{study.id}/judge").text
    assert "<script>alert" not in text
    assert 'src="https://spy' not in text
    assert 'href="javascript' not in text
    assert "&lt;script&gt;alert(1)" in text


def test_models_stay_hidden_in_a_blind_study(here: Site) -> None:
    for blind in (True, False):
        study = here.study("pairwise", count=0, blind=blind)
        item = NewItem([{"role": "user", "content": "Hi"}], ("a", "b"), models=("gull", "tern"))
        add_items(here.store, study.id, [item])
        text = here.client().get(f"/studies/{study.id}/judge").text
        assert ("gull" in text and "tern" in text) is not blind


def test_all_answers_are_to_be_read_where_the_study_says_so(here: Site) -> None:
    study = here.study("pairwise", view=View(read_all=True))
    client, address = here.client(), f"/studies/{study.id}/judge"
    text = client.get(address).text
    assert "I have read all answers" in text
    fields = {"lease": shown(text, "lease"), "key": shown(text, "key"), "verdict": "first"}
    assert client.post(address, data=fields).status_code == 422
    assert client.post(address, data={**fields, "read": "1"}).status_code == 303


def test_a_script_gets_parts(here: Site) -> None:
    study = here.study("pairwise")
    client, address = here.client(), f"/studies/{study.id}/judge"
    text = client.get(address, headers={"x-part": "1"}).text
    assert "<html" not in text
    assert 'data-part="stage"' in text


def test_keys_of_ones_own(here: Site) -> None:
    study = here.study("pairwise")
    client, address = here.client(), f"/studies/{study.id}/judge"
    fields = {"first": "a", "second": "b", "shortcuts": "1", "next": address}
    assert client.post("/judging/keys", data=fields).headers["location"] == address
    text = client.get(address).text
    assert 'aria-keyshortcuts="a"' in text
    assert client.post("/judging/keys", data={**fields, "second": "a"}).status_code == 422
    client.post("/judging/keys", data={"next": "https://spy.test/"})
    assert "aria-keyshortcuts" not in client.get(address).text


def test_who_may_not_judge_is_told(here: Site) -> None:
    study = here.study("pairwise")
    assert here.client("vera", "viewer").get(f"/studies/{study.id}/judge").status_code == 403
    tom = here.client("tom", "annotator")
    assert tom.get(f"/studies/{study.id}/adjudicate").status_code == 403
    assert tom.get("/studies/99/judge").status_code == 404


def test_where_names_are_revealed_the_verdict_stands(here: Site) -> None:
    study = here.study("pairwise", 0, reveal=True)
    item = NewItem([{"role": "user", "content": "Hi"}], ("a", "b"), models=("gull", "tern"))
    add_items(here.store, study.id, [item])
    client, address = here.client(), f"/studies/{study.id}/judge"
    assert "gull" not in client.get(address).text
    text = judge(client, address, verdict="first")
    assert "It was " in text
    assert "gull" in text
    answer = client.post(f"{address}/undo")
    assert "this verdict stands" in client.get(answer.headers["location"]).text
    assert [one.act for one in here.judgements()] == ["judge"]


def test_a_study_that_is_paused_gives_nothing_out(here: Site) -> None:
    study = here.study("pairwise")
    set_status(here.store, study.id, "paused")
    text = here.client().get(f"/studies/{study.id}/judge").text
    assert "This study is paused" in text


def test_the_same_item_in_two_tabs_is_judged_once(here: Site) -> None:
    study = here.study("pairwise")
    client, address = here.client(), f"/studies/{study.id}/judge"
    tabs = [client.get(address).text for _ in range(2)]
    for text in tabs:
        fields = {"lease": shown(text, "lease"), "key": shown(text, "key"), "verdict": "first"}
        answer = client.post(address, data=fields)
    assert "judged this item already" in client.get(answer.headers["location"]).text
    assert len(here.judgements()) == 1
