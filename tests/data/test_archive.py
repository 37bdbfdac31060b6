"""A study out of the store and into another one: all that was said, by whom, when, and no more."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from accord import cli
from accord.data import dossier
from accord.store.judgements import acts, people, resolve, studies
from accord.store.judgements.acts import Opinion
from accord.store.judgements.forms import NewItem, StudyConfig
from accord.store.judgements.opening import open_store
from accord.store.judgements.resolve import Filters
from people_fakes import judge_all, someone


def call(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, ["data", *map(str, words)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output.replace("\n", " ")


def made(folder: Path, kind: Any, **config: Any) -> None:
    """A study that two people and a model have judged."""
    store = open_store(folder / "a.db")
    study = studies.create(store, "s", kind, StudyConfig(overlap=2, **config))
    size = {"rank": 3, "rewrite": 1}.get(kind, 2)
    texts = ("short", "a longer one", "the longest of all of them")[:size]
    items = [
        NewItem([{"role": "user", "content": f"q{i}"}], texts, ("m", "n", "o")[:size])
        for i in range(3)
    ]
    studies.add_items(store, study.id, items)
    if kind == "pairwise":
        ai = people.add(store, "robot", "annotator", kind="ai")
        acts.put_ai(store, study.id, ai.id, 1, Opinion(soft=0.25, reason="it is longer"))
    judge_all(store, study.id, someone(store, "ada"), len)
    judge_all(store, study.id, someone(store, "ben"), lambda text: 99 - len(text))
    store.close()


def held(path: Path) -> list[Any]:
    """All that a store's first study holds, without numbers and pseudonyms of its own."""
    store = open_store(path)
    found = []
    for case in dossier.cases(store, 1):
        said = [
            (v.ai, v.excluded, v.ranks, v.ratings, v.rewrite, v.soft, v.reason, v.marks, v.shown,
             v.at, v.both_bad, v.strength)
            for v in case.verdicts
        ]  # fmt: skip
        texts = [(one.text, one.model) for one in case.answers]
        found.append((case.messages, texts, case.gold, sorted(said, key=repr)))
    store.close()
    return sorted(found, key=repr)


@pytest.mark.parametrize(
    ("kind", "config"),
    [("pairwise", {}), ("rank", {}), ("rate", {"axes": ("kind", "true"), "scale": 5}),
     ("rewrite", {})],
)  # fmt: skip
def test_a_study_goes_out_and_comes_in_whole(tmp_path: Path, kind: str, config: Any) -> None:
    made(tmp_path, kind, **config)
    out = tmp_path / "out.jsonl"
    code, said = call("export", f"{tmp_path}/a.db#s", out, "to=study", *ALL)
    assert code == 0, said
    where = f"{tmp_path}/b.db#copy"
    code, said = call("import", out, where)
    assert code == 0, said
    assert "a whole study" in said
    assert held(tmp_path / "b.db") == held(tmp_path / "a.db")
    store = open_store(tmp_path / "b.db")
    study = studies.study(store, "copy")
    assert study.kind == kind
    assert studies.config_of(study) == StudyConfig(overlap=2, **config)
    theirs = resolve.records(store, study.id, Filters(labels="every", ties="keep"))
    store.close()
    old = open_store(tmp_path / "a.db")
    mine = resolve.records(old, 1, Filters(labels="every", ties="keep"))
    old.close()
    assert len(theirs.comparisons) == len(mine.comparisons)
    code, said = call("import", out, where)
    assert "0 judgements" in said
    assert "0 new items" in said
    assert held(tmp_path / "b.db") == held(tmp_path / "a.db"), "nothing is doubled"


ALL = ("judged.ai=keep",)


def test_without_its_manifest_the_kind_is_told_from_what_was_said(tmp_path: Path) -> None:
    made(tmp_path, "rate", axes=("kind", "true"), scale=5)
    out = tmp_path / "out.jsonl"
    call("export", f"{tmp_path}/a.db#s", out, "to=study")
    (tmp_path / "out.manifest.json").unlink()
    code, said = call("import", out, f"{tmp_path}/b.db#copy")
    assert code == 0, said
    store = open_store(tmp_path / "b.db")
    study = studies.study(store, "copy")
    store.close()
    assert study.kind == "rate"
    assert study.config["axes"] == ["kind", "true"]


def test_bad_rows_are_counted_and_too_many_refused(tmp_path: Path) -> None:
    made(tmp_path, "pairwise")
    out = tmp_path / "out.jsonl"
    call("export", f"{tmp_path}/a.db#s", out, "to=study")
    lines = out.read_text().splitlines()
    row = json.loads(lines[1])
    del row["verdicts"][0]["at"]
    out.write_text("\n".join([lines[0], json.dumps(row), "{oops", *lines[2:]]) + "\n")
    code, said = call("import", out, f"{tmp_path}/b.db#copy")
    assert code == 3
    assert "out.jsonl:3" in said
    assert not (tmp_path / "b.db").exists()
    code, said = call("import", out, f"{tmp_path}/b.db#copy", "limit=0.9")
    assert code == 0, said
    code, said = call("import", out, f"{tmp_path}/b.db#copy", "limit=0.9", "kind=ratings")
    assert code == 2
    assert "leave kind, columns, split, images and facts out" in said


def test_who_was_left_out_stays_left_out(tmp_path: Path) -> None:
    made(tmp_path, "pairwise")
    out = tmp_path / "out.jsonl"
    call("export", f"{tmp_path}/a.db#s", out, "to=study")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    who = rows[0]["verdicts"][0]["by"]
    for row in rows:
        for one in row["verdicts"]:
            one["excluded"] = one["by"] == who
    out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert call("import", out, f"{tmp_path}/b.db#copy")[0] == 0
    store = open_store(tmp_path / "b.db")
    found = resolve.records(store, 1, Filters(labels="every", ties="keep")).comparisons
    store.close()
    assert len(found) == 3, "of two people one counts"


def test_it_does_not_go_into_a_study_of_another_kind(tmp_path: Path) -> None:
    made(tmp_path, "pairwise")
    out = tmp_path / "out.jsonl"
    call("export", f"{tmp_path}/a.db#s", out, "to=study")
    store = open_store(tmp_path / "b.db")
    studies.create(store, "copy", "rate", StudyConfig())
    store.close()
    code, said = call("import", out, f"{tmp_path}/b.db#copy")
    assert code == 2
    assert "of kind rate" in said
