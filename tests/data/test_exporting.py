"""`accord data export`: from any shape and format to any other, and nothing is lost in silence."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from accord import cli
from accord.data.export import FORMS
from accord.data.export_study import STUDY_FORMS
from accord.data.exporting import TRL, Export
from accord.data.sources import read, write
from accord.records import Comparison, Demonstration, Image, Message, Prompt, Rating, Text, ask

TALK = (*ask("Hi, 'you'"), Message.of("assistant", "Ho"), *ask('é"\n,;'))
RECORDS: dict[str, list[Any]] = {
    "comparisons": [
        Comparison(TALK, ("a\n\nb", "b"), (0, 1), strength=2.5, judge="ada", why="kind", id="1"),
        Comparison.pair(ask("x"), "a", "b", strength=1.0, id="2"),
    ],
    "ratings": [
        Rating(TALK, " a", True, judge="ada", why="kind", id="1"),
        Rating(ask("b"), "c", False, id="2"),
    ],
    "demonstrations": [
        Demonstration((Message.of("system", "Be brief."), *TALK), "a ", "ada", id="1"),
        Demonstration(ask("b"), "c", id="2"),
    ],
    "prompts": [Prompt(TALK, "1"), Prompt(ask("b"), "2")],
}
SINGLE = "trl_standard"
"""has room for one question of the user's alone"""
ENDINGS = ["jsonl", "jsonl.gz", "json", "csv", "tsv.gz", "parquet"]


def call(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, ["data", "export", *map(str, words)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout + done.stderr


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("to", ["accord", "trl", *(form for form in FORMS if form != SINGLE)])
def test_all_comes_back(to: str, ending: str, tmp_path: Path) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    for kind in [FORMS[to].kind] if to in FORMS else RECORDS:
        start, there = tmp_path / f"{kind}.jsonl", tmp_path / f"{kind}-out.{ending}"
        write(start, RECORDS[kind])
        code, said = call(start, there, f"to={to}")
        assert code == 0, said
        assert f"{start}: 2 {kind} (" in said
        assert f"{there}: 2 rows ({TRL[kind] if to == 'trl' else to})" in said  # type: ignore[index]
        assert read(there).records == RECORDS[kind]
        back = tmp_path / "back.jsonl"
        assert call(there, back, "overwrite=true")[0] == 0
        assert back.read_bytes() == start.read_bytes()


def test_every_form_can_be_asked_for() -> None:
    asked = Export.model_fields["to"].annotation.__args__  # type: ignore[union-attr]
    assert set(asked) == {"accord", "trl", *FORMS, *STUDY_FORMS}
    assert not {*FORMS} & {*STUDY_FORMS}
    assert {FORMS[form].kind for form in TRL.values()} == set(TRL)


def test_columns_and_the_kind_are_mapped(tmp_path: Path) -> None:
    start = tmp_path / "votes.csv"
    start.write_text("question;best;other\nHi;Yes;No\n")
    words = ["columns.prompt=question", "columns.chosen=best", "columns.rejected=other"]
    there = tmp_path / "sub" / "best.jsonl"
    code, said = call(start, there, *words, "kind=demonstrations")
    assert code == 0, said
    assert "1 demonstrations (TRL preference, explicit prompt: the best answers)" in said
    assert json.loads(there.read_text())["response"] == "Yes"
    assert call(start, tmp_path / "r.jsonl", *words, "to=trl_unpaired")[0] == 0
    assert len(read(tmp_path / "r.jsonl", "ratings").records) == 2


def test_a_split_is_picked(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"prompt": name}))
    assert call(tmp_path, tmp_path / "sub" / "a.json", "split=test")[0] == 0
    assert [one.messages for one in read(tmp_path / "sub" / "a.json").records] == [ask("test")]


PICTURE = (Message("user", (Image("a.jpg"), Text("What is it?"))),)
UNCARRIED = [
    ("hh_transcripts", Comparison.pair(PICTURE, "a", "b"), "pictures"),
    ("hh_transcripts", Comparison.pair(ask("x\n\nHuman: y"), "a", "b"), "text like a turn"),
    ("hh_transcripts", Comparison.pair(ask("x"), "a\n\nAssistant: y", "b"), "text like a turn"),
    ("hh_transcripts", Comparison.pair((*ask("x"), *ask("y")), "a", "b"), "not a dialogue"),
    (
        "hh_transcripts",
        Comparison.pair((Message.of("system", "x"), *ask("y")), "a", "b"),
        "not a dialogue",
    ),
    ("ultrafeedback_binarized", Comparison.pair(ask("x"), "a", "b", strength=0.0), "strength"),
    ("trl_implicit", Comparison(ask("x"), ("a", "b"), (0, 0)), "tie"),
    (SINGLE, Comparison.pair(TALK, "a", "b"), "a conversation"),
]


