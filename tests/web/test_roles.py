"""What a role does not allow: other studies, what others said, and roles that were taken away."""

import html
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from accord.maths.intervals import proportion
from accord.store.judgements import acts, leases, people, studies
from accord.store.judgements.forms import Act, NewItem, StudyConfig
from accord.web.progress import place_words
from judge_fakes import TEXTS, Site, site


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    made = site(tmp_path)
    yield made
    made.store.close()


def judge(here: Site, study: int, name: str, best: int = 0) -> None:
    user = here.user(name, "annotator")
    task = leases.next_task(here.store, study, user.id)
    assert task is not None
    ranks = tuple(int(not shown.text.startswith(TEXTS[best][:8])) for shown in task.answers)
    acts.submit(here.store, user.id, Act(task.lease_id, task.key, ranks=ranks))


def test_an_annotator_sees_their_own_numbers_alone(here: Site) -> None:
    study = here.study("pairwise", 2, overlap=2)
    for name in ("ann", "ben"):
        judge(here, study.id, name)
        judge(here, study.id, name)
    address = f"/studies/{study.id}/progress"
    every = here.client().get(address).text
    assert "ann" in every.split('id="who"')[1]
    assert "Cohen" in every
    for name, role in (("ben", "annotator"), ("vera", "viewer")):
        text = here.client(name, role).get(address).text
        assert ">ann<" not in text
        assert "Cohen" not in text
        assert "2 / 2" in text
    assert ">ben" in here.client("ben").get(address).text.split('id="who"')[1]


@pytest.mark.parametrize("part", ["", "/progress"])
def test_a_study_for_others_is_not_there(here: Site, part: str) -> None:
    study = here.study("pairwise", everyone=False)
    studies.set_members(here.store, study.id, {here.user("ann", "annotator").id}, None)
    for name, role, status in (
        ("maria", "owner", 200),
        ("mia", "manager", 200),
        ("ann", "annotator", 200),
        ("ben", "annotator", 404),
        ("vera", "viewer", 404),
    ):
        assert here.client(name, role).get(f"/studies/{study.id}{part}").status_code == status


def test_annotators_are_not_told_how_they_are_checked(here: Site) -> None:
    study = here.study("pairwise", gold_rate=0.17, guidelines="Be *kind*.")
    ann = here.client("ann", "annotator").get(f"/studies/{study.id}").text
    assert "0.17" not in ann
    assert "Be <em>kind</em>." in ann
    assert "0.17" in here.client().get(f"/studies/{study.id}").text


@pytest.mark.parametrize("act", ["exclude", "include"])
def test_a_manager_leaves_out_no_owner(here: Site, act: str) -> None:
    study, owner = here.study("pairwise"), here.user()
    mia = here.client("mia", "manager")
    address = f"/studies/{study.id}/progress/{act}"
    assert mia.post(f"{address}/{owner.id}").status_code == 403
    ann = here.user("ann", "annotator")
    assert mia.post(f"{address}/{ann.id}").status_code == 303


def test_a_lease_outlives_no_role(here: Site) -> None:
    study = here.study("pairwise", 1, overlap=2)
    for best, name in enumerate(("ann", "ben")):
        judge(here, study.id, name, best)
    mia = here.user("mia", "manager")
    task = leases.next_task(here.store, study.id, mia.id, adjudicate=True)
    assert task is not None
    people.set_role(here.store, mia.id, "annotator")
    form = {"lease": str(task.lease_id), "key": task.key, "act": "judge", "verdict": "first"}
    here.client("mia").post(f"/studies/{study.id}/judge", data=form)
    assert not any(one.final for one in here.judgements())


def test_a_place_cannot_be_blamed_where_nothing_is_shuffled() -> None:
    said = place_words(proportion(90, 100), 100, shuffled=False)
    assert said is not None
    assert "does not shuffle" in said.words
    said = place_words(proportion(90, 100), 100)
    assert said is not None
    assert said.words == "The answer shown first is favoured."


@pytest.mark.parametrize("page_of", ["/", "/studies/{}/export"])
def test_a_command_to_copy_runs_nothing_that_a_name_says(here: Site, page_of: str) -> None:
    name = "Tom's $(touch x) study"
    study = studies.create(here.store, name, "pairwise", StudyConfig())
    items = [NewItem([{"role": "user", "content": "Hi"}], ("a", "b"))]
    studies.add_items(here.store, study.id, items)
    judge(here, study.id, "ann", 0)
    text = html.unescape(here.client().get(page_of.format(study.id)).text)
    said = next(line for line in text.splitlines() if "data=" in line and "#Tom" in line)
    command = said[said.index("data=") :].split("<")[0]
    assert shlex.split(command) == [f"data=accord.db#{name}"]
