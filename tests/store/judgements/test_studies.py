"""Studies, their settings, their items, and which are asked first."""

import re
from typing import Any

import pytest
from sqlalchemy import select

from accord.errors import BadSettings
from accord.records import Image, Message, Text, plain
from accord.store.judgements import acts, forms, leases, people, studies
from accord.store.judgements.forms import Kind, NewItem, NotThere, StudyConfig, Talk
from accord.store.judgements.opening import Store
from accord.store.judgements.tables import Item, Prompt, Response
from judgement_fakes import drain, held, items, team

TALK = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("kind", "config", "says"),
    [
        ("pairwise", {"axes": ("a", "a")}, "not all different"),
        ("rate", {"axes": ()}, "at least one axis"),
        ("chat", {"talk": Talk(models=("a", "b", "c"))}, "at most two models"),
        ("sing", {}, "no kind of study"),
    ],
)
def test_a_study_that_contradicts_itself_is_not_made(
    lite: Store, kind: Any, config: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadSettings, match=says):
        studies.create(lite, "x", kind, StudyConfig(**config))
    assert studies.studies(lite) == []


def test_a_study_is_found_by_name_and_number(store: Store) -> None:
    made = studies.create(store, " my  study ", "rank", StudyConfig(scale=5))
    assert studies.study(store, "my study").id == studies.study(store, made.id).id == made.id
    assert studies.config_of(made) == StudyConfig(scale=5)
    with pytest.raises(BadSettings, match="already"):
        studies.create(store, "my study", "rank", StudyConfig())
    with pytest.raises(BadSettings, match="open, paused or closed"):
        studies.set_status(store, made.id, "done")
    with pytest.raises(NotThere, match="'other'"):
        studies.study(store, "other")


def test_a_revision_is_logged_and_does_not_mix_scales(store: Store) -> None:
    study = held(store, "rate", axes=("good",))
    studies.revise(store, study.id, StudyConfig(axes=("good",), scale=5, gold_rate=0.0))
    (one,) = team(store, 1)
    task = leases.next_task(store, study.id, one.id)
    assert task is not None
    told = forms.Act(task.lease_id, task.key, ratings={"good": (1, 5)})
    acts.submit(store, one.id, told)
    with pytest.raises(BadSettings, match="from 1 to 5 in this study"):
        studies.revise(store, study.id, StudyConfig(axes=("good",), scale=7))
    log = people.events(store, what="study changed")
    assert [one.about["changed"] for one in log] == [{"scale": 5}]


def test_items_are_added_once(store: Store) -> None:
    study = held(store, count=3)
    added = studies.add_items(store, study.id, items(5))
    assert (added.new, added.known, added.refused) == (2, 3, [])
    other = studies.create(store, "other", "pairwise", StudyConfig())
    assert studies.add_items(store, other.id, items(5)).new == 5
    with store.read() as session:
        assert len([*session.scalars(select(Prompt))]) == 5, "a prompt is kept once"
        assert len([*session.scalars(select(Response))]) == 10
        assert len([*session.scalars(select(Item))]) == 10


def test_many_items_go_in_batches(lite: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "BATCH", 3)
    study = studies.create(lite, "s", "pairwise", StudyConfig())
    assert studies.add_items(lite, study.id, (one for one in items(8))).new == 8
    assert studies.studies(lite)[0].open == 8


@pytest.mark.parametrize(
    ("kind", "item", "says"),
    [
        ("pairwise", NewItem(TALK, ("a",)), "has 1 answers; .* about 2$"),
        ("rank", NewItem(TALK, ("a",)), "about 2 to 26"),
        ("rate", NewItem(TALK, ()), "about 1 to 26"),
        ("pairwise", NewItem(TALK, ("a", "a")), "all the same"),
        ("pairwise", NewItem([], ("a", "b")), "no messages"),
        ("pairwise", NewItem(["hi"], ("a", "b")), "role, content"),
        ("pairwise", NewItem([{"role": "boss", "content": "x"}], ("a", "b")), "role, content"),
        ("pairwise", NewItem([{"role": "user", "content": 3}], ("a", "b")), "content is text"),
        (
            "pairwise",
            NewItem([{"role": "user", "content": [{"type": "image"}]}], ("a", "b")),
            "content is text",
        ),
        (
            "pairwise",
            NewItem([*TALK, {"role": "assistant", "content": "x"}], ("a", "b")),
            "nothing to answer",
        ),
        ("pairwise", NewItem(TALK, ("a", "b"), models=("m",)), "1 models for 2"),
        ("pairwise", NewItem(TALK, ("a", "b"), rewards=(1.0,)), "1 rewards for 2"),
        ("pairwise", NewItem(TALK, ("a", "b"), gold={"ranks": [0]}), "gold is"),
        ("rate", NewItem(TALK, ("a",), gold={"ranks": [0]}), "gold of a rating"),
        ("rate", NewItem(TALK, ("a",), gold={"ratings": {"x": [1, 2]}}), "rate each"),
        ("rewrite", NewItem(TALK, (), gold={"ranks": []}), "no right answer"),
    ],
)
def test_an_item_that_cannot_be_asked_is_refused(
    lite: Store, kind: Kind, item: NewItem, says: str
) -> None:
    study = studies.create(lite, "s", kind, StudyConfig())
    added = studies.add_items(lite, study.id, [item, *items(1)])
    assert added.new == 1
    (said,) = added.refused
    assert said.startswith("item 1: ")
    assert re.search(says, said), said


