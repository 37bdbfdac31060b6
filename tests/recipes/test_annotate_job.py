"""`accord judge annotate`: a marked annotator, whose labels count only where they are asked for."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

import seeing
from accord.config import read_each
from accord.data.dossier import cases
from accord.data.judged import take
from accord.data.pictures import data_url
from accord.errors import BadData, BadSettings
from accord.recipes.annotate_job import Annotated, AnnotateJob, run_annotate
from accord.recipes.job import Desk
from accord.recipes.label_job import run_label
from accord.store.judgements import people, studies
from accord.store.judgements.forms import NewItem, StudyConfig
from accord.store.judgements.opening import open_store
from accord.store.judgements.resolve import Filters
from accord.verbs import VERBS
from llm_fakes import Server, served


@pytest.fixture
def where(tmp_path: Path) -> str:
    store = open_store(tmp_path / "a.db")
    made = studies.create(store, "s", "pairwise", StudyConfig())
    asked = [{"role": "user", "content": "Which sea?"}]
    more = [
        NewItem(asked, (f"The Baltic, number {i}, of course.", f"No {i}."), ("a", "b"))
        for i in range(3)
    ]
    studies.add_items(store, made.id, more)
    people.add(store, "Ada", "owner", password="a long password")
    store.close()
    return f"{tmp_path}/a.db#s"


def likes_long(server: Server) -> None:
    def top(body: dict[str, Any]) -> dict[str, float]:
        text = str(body["messages"][0]["content"])
        first = text.split("=== Answer A ===\n")[1].split("\n\n=== Answer B ===")[0]
        p = 0.9 if "Baltic" in first else 0.3  # and a little fond of the first place
        return {"A": math.log(p), "B": math.log(1 - p)}

    server.top = top


def call(*words: str, told: list[str] | None = None) -> Annotated:
    (job,) = read_each((AnnotateJob,), None, words)
    assert isinstance(job, AnnotateJob)
    return run_annotate(Desk((), ([] if told is None else told).append), job)


def test_its_labels_are_soft_marked_and_asked_for_once(where: str, tmp_path: Path) -> None:
    with served() as server:
        likes_long(server)
        words = (f"study={where}", f"judge={server.url}", "name=fake judge", f"out={tmp_path}/o")
        assert (call(*words).new, call(*words).known) == (3, 3)
        assert len(server.asked) == 6
    quiet = lambda _: None  # noqa: E731
    kept = take(tmp_path / "x", where, "comparisons", Filters(ai="only", labels="soft"), quiet)
    assert [one.p_first for one in kept.records] == pytest.approx([0.8] * 3)
    assert all(one.judge.startswith("ai-") for one in kept.records)
    with pytest.raises(BadData):  # of people there is nothing
        take(tmp_path / "y", where, "comparisons", Filters(), quiet)


def test_a_person_keeps_their_name_and_another_kind_is_refused(where: str, tmp_path: Path) -> None:
    with served() as server:
        words = (f"study={where}", f"judge={server.url}", f"out={tmp_path}/o")
        with pytest.raises(BadSettings, match="'ada' is a person"):
            call(*words, "name=ada")
        store = open_store(where.partition("#")[0])
        studies.create(store, "r", "rate", StudyConfig(axes=("helpful",)))
        store.close()
        with pytest.raises(BadSettings, match="of kind rate"):
            call(f"study={where[:-1]}r", *words[1:])


def test_items_without_a_verdict_are_counted(where: str, tmp_path: Path) -> None:
    with served() as server:
        likes_long(server)
        good = server.top
        server.top = lambda body: (
            {"Sorry": -0.1} if "No 1." in str(body["messages"]) else good(body)
        )
        words = (f"study={where}", f"judge={server.url}", f"out={tmp_path}/o")
        told: list[str] = []
        with pytest.raises(BadData, match="not among the 1 likeliest"):
            call(*words)
        assert call(*words, "limit=0.5", told=told).known == 2
        assert any("not among the 1 likeliest" in line for line in told)


@pytest.mark.parametrize("tells", [True, False])
def test_the_judge_sees_the_pictures_and_the_facts_that_the_study_shows(
    tmp_path: Path, tells: bool
) -> None:
    seeing.picture(tmp_path / "red.png")
    row = {"prompt": "Colour?", "image": "red.png", "facts": ["it is red"]}
    ready = tmp_path / "ready.jsonl"
    ready.write_text(json.dumps({**row, "responses": ["The Baltic.", "No."]}))
    words = [f"data={ready}", f"study={tmp_path}/p.db#s", "site=false", f"out={tmp_path}/l"]
    words.append(f"view.facts={str(tells).lower()}")
    run_label(Desk((), str), *read_each(VERBS["label"].classes(), None, words))
    asked = []
    with served() as server:

        def top(body: dict[str, Any]) -> dict[str, float]:
            asked.append(body["messages"][0]["content"])
            return {"A": math.log(0.5), "B": math.log(0.5)}

        server.top = top
        made = call(f"study={tmp_path}/p.db#s", f"judge={server.url}", f"out={tmp_path}/o")
    assert made.new == 1
    for content in asked:
        shown, said = content
        assert shown["image_url"]["url"] == data_url(str(tmp_path / "red.png"))
        known = said["text"].startswith("=== What is known to be so ===\n- it is red\n\nHere is a")
        assert (known, "it is red" in said["text"]) == (tells, tells)
    store = open_store(tmp_path / "p.db")
    (case,) = cases(store, 1)
    store.close()
    assert case.verdicts[0].facts is tells
