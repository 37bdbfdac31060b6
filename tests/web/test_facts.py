"""What is known of a prompt: told to who judges, apart from what was asked, or hidden."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from accord import cli
from accord.config import read_each
from accord.data import judged, sources
from accord.data.dossier import cases
from accord.recipes.job import Desk
from accord.recipes.label_job import run_label
from accord.records import Fact, Image
from accord.store.judgements import acts, leases, studies
from accord.store.judgements.forms import KINDS, Act, Kind, NewItem, StudyConfig, View, untold
from accord.store.judgements.opening import open_store
from accord.store.judgements.resolve import Filters
from accord.store.judgements.tables import Study
from accord.verbs import VERBS
from accord.web.judging_view import KNOWN, known
from judge_fakes import TEXTS, Site, shown, site
from people_fakes import judge_all, someone
from seeing import picture

TRUE = "a <b>scarlet</b> box, and nothing else"
MANY = {"pairwise": 2, "rank": 4, "rate": 2, "rewrite": 1, "chat": 2}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    made = site(tmp_path)
    yield made
    made.store.close()


def message(*facts: str, said: str = "What is it?") -> dict[str, Any]:
    told = [{"type": "fact", "text": fact} for fact in facts]
    return {"role": "user", "content": [{"type": "text", "text": said}, *told]}


def of(here: Site, kind: Kind = "pairwise", facts: tuple[str, ...] = (TRUE,), **cfg: Any) -> Study:
    made = studies.create(here.store, f"{kind} of facts", kind, StudyConfig(**cfg))
    item = NewItem([message(*facts)], TEXTS[: MANY[kind]])
    assert studies.add_items(here.store, made.id, [item]).refused == []
    return made


def parts(page: str) -> tuple[str, str]:
    """(the conversation, what is known) of a page."""
    talk = page.split('aria-label="The conversation"')[1].split("</section>")[0]
    _, there, rest = page.partition('<section class="known')
    return talk, rest.split("</section>")[0] if there else ""


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_study_shows_them_apart_and_escaped(here: Site, kind: Kind) -> None:
    study = of(here, kind)
    talk, told = parts(here.client().get(f"/studies/{study.id}/judge").text)
    assert "scarlet" not in talk
    assert "a &lt;b&gt;scarlet&lt;/b&gt; box" in told
    assert "Known to be so" in told


def test_a_study_hides_them_from_page_and_program(here: Site) -> None:
    study, client = of(here, view=View(facts=False)), here.client()
    page = client.get(f"/studies/{study.id}/judge").text
    assert "scarlet" not in page
    assert parts(page)[1] == ""
    task = leases.next_task(here.store, study.id, here.user().id)
    assert task is not None
    assert task.facts is False
    assert "scarlet" not in json.dumps(task.messages)


def test_a_prompt_without_facts_says_nothing_of_them(here: Site) -> None:
    page = here.client().get(f"/studies/{here.study('pairwise').id}/judge").text
    assert "Known to be so" not in page
    assert 'name="facts"' not in page


@pytest.mark.parametrize("tells", [True, False])
def test_a_verdict_keeps_what_its_judge_saw(here: Site, tells: bool) -> None:
    study, client = of(here, view=View(facts=tells)), here.client()
    page = client.get(f"/studies/{study.id}/judge").text
    assert shown(page, "facts") == str(int(tells))
    studies.revise(here.store, study.id, StudyConfig(view=View(facts=not tells)))
    sent = {name: shown(page, name) for name in ("lease", "key", "facts")}
    client.post(f"/studies/{study.id}/judge", data=sent | {"verdict": "first"})
    (made,) = here.judgements()
    assert made.origin == {"facts": tells}  # as on the page, whatever the study says by now
    (case,) = cases(here.store, study.id)
    assert case.verdicts[0].facts is tells
    assert case.messages == [message(TRUE)]  # the export has them in any case
    taken = judged.gather(here.store, study.name, "comparisons", Filters())
    assert taken.records[0].prompt[0].facts == (TRUE,)
    word = "shown" if tells else "hidden"
    assert f"(facts): {word} at 1 judgements" in judged.card(taken, "comparisons", Filters())
    assert json.loads(judged.manifest(taken, "comparisons", Filters()))["facts"][word] == 1


def test_a_program_that_says_nothing_saw_what_the_study_shows(here: Site) -> None:
    study, user = of(here), here.user("ann", "annotator")
    task = leases.next_task(here.store, study.id, user.id)
    assert task is not None
    acts.submit(here.store, user.id, Act(task.lease_id, task.key, ranks=(0, 1)))
    assert here.judgements()[0].origin == {"facts": True}
    plain = here.study("pairwise", 1)
    task = leases.next_task(here.store, plain.id, user.id)
    assert task is not None
    acts.submit(here.store, user.id, Act(task.lease_id, task.key, ranks=(0, 1), facts=True))
    assert here.judgements()[1].origin == {}  # there was nothing to show


@pytest.mark.parametrize("tells", [True, False])
def test_an_adjudicator_sees_what_the_judges_saw_and_is_told(here: Site, tells: bool) -> None:
    study = of(here, overlap=2, view=View(facts=tells))
    for name, ranks in (("ann", (0, 1)), ("bea", (1, 0))):
        user = here.user(name, "annotator")
        task = leases.next_task(here.store, study.id, user.id)
        assert task is not None
        own = ranks if task.answers[0].text == TEXTS[0] else ranks[::-1]
        acts.submit(here.store, user.id, Act(task.lease_id, task.key, ranks=own))
    page = here.client().get(f"/studies/{study.id}/adjudicate").text
    assert bool(parts(page)[1]) is tells
    assert ("is hidden in this study, from you too" in page) is not tells


def test_many_facts_fold_and_say_whose_they_are() -> None:
    many = tuple(f"fact {n}" for n in range(KNOWN + 3))
    (one,) = known([message(*many)])
    assert (one.of, one.first, one.more) == ("", many[:KNOWN], many[KNOWN:])
    talk = [message("it rains"), {"role": "assistant", "content": "Yes."}, message("and snows")]
    assert [one.of for one in known(talk)] == ["User, message 1", "User, message 3"]
    assert untold(talk) == [message(), talk[1], message()]
    assert known(untold(talk)) == []


def test_the_preview_shows_the_setting(here: Site) -> None:
    client = here.client()
    on = client.post("/studies/preview", data={"kind": "pairwise", "view.facts": "yes"}).text
    off = client.post("/studies/preview", data={"kind": "pairwise"}).text
    assert ("Known to be so" in on, "Known to be so" in off) == (True, False)
    assert "Why is the sky blue?" in off


def test_a_study_of_before_goes_on_without_them() -> None:
    old = StudyConfig.of({"question": "Which?", "formats": "plain", "read_all": True})
    assert old.view == View(facts=False, formats="plain", read_all=True)
    assert StudyConfig.of({"formats": "plain"}).view == View(formats="plain")  # of a program
    assert StudyConfig.of({"question": "Which?"}).view == View()


def test_through_label_judging_and_export_nothing_is_lost(tmp_path: Path) -> None:
    picture(tmp_path / "red.png")
    row = {"prompt": "Colour?", "image": "red.png", "facts": ["it is red", "it is plain"]}
    ready = tmp_path / "ready.jsonl"
    ready.write_text(json.dumps({**row, "responses": ["Red.", "Blue, I think."]}))
    words = [f"data={ready}", f"study={tmp_path}/a.db#s", "site=false", f"out={tmp_path}/l"]
    run_label(Desk((), str), *read_each(VERBS["label"].classes(), None, words))
    store = open_store(tmp_path / "a.db")
    judge_all(store, 1, someone(store, "ada"), len)
    store.close()
    for to, name in (("accord", "out.jsonl"), ("study", "whole.jsonl")):
        told = ["data", "export", f"{tmp_path}/a.db#s", f"{tmp_path / name}", f"to={to}"]
        assert CliRunner().invoke(cli.app, told).exit_code == 0
    (one,) = sources.read(tmp_path / "out.jsonl", "comparisons").records
    kinds = [type(part) for part in one.prompt[0].content]
    assert kinds.count(Fact) == 2
    assert kinds.count(Image) == 1
    assert one.prompt[0].facts == ("it is red", "it is plain")
    again = ["data", "import", f"{tmp_path}/whole.jsonl", f"{tmp_path}/b.db#s"]
    assert CliRunner().invoke(cli.app, again).exit_code == 0
    store = open_store(tmp_path / "b.db")
    (case,) = cases(store, 1)
    store.close()
    assert [part["text"] for part in case.messages[0]["content"] if part["type"] == "fact"] == [
        "it is red",
        "it is plain",
    ]
    assert case.verdicts[0].facts is True
