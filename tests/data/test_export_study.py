"""Exports of studies: what people clicked comes back from every form that can hold it."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from accord import cli
from accord.data.export_study import STUDY_FORMS
from accord.data.offers import read_offers
from accord.data.sources import read
from accord.records import Comparison, Demonstration, Rating
from accord.store.judgements import people, resolve, studies
from accord.store.judgements.forms import NewItem, StudyConfig
from accord.store.judgements.opening import Store, open_store
from accord.store.judgements.resolve import Filters
from people_fakes import judge_all, someone

POST = "SUBREDDIT: r/a\nTITLE: Tea\nPOST: I drank tea.\nIt was hot.\nTL;DR:"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(tmp_path / "a.db")
    yield made
    made.close()


def ask_about(store: Store, kind: Any, size: int, talks: list[Any], **settings: Any) -> int:
    verdicts = ("tie", "both_bad", "strength")
    cfg = StudyConfig(overlap=2, verdicts=verdicts, axes=("helpful", "honest"), **settings)
    made = studies.create(store, "s", kind, cfg)
    items = [
        NewItem(
            talk,
            tuple(f"answer {'x' * (1 + (n + k) % size)} to {n}" for k in range(size)),
            models=tuple(f"m{k}" for k in range(size)),
        )
        for n, talk in enumerate(talks)
    ]
    assert not studies.add_items(store, made.id, items).refused
    return made.id


def judge(store: Store, study: int, **more: Any) -> None:
    judge_all(store, study, someone(store, "ada"), len, reason="it is longer", **more)
    judge_all(store, study, someone(store, "ben"), lambda text: len(text) - 9, **more)


def export(tmp_path: Path, to: str, *words: str, out: str = "out.jsonl") -> Path:
    path = tmp_path / out
    given = ["data", "export", f"{tmp_path / 'a.db'}#s", str(path), f"to={to}", *words]
    done = CliRunner().invoke(cli.app, given)
    assert done.exit_code == 0, done.output
    return path


SINGLE = [[{"role": "user", "content": f"q{n}"}] for n in range(4)]
TALK = [
    {"role": "user", "content": "q"},
    {"role": "assistant", "content": "a"},
    {"role": "user", "content": "and?"},
]


def same(found: Any, meant: list[Comparison], *, why: bool = False) -> None:
    """The same judgements, whoever is named and in whatever order the answers stand."""

    def told(one: Comparison) -> Any:
        order = sorted(range(len(one.responses)), key=lambda i: one.responses[i])
        said = tuple((one.responses[i], one.ranks[i]) for i in order)
        return one.prompt, said, one.why if why else ""

    assert Counter(map(told, found)) == Counter(map(told, meant))


PAIRWISE = {
    "helpsteer3": True,
    "lmarena": False,
    "argilla": False,
    "label_studio": False,
}


@pytest.mark.parametrize("to", PAIRWISE)
def test_votes_on_pairs_come_back(to: str, store: Store, tmp_path: Path) -> None:
    talks = SINGLE if to == "argilla" else [*SINGLE, TALK]
    study = ask_about(store, "pairwise", 2, talks)
    judge(store, study, strength=2)
    meant = resolve.records(store, study, Filters(labels="every")).comparisons
    assert len(meant) == 2 * len(talks)
    found = read(export(tmp_path, to), "comparisons").records
    same(found, meant, why=PAIRWISE[to])
    if to == "helpsteer3":
        assert {one.strength for one in found} == {2.0}
    elif to != "argilla":
        assert {one.judge for one in found} == {one.judge for one in meant}


def test_posts_to_be_summarised_come_back(store: Store, tmp_path: Path) -> None:
    study = ask_about(store, "pairwise", 2, [[{"role": "user", "content": POST}]])
    judge(store, study)
    meant = resolve.records(store, study, Filters(labels="every")).comparisons
    path = export(tmp_path, "tldr")
    same(read(path, "comparisons").records, meant)
    row = json.loads(path.read_text().splitlines()[0])
    assert {one["policy"] for one in row["summaries"]} == {"m0", "m1"}


@pytest.mark.parametrize("to", ["oasst", "argilla", "distilabel"])
def test_rankings_come_back(to: str, store: Store, tmp_path: Path) -> None:
    study = ask_about(store, "rank", 3, [*SINGLE, *([TALK] if to == "oasst" else [])])
    judge(store, study)
    labels: Any = "every" if to == "argilla" else "majority"
    meant = resolve.records(store, study, Filters(labels=labels)).comparisons
    same(read(export(tmp_path, to), "comparisons").records, meant)


@pytest.mark.parametrize("to", ["ultrafeedback", "distilabel"])
def test_ratings_come_back_as_their_order(to: str, store: Store, tmp_path: Path) -> None:
    study = ask_about(store, "rate", 2, SINGLE)
    judge(store, study)
    meant = resolve.records(store, study, Filters()).comparisons
    path = export(tmp_path, to)
    same(read(path, "comparisons").records, meant)
    row = json.loads(path.read_text().splitlines()[0])
    assert {*row.get("models", row.get("generation_models"))} == {"m0", "m1"}


@pytest.mark.parametrize(
    "to", ["accord", "trl", "trl_explicit", "trl_implicit", "trl_standard",
           "ultrafeedback_binarized", "hh_transcripts"],
)  # fmt: skip
def test_records_come_back(to: str, store: Store, tmp_path: Path) -> None:
    study = ask_about(store, "pairwise", 2, SINGLE)
    judge(store, study)
    meant = resolve.records(store, study, Filters()).comparisons
    same(read(export(tmp_path, to), "comparisons").records, meant)
    same(read(export(tmp_path, to, out="b.csv"), "comparisons").records, meant)


def test_single_answers_come_back(store: Store, tmp_path: Path) -> None:
    study = ask_about(store, "rate", 2, SINGLE)
    judge_all(store, study, someone(store, "ada"), lambda text: len(text) - 13)
    meant = resolve.records(store, study, Filters()).ratings

    def told(few: Any) -> Any:
        return [(one.prompt, one.response, one.good) for one in few if isinstance(one, Rating)]

    for to in ("accord", "trl", "trl_unpaired"):
        found = read(export(tmp_path, to, "overwrite=true"), "ratings").records
        assert told(found) == told(meant)
        assert {one.good for one in found} == {True, False}


def test_rewritings_come_back(store: Store, tmp_path: Path) -> None:
    study = ask_about(store, "rewrite", 1, SINGLE)
    judge(store, study)
    meant = resolve.records(store, study, Filters()).demonstrations
    for to in ("accord", "trl", "trl_messages", "trl_completion"):
        found = read(export(tmp_path, to, "overwrite=true"), "demonstrations").records
        assert len(found) == 8
        assert all(isinstance(one, Demonstration) for one in found)
        assert [(o.prompt, o.response) for o in found] == [(o.prompt, o.response) for o in meant]


def test_answers_with_their_models_come_back(store: Store, tmp_path: Path) -> None:
    study = ask_about(store, "pairwise", 2, SINGLE)
    judge(store, study)
    found = read_offers(export(tmp_path, "tulu_completions"))
    assert {one.models for one in found.rows} == {("m0", "m1")}
    assert [len(one.texts) for one in found.rows] == [2] * 4


def test_both_bad_ties_and_the_whole_study(store: Store, tmp_path: Path) -> None:
    study = ask_about(store, "pairwise", 2, SINGLE)
    judge_all(store, study, someone(store, "ada"), len, most=2)
    judge_all(store, study, someone(store, "ben"), lambda text: 0.0, ranks=None, both_bad=True)
    rows = [json.loads(line) for line in export(tmp_path, "lmarena").read_text().splitlines()]
    assert Counter(row["winner"] for row in rows)["tie (bothbad)"] == 4
    lines = export(tmp_path, "study", out="whole.jsonl").read_text().splitlines()
    whole = [json.loads(line) for line in lines]
    assert {one["id"] for one in whole} <= {f"item-{n}" for n in range(1, 5)}
    assert all(v["shown"] in ([0, 1], [1, 0]) for one in whole for v in one["verdicts"])


def test_card_and_manifest_lie_beside_and_name_nobody(store: Store, tmp_path: Path) -> None:
    study = ask_about(store, "pairwise", 2, SINGLE, guidelines="Be brief.")
    people.add(store, "ada@example.org", "annotator", email="ada@example.org")
    judge_all(store, study, someone(store, "ada@example.org"), len)
    for to in STUDY_FORMS:
        if to in ("ultrafeedback", "tldr"):
            continue
        path = export(tmp_path, to, out=f"{to}.jsonl")
        card = (tmp_path / f"{to}.card.md").read_text()
        manifest = json.loads((tmp_path / f"{to}.manifest.json").read_text())
        assert "Be brief." in card
        assert manifest["rows"] == len(path.read_text().splitlines())
        assert manifest["filters"]["ties"] == "keep"
        assert manifest["form"] == to
        for text in (path.read_text(), card, json.dumps(manifest)):
            assert "example.org" not in text
        noted = resolve.exports(store)[0]
        assert (noted.path, noted.digest) == (str(path), manifest["digest"])


MISTAKES = [
    (("x.jsonl", "o.jsonl", "to=lmarena"), "is of a study"),
    (("x.jsonl", "o.jsonl", "judged.agreement=0.5"), "STORE#STUDY"),
    (("a.db#s", "o.jsonl", "to=lmarena", "kind=ratings"), "does not go with"),
    (("a.db#s", "o.jsonl", "to=lmarena", "judged.labels=soft"), "every vote as it was given"),
    (("a.db#s", "o.jsonl", "split=train"), "has neither"),
    (("a.db#t", "o.jsonl"), "no study 't'"),
    (("b.db#s", "o.jsonl"), "there is no store"),
    (("a.db#s", "o.jsonl"), "no comparisons"),
]


@pytest.mark.parametrize(("words", "says"), MISTAKES)
def test_a_mistake_is_one_sentence(
    words: tuple[str, ...], says: str, store: Store, tmp_path: Path, monkeypatch: Any
) -> None:
    ask_about(store, "pairwise", 2, SINGLE)
    monkeypatch.chdir(tmp_path)
    Path("x.jsonl").write_text('{"prompt": "Hi", "chosen": "a", "rejected": "b"}\n')
    done = CliRunner().invoke(cli.app, ["data", "export", *words])
    assert done.exit_code > 0
    assert says in done.output.replace("\n", " ")
    assert not Path("o.jsonl").exists()
