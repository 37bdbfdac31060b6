"""`accord data import`: judgements from elsewhere become a study's, and come out as they were."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from accord import cli
from accord.data.sources import read, write
from accord.records import Comparison, Demonstration, Rating, ask
from accord.store.judgements import people, resolve, studies
from accord.store.judgements.forms import StudyConfig
from accord.store.judgements.opening import open_store
from accord.store.judgements.resolve import Filters
from people_fakes import judge_all, someone

PAIRS = [
    Comparison(ask("q"), ("a", "b"), (0, 1), judge="ada", strength=2.0, why="kind", id="1"),
    Comparison(ask("q"), ("b", "a"), (0, 1), judge="ben", id="2"),
    Comparison(ask("r"), ("c", "d"), (0, 0), judge="ada", id="3"),
]
RANKS = [Comparison(ask("q"), ("a", "b", "c"), (2, 0, 1), judge="ada", id="1")]
RATINGS = [Rating(ask("q"), "a", True, "ada", id="1"), Rating(ask("q"), "b", False, "ada", id="2")]
SHOWN = [Demonstration(ask("q"), "a", "ada", id="1"), Demonstration(ask("q"), "b", "ben", id="2")]


def call(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, ["data", *map(str, words)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output.replace("\n", " ")


def out_of(tmp_path: Path, kind: str) -> Any:
    store = open_store(tmp_path / "a.db")
    found = resolve.records(store, 1, Filters(labels="every", ties="keep"))
    store.close()
    return getattr(found, kind)


def told(one: Any) -> Any:
    """What a judgement says, whatever the order of its answers."""
    if isinstance(one, Comparison):
        return one.prompt, frozenset(zip(one.responses, one.ranks, strict=True)), one.why
    return one.prompt, one.response, getattr(one, "good", None)


@pytest.mark.parametrize(
    ("records", "kind", "study"),
    [
        (PAIRS, "comparisons", "pairwise"),
        (RANKS, "comparisons", "rank"),
        (RATINGS, "ratings", "rate"),
        (SHOWN, "demonstrations", "rewrite"),
    ],
)
def test_what_goes_in_comes_out(records: Any, kind: str, study: str, tmp_path: Path) -> None:
    write(tmp_path / "in.jsonl", records)
    where = f"{tmp_path / 'a.db'}#s"
    code, said = call("import", tmp_path / "in.jsonl", where)
    assert code == 0, said
    assert f"{len(records)} judgements by" in said
    assert f"({study})" in said
    found = out_of(tmp_path, kind)
    assert Counter(map(told, found)) == Counter(map(told, records))
    code, said = call("import", tmp_path / "in.jsonl", where)
    assert code == 0
    assert ": 0 judgements by" in said
    assert len(out_of(tmp_path, kind)) == len(records)


@pytest.mark.parametrize("to", ["helpsteer3", "lmarena", "label_studio", "argilla", "accord"])
def test_from_one_study_into_another(to: str, tmp_path: Path) -> None:
    write(tmp_path / "in.jsonl", PAIRS)
    assert call("import", tmp_path / "in.jsonl", f"{tmp_path / 'a.db'}#s")[0] == 0
    more = ("judged.labels=every", "judged.ties=keep") if to == "accord" else ()
    out = tmp_path / "votes.jsonl"
    code, said = call("export", f"{tmp_path / 'a.db'}#s", out, f"to={to}", *more)
    assert code == 0, said
    code, said = call("import", out, f"{tmp_path / 'b.db'}#s")
    assert code == 0, said
    store = open_store(tmp_path / "b.db")
    found = resolve.records(store, 1, Filters(labels="every", ties="keep")).comparisons
    meant = out_of(tmp_path, "comparisons")
    assert Counter(told(one)[:2] for one in found) == Counter(told(one)[:2] for one in meant)
    assert len(people.users(store)) == 2
    store.close()


def test_imported_judgements_stand_beside_clicks(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a.db")
    made = studies.create(store, "s", "pairwise", StudyConfig(overlap=2))
    write(tmp_path / "in.jsonl", PAIRS[:1])
    assert call("import", tmp_path / "in.jsonl", f"{tmp_path / 'a.db'}#s")[0] == 0
    judge_all(store, made.id, someone(store, "cleo"), lambda text: float(text == "b"))
    soft = resolve.records(store, made.id, Filters(labels="soft", ties="half")).comparisons
    assert [one.p_first for one in soft] == [0.5]
    assert all(one.closed for one in people.users(store) if one.name.startswith("imported: "))
    store.close()


MISTAKES = [
    ([{"prompt": "a"}], "nothing is said of any answer"),
    ([{"prompt": "a", "response": "b", "good": True}], "is of kind pairwise"),
]


@pytest.mark.parametrize(("rows", "says"), MISTAKES)
def test_a_mistake_is_one_sentence(rows: Any, says: str, tmp_path: Path) -> None:
    from accord.data.writing import write_rows

    write(tmp_path / "in.jsonl", PAIRS)
    call("import", tmp_path / "in.jsonl", f"{tmp_path / 'a.db'}#s")
    write_rows(tmp_path / "x.jsonl", rows)
    code, said = call("import", tmp_path / "x.jsonl", f"{tmp_path / 'a.db'}#s")
    assert code > 0
    assert says in said
    assert len(read(tmp_path / "in.jsonl").records) == 3
