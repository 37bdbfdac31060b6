"""Judgements out of the store: what was clicked is learned from, and whose it was is known."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accord.data import judged
from accord.data.studies import is_study, parts
from accord.errors import BadData, BadSettings, RunMismatch
from accord.records import ask
from accord.store.artifact import open_artifact
from accord.store.judgements import people, resolve, studies
from accord.store.judgements.forms import NewItem, StudyConfig
from accord.store.judgements.opening import Store, open_store
from accord.store.judgements.resolve import Filters
from people_fakes import judge_all, someone

ASKED = [{"role": "user", "content": "Which?"}]


def quiet(said: str) -> None:
    """Says nothing."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(tmp_path / "a.db")
    yield made
    made.close()


def study_of(store: Store, kind: Any = "pairwise", count: int = 6, **settings: Any) -> int:
    made = studies.create(store, f"my {kind}", kind, StudyConfig(**settings))
    size = {"rewrite": 1, "rank": 3}.get(kind, 2)
    studies.add_items(
        store,
        made.id,
        [
            NewItem(
                [{"role": "user", "content": f"q{n}"}],
                tuple("x" * (1 + k) + str(n) for k in range(size)),
                models=tuple(f"m{k}" for k in range(size)),
                source=f"row {n}",
            )
            for n in range(count)
        ],
    )
    return made.id


def test_names_of_studies() -> None:
    assert is_study("a.db#my study")
    assert parts("a.db#my study") == ("a.db", "my study")
    assert parts("mine") == ("accord.db", "mine")
    assert parts(Path("postgresql://u@h/db#s")) == ("postgresql://u@h/db", "s")
    assert not is_study("a.jsonl")
    assert not is_study("a.db#")
    with pytest.raises(BadSettings, match="STORE#NAME"):
        parts("a.db#")


def test_what_was_clicked_is_sealed_and_whose_it_was(store: Store, tmp_path: Path) -> None:
    study = study_of(store, overlap=2, guidelines="Be *kind*.")
    for name in ("ada", "ben"):
        judge_all(store, study, someone(store, name), len)
    said: list[str] = []
    where = f"{tmp_path / 'a.db'}#my pairwise"
    read = judged.take(tmp_path / "run", where, "comparisons", Filters(), said.append)
    assert [one.responses[one.ranks.index(0)] for one in read.records] == [
        f"xx{n}" for n in range(6)
    ]
    assert [one.prompt for one in read.records] == [ask(f"q{n}") for n in range(6)]
    (made,) = judged.sealed(tmp_path / "run", where)
    (noted,) = resolve.exports(store)
    assert made.hashes["data"] == noted.digest
    assert noted.path == str(made.folder)
    told = json.loads((made.folder / "judgements.json").read_text())
    assert told["judgements"] == noted.judgements
    assert len(told["judgements"]) == 12
    names = {one.pseudonym for one in people.users(store)}
    assert set(told["annotators"]) == names
    assert sorted(i for ids in told["annotators"].values() for i in ids) == told["judgements"]
    card = (made.folder / "README.md").read_text()
    assert "6 comparisons of 12 judgements by 2 annotators" in card
    assert "Krippendorff's alpha 1.00" in card, "all said the same"
    assert "Be *kind*." in card
    assert re.search(r"\bada\b", card) is None


def test_what_a_run_began_with_it_goes_on_with(store: Store, tmp_path: Path) -> None:
    study, ada = study_of(store), someone(store, "ada")
    judge_all(store, study, ada, len, most=3)
    where = f"{tmp_path / 'a.db'}#my pairwise"
    first = judged.take(tmp_path / "run", where, "comparisons", Filters(), quiet)
    judge_all(store, study, ada, len)
    said: list[str] = []
    again = judged.take(tmp_path / "run", where, "comparisons", Filters(), said.append)
    assert list(again.records) == list(first.records)
    assert len(again.records) == 3
    assert "that this run began with" in said[0]
    fresh = judged.take(tmp_path / "new", where, "comparisons", Filters(), quiet)
    assert len(fresh.records) == 6
    with pytest.raises(RunMismatch, match="filters"):
        judged.take(tmp_path / "run", where, "comparisons", Filters(agreement=0.9), quiet)
    store.close()
    (tmp_path / "a.db").rename(tmp_path / "away.db")
    gone = judged.take(tmp_path / "run", where, "comparisons", Filters(), quiet)
    assert list(gone.records) == list(first.records), "the store is needed no more"


def test_filters_choose_and_what_is_left_out_is_told(store: Store, tmp_path: Path) -> None:
    study = study_of(store, overlap=3)
    for name, like in (("ada", len), ("ben", len), ("cleo", lambda text: -len(text))):
        judge_all(store, study, someone(store, name), like)
    where, said = f"{tmp_path / 'a.db'}#my pairwise", list[str]()
    soft = judged.take(tmp_path / "a", where, "comparisons", Filters(labels="soft"), quiet)
    assert {round(one.p_first, 3) for one in soft.records} == {round(1 / 3, 3)}
    every = judged.take(tmp_path / "b", where, "comparisons", Filters(labels="every"), quiet)
    assert len(every.records) == 18
    with pytest.raises(BadData, match=r"fewer than 0\.9 agree"):
        judged.take(tmp_path / "c", where, "comparisons", Filters(agreement=0.9), said.append)
    people.exclude(store, someone(store, "cleo"), None)
    judged.take(tmp_path / "d", where, "comparisons", Filters(agreement=0.9), said.append)
    assert "6 judgements of excluded annotators" in said[0]
    hashes = {
        open_artifact(tmp_path / name / "judged/comparisons").hashes["data"] for name in "abd"
    }
    assert len(hashes) == 3


def test_every_kind_of_study_serves(store: Store, tmp_path: Path) -> None:
    ada = someone(store, "ada")
    for kind in ("pairwise", "rank", "rate", "rewrite"):
        judge_all(store, study_of(store, kind), ada, lambda text: len(text) - 2)
    db = tmp_path / "a.db"

    def take(kind: str, records: Any) -> Any:
        out = tmp_path / f"{kind}-{records}"
        return judged.take(out, f"{db}#my {kind}", records, Filters(), quiet).records

    assert {len(one.responses) for one in take("rank", "comparisons")} == {3}
    assert {one.good for one in take("rate", "ratings")} == {True, False}
    rewritten = take("rewrite", "demonstrations")
    assert rewritten[0].response == "x0 (better)"
    assert rewritten[0].author not in ("human", "ada")
    assert [one.response for one in take("pairwise", "demonstrations")] == [
        f"xx{n}" for n in range(6)
    ]
    assert {one.good for one in take("pairwise", "ratings")} == {True, False}
    assert [one.messages for one in take("pairwise", "prompts")] == [ask(f"q{n}") for n in range(6)]
    with pytest.raises(BadData, match="no comparisons in study 'my rewrite'"):
        take("rewrite", "comparisons")


def test_prompts_of_one_source_are_all_kept(store: Store, tmp_path: Path) -> None:
    made = studies.create(store, "s", "pairwise", StudyConfig())
    items = [
        NewItem([{"role": "user", "content": f"q{n}"}], ("a", "b"), source="a run")
        for n in range(3)
    ]
    studies.add_items(store, made.id, items)
    found = judged.take(tmp_path, f"{tmp_path / 'a.db'}#s", "prompts", Filters(), quiet)
    assert len(found.records) == 3
    assert not found.tally.dropped


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="there is no store"):
        judged.take(tmp_path, f"{tmp_path / 'no.db'}#s", "comparisons", Filters(), quiet)
    assert not (tmp_path / "no.db").exists()