def test_messages_are_records_and_back() -> None:
    talk = (
        Message.of("system", "be kind"),
        Message("user", (Text("what is"), Image("a.png"))),
        Message("user", (Text("a"), Text("b"))),
    )
    stored = plain.messages(talk)
    assert stored[0] == {"role": "system", "content": "be kind"}
    assert forms.conversation(stored) == talk


@pytest.mark.parametrize("kind", forms.KINDS)
def test_a_preview_shows_what_is_asked(kind: Kind) -> None:
    task = studies.preview(StudyConfig(blind=False), kind)
    assert len(task.answers) == {"rank": 3, "rewrite": 1}.get(kind, 2)
    assert all(one.model for one in task.answers)
    assert all(not one.model for one in studies.preview(StudyConfig(), kind).answers)
    with pytest.raises(BadSettings):
        studies.preview(StudyConfig(axes=("a", "a")), kind)


def test_studies_are_listed_for_whom_they_are(store: Store) -> None:
    one, two = team(store, 2)
    (boss,) = team(store, 1, "manager")
    mine = held(store, count=2, everyone=False)
    studies.set_members(store, mine.id, [one.id], None)
    drain(store, one, mine)
    assert [(row.judged, row.mine) for row in studies.studies(store, one)] == [(2, 2)]
    assert studies.studies(store, two) == []
    assert [(row.judged, row.mine) for row in studies.studies(store, boss)] == [(2, 0)]


# --- which first ---


def test_the_uncertain_come_first_with_a_random_share(store: Store) -> None:
    (one,) = team(store, 1)
    study = held(store, count=40)
    scores = {item: float(item) for item in range(1, 41)}
    asked = studies.prioritise(store, study.id, scores, random_share=0.2, budget=20, seed=3)
    assert asked == 20
    with store.read() as session:
        chances = {item.id: item.propensity for item in session.scalars(select(Item))}
    leaders = {*range(25, 41)}
    lots = {item for item, chance in chances.items() if chance is not None} - leaders
    assert len(lots) == 4
    assert {chances[item] for item in leaders} == {1.0}
    assert {chances[item] for item in lots} == {4 / 24}
    order = drain(store, one, study)
    assert {*order} == leaders | lots
    places = [order.index(item) for item in lots]
    assert min(places) < 5, "the lots are spread among the leaders"
    assert max(places) > 14
    assert [item for item in order if item in leaders] == [*range(40, 24, -1)]
    row = studies.studies(store)[0]
    assert (row.open, row.judged) == (0, 40)
    studies.prioritise(store, study.id, scores)
    assert studies.studies(store)[0].open == 20, "those outside are asked now"


def test_weighing_by_propensity_is_right_on_average(lite: Store) -> None:
    study = held(lite, count=12)
    scores = {item: float(item % 5) for item in range(1, 13)}
    worth = {item: float(item) for item in scores}
    totals = []
    for seed in range(60):
        studies.prioritise(lite, study.id, scores, random_share=0.5, budget=6, seed=seed)
        with lite.read() as session:
            rows = [*session.scalars(select(Item).where(Item.propensity.is_not(None)))]
        totals.append(sum(worth[row.id] / (row.propensity or 1) for row in rows))
    assert sum(totals) / 60 == pytest.approx(sum(worth.values()), rel=0.1)


def test_bad_shares_and_foreign_items_are_refused(lite: Store) -> None:
    study = held(lite, count=2)
    with pytest.raises(BadSettings, match="a share within"):
        studies.prioritise(lite, study.id, {1: 0.0}, random_share=1.5)
    with pytest.raises(NotThere, match="item 7"):
        studies.prioritise(lite, study.id, {7: 0.0})