@pytest.mark.parametrize(("to", "record", "reason"), UNCARRIED)
def test_a_row_that_a_shape_cannot_hold_is_named(
    to: str, record: Comparison, reason: str, tmp_path: Path
) -> None:
    start, there = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    write(start, [record, *(Comparison.pair(ask(f"q {i}"), "a", "b") for i in range(5))])
    code, said = call(start, there, f"to={to}", "limit=0.5")
    assert code == 0, said
    assert "5 of 6 comparisons kept, 1 dropped (16.7%)" in said
    assert f"1  {reason}" in said
    assert "a:1: " in said
    assert len(read(there).records) == 5
    code, said = call(start, tmp_path / "c.jsonl", f"to={to}")
    if reason == "tie":
        assert code == 0, "ties are left out by choice"
    else:
        assert code == 3
        assert "nothing is written" in said
        assert sorted(one.name for one in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl"]


def test_what_is_left_out_of_a_row_is_told(tmp_path: Path) -> None:
    start = tmp_path / "a.jsonl"
    write(
        start,
        [
            Comparison(ask("x"), ("a", "b", "c"), (0, 1, 1), strength=2.0, id="p"),
            Comparison.pair(ask(" x "), "a", "b", id="q"),
        ],
    )
    code, said = call(start, tmp_path / "b.jsonl", "to=hh_transcripts")
    assert code == 0
    assert "b.jsonl: 3 rows (hh_transcripts)" in said
    for part in ("1  strength", "1  tied answers of a ranking", "1  space around turns"):
        assert part in said
    assert "q: a transcript" in said
    _, said = call(start, tmp_path / "c.jsonl", "to=trl_explicit", "ties=both")
    assert "c.jsonl: 5 rows (trl_explicit)" in said
    assert "tied" not in said


def test_rows_that_cannot_be_read_stop_it(tmp_path: Path) -> None:
    start, there = tmp_path / "a.jsonl", tmp_path / "b.csv"
    start.write_text('{"prompt": "Hi"}\n{"prompt": 3}\n')
    code, said = call(start, there)
    assert (code, there.exists()) == (3, False)
    assert "a.jsonl:2: key 'prompt'" in said
    assert "say limit=" in said
    code, said = call(start, there, "limit=0.5")
    assert (code, there.exists()) == (0, True)
    assert "1 of 2 rows kept, 1 dropped (50.0%)" in said


def test_half_a_character_in_an_id_is_a_flaw_of_its_row(tmp_path: Path) -> None:
    start = tmp_path / "a.jsonl"
    start.write_text('{"prompt": "Hi", "id": "\\ud800"}\n{"prompt": "Ho"}\n')
    code, said = call(start, tmp_path / "b.jsonl", "limit=0.5")
    assert code == 0
    assert "a.jsonl:1: key 'id' holds half a character" in said


def test_a_file_is_never_replaced_unasked(tmp_path: Path) -> None:
    start = tmp_path / "a.jsonl"
    start.write_text('{"prompt": "Hi"}\n')
    code, said = call(start, start, "to=trl")
    assert (code, "overwrite=true" in said) == (7, True)
    assert start.read_text() == '{"prompt": "Hi"}\n'
    assert call(start, start, "to=trl", "overwrite=true")[0] == 0
    assert "role" in start.read_text()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("a.jsonl", "b.txt"), 3, "the name must end in .jsonl"),
        (("a.jsonl",), 2, "needs 'out'"),
        (("a.jsonl", "b.csv", "kind=prompts", "to=trl_messages"), 2, "made of demonstrations"),
        (("a.jsonl", "b.csv", "to=dpo"), 2, "trl_explicit"),
        (("no.jsonl", "b.csv"), 3, "no such file"),
        (("a.jsonl", "b.csv", "to=trl_explicit"), 3, "its rows are prompts"),
        (("a.jsonl", "b.csv", "c.csv"), 2, "c.csv"),
    ],
)
def test_a_mistake_is_one_sentence(
    words: tuple[str, ...], code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_text('{"prompt": "Hi"}\n')
    got, said = call(*words)
    assert got == code, said
    assert says in said
    assert [one.name for one in tmp_path.iterdir()] == ["a.jsonl"]


def test_its_help_lists_its_settings() -> None:
    _, taught = call("--help")
    assert "accord data export FROM TO" in taught
    assert all(f"{row.name} " in taught for row in Export.fields())


@pytest.mark.parametrize(
    ("name", "to", "rows", "dropped"),
    [
        ("hh-rlhf/harmless-base-test.jsonl.gz", "hh_transcripts", 2299, "13 dropped"),
        ("llmfao/llmfao.csv", "trl", 5460, "3471 dropped"),
        ("oasst/en_100_tree.jsonl", "ultrafeedback_binarized", 732, "5 dropped"),
    ],
)
def test_real_files(
    name: str, to: str, rows: int, dropped: str, shared: Any, tmp_path: Path
) -> None:
    there = tmp_path / "a.csv"
    code, said = call(shared(f"data/{name}"), there, f"to={to}")
    assert code == 0, said
    assert f"{there}: {rows} rows" in said
    assert dropped in said
    assert len(read(there, "comparisons").records) == rows


def test_transcripts_of_hh_rlhf_come_back(shared: Any, tmp_path: Path) -> None:
    start, there = shared("data/hh-rlhf/harmless-base-test.jsonl.gz"), tmp_path / "a.jsonl"
    assert call(start, there, "to=hh_transcripts")[0] == 0
    assert read(there).records == list(read(start).records)
