"""Files of every format, whole and broken: the same rows, or an error that says where."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from accord.data import documents, formats, opening, tables
from accord.data.sources import read, read_prompts, row, write
from accord.errors import AccordError, BadData
from accord.records import Comparison, Demonstration, Message, Prompt, Rating, Text, ask
from accord.records.conversation import Image
from accord.text import hub

PICTURE = Message("user", (Text("What is "), Image("cat.png"), Text("this?")))
RECORDS: dict[str, list[Any]] = {
    "prompts": [Prompt(ask(" é\u2028\r\n\r\t\x00"), "1"), Prompt((PICTURE,), "2")],
    "demonstrations": [
        Demonstration(ask("[1, 2]"), ' "b"', id="1"),
        Demonstration((Message.of("system", "s"), PICTURE), "b", author="ada", id="2"),
    ],
    "comparisons": [
        Comparison.pair(ask("a"), " b,\n;c", "[c]", id="1"),
        Comparison(ask("{}"), ("x", "y", "z"), (1, 0, 1), judge="ada", strength=-1.5, id="2"),
        Comparison(ask("a"), ("x", "y"), (0, 0), p_first=0.5, why="both", id="3"),
    ],
    "ratings": [
        Rating(ask("a"), "b", True, id="1"),
        Rating(ask("a"), "c", False, "ada", "rude", "2"),
    ],
}


@pytest.mark.parametrize("kind", RECORDS)
@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.csv", "b/a.tsv.gz", "a.parquet"])
def test_what_is_written_reads_back_equal(kind: Any, name: str, tmp_path: Path) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    write(tmp_path / name, RECORDS[kind])
    found = read(tmp_path / name)
    assert (found.records, found.kind) == (RECORDS[kind], kind)
    assert found.tally.kept == len(RECORDS[kind])


def test_an_ending_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"must end in \.jsonl, \.json, \.csv, \.tsv, \.parquet"):
        write(tmp_path / "a.xml", [])


# --- tables ---


def texts(path: Path) -> list[str]:
    return [one.messages[0].text for one in read_prompts(path)[0]]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(mark: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'id{mark}prompt\n1{mark}"a{mark} ""b"""\n2{mark}c\n')
    assert texts(path) == [f'a{mark} "b"', "c"]


def test_quoted_newlines_marks_and_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        b'\xef\xbb\xbfprompt,note\r\n"two\r\nlines",x\r\n\r\nshort\r\nlong,x,y\r\nb\xff,x\r\nlast,"x"\r\n'
    )
    found = read(path, "prompts")
    assert [one.id for one in found.records] == ["a.csv:2", "a.csv:8"]
    assert found.records[0].messages == ask("two\r\nlines")
    assert found.tally.dropped == {"ragged row": 2, "not UTF-8": 1}
    assert [e.split("a.csv:")[1][:1] for e in found.tally.examples["ragged row"]] == ["5", "6"]
    path.write_text('prompt,note\n"a"b,c\nd,e\n')
    assert read(path, "prompts").tally.dropped == {"not a table row": 1}
    path.write_text('prompt,note\n"a,b\nc,d\n')
    with pytest.raises(BadData, match="line 2: a quote is never closed"):
        read(path, "prompts")


def test_cells_hold_numbers_and_lists(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        'prompt,chosen,rejected,margin,judge\nHi,Yes,No,1.5,\nHi,Yes,,,\n"[1, 2]",Yes,No,,ada\n'
    )
    found = read(path)
    assert [(c.prompt, c.strength, c.judge) for c in found.records] == [
        (ask("Hi"), 1.5, "human"),
        (ask("[1, 2]"), None, "ada"),
    ]
    assert found.tally.dropped == {"empty answer": 1}


# --- JSON ---


@pytest.mark.parametrize(
    "text",
    [
        '[{"prompt": "a"}, {"prompt": "b"}]',
        ' [\n{"prompt": "a"}\n,\n{"prompt": "b"}\n]\n\n',
        '\ufeff[{"prompt": "a"},{"prompt": "b"}]',
        '{"data": [{"prompt": "a"}, {"prompt": "b"}]}',
        '{\n "version": 1,\n "data": [\n{"prompt": "a"}, {"prompt": "b"}]}',
        '{"prompt": "a"}\n{"prompt": "b"}\n',
    ],
)
def test_documents_of_rows(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    assert texts(tmp_path / "a.json") == ["a", "b"]


def test_a_document_that_is_one_row(tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "a"}]
    for text in (json.dumps({"messages": talk}), json.dumps({"messages": talk}, indent=1)):
        (tmp_path / "a.json").write_text(text)
        assert texts(tmp_path / "a.json") == ["a"]


def test_an_array_is_read_over_the_seams_of_its_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"prompt": "é" * n, "n": n * 10**6} for n in range(1, 40)]
    (tmp_path / "a.json").write_text(json.dumps(rows, ensure_ascii=False))
    for chunk in (1, 2, 3, 7, 100, 5000):
        monkeypatch.setattr(documents, "CHUNK", chunk)
        assert [r for _, r in documents._array(tmp_path / "a.json")] == rows
    (tmp_path / "b.json").write_text("[12, 345, true, null]")
    for chunk in (1, 2, 3):
        monkeypatch.setattr(documents, "CHUNK", chunk)
        assert [r for _, r in documents._array(tmp_path / "b.json")] == [12, 345, True, None]


@pytest.mark.parametrize(
    "text",
    [
        '[{"prompt": "a"}',
        '[{"prompt": "a"},',
        '[{"prompt": "a"} {"prompt": "b"}]',
        '[{"prompt": "a"}] x',
        '[{"prompt": "a"}, {"promp',
        "[" * 100_000,
        '{"data": [',
        "",
        "x",
    ],
)
def test_a_broken_document_says_where(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BadData, match=r"a\.json: cannot be read beyond row"):
        read(tmp_path / "a.json", "prompts")


# --- columnar files, folders, the hub ---


def test_parquet_and_saved_datasets(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [row(one) for one in RECORDS["comparisons"][:1]] * 600
    made = datasets.Dataset.from_list([{**r, "id": str(i)} for i, r in enumerate(rows)])
    datasets.disable_progress_bars()
    made.save_to_disk(tmp_path / "saved")
    made.to_parquet(tmp_path / "a.parquet")
    wanted = [Comparison.pair(ask("a"), " b,\n;c", "[c]", id=str(i)) for i in range(600)]
    assert read(tmp_path / "saved").records == wanted
    assert read(tmp_path / "a.parquet").records == wanted
    both = datasets.DatasetDict({"train": made.select(range(9)), "test": made.select([7])})
    both.save_to_disk(tmp_path / "both")
    assert len(read(tmp_path / "both").records) == 9
    assert [one.id for one in read(tmp_path / "both", split="test").records] == ["7"]
    with pytest.raises(BadData, match="no split 'dev'; it has train, test"):
        read(tmp_path / "both", split="dev")


def test_a_folder_of_files(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "train-00000.jsonl", [Prompt(ask("a"), "1")])
    write(tmp_path / "data" / "train-00001.jsonl.gz", [Prompt(ask("b"), "2")])
    write(tmp_path / "data" / "test.csv", [Prompt(ask("c"), "3")])
    (tmp_path / "loader.py").write_text("raise SystemExit('never run')")
    assert texts(tmp_path) == ["a", "b"]
    assert [one.id for one in read(tmp_path, split="test").records] == ["3"]
    (tmp_path / "none").mkdir()
    with pytest.raises(BadData, match="no data in this folder"):
        read(tmp_path / "none")


def test_a_hub_id_without_a_network_is_one_sentence() -> None:
    pytest.importorskip("datasets")
    with pytest.raises(
        BadData, match="owner/never-there:config: no such file, and no dataset"
    ) as caught:
        read("owner/never-there:config", "prompts")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.parquet", "saved", "owner/name"])
def test_the_extra_that_is_missing_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").write_text("{}")
    code = (
        "import sys; sys.modules['datasets'] = sys.modules['pyarrow'] = None\n"
        "from accord.data.sources import read\n"
        f"read({name!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": ":".join(str(Path(p).resolve()) for p in sys.path if p)},
    )
    assert "MissingExtra" in done.stderr
    assert "pip install 'accord[data]'" in done.stderr


@pytest.mark.parametrize("name", ["a.parquet", "saved", "cut.csv.gz", "both"])
def test_broken_files_are_told(name: str, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing more")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").write_text("{")
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "dataset_dict.json").write_text("[1")
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"prompt\n" + b"a\n" * 9999)[:-9])
    with pytest.raises(AccordError, match=name.replace(".", r"\.")):
        read(tmp_path / name, "prompts")


# --- giants, slips, and what Python has no value for ---


def test_one_giant_line_is_one_flaw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "GIANT", 1000)
    rows = [json.dumps({"prompt": text}) for text in ("a", "b" * 5000, "c")]
    for name, pack in (("a.jsonl", bytes), ("b.jsonl.gz", gzip.compress)):
        (tmp_path / name).write_bytes(pack("\n".join(rows).encode()))
        found = read(tmp_path / name)
        assert [one.messages[0].text for one in found.records] == ["a", "c"]
        assert found.tally.dropped == {"line too long": 1}
        assert ":2: the line has more than 1000 bytes" in found.tally.examples["line too long"][0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"data": ["' + "b" * 5000 + '"]}'),
        ("a.csv", "prompt\na\n" + "b" * 5000),
        ("b.csv", 'prompt\na\n"' + "b\n" * 5000 + '"'),
    ],
)
def test_a_giant_that_nothing_ends_is_refused(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "GIANT", 1000)
    monkeypatch.setattr(tables, "CHUNK", 64)
    (tmp_path / name).write_text(text)
    with pytest.raises(BadData, match="of more than 1000"):
        read(tmp_path / name, "prompts")


def test_lines_under_the_name_of_a_document_may_be_long(tmp_path: Path) -> None:
    rows = [json.dumps({"prompt": "a" * 100_000}), json.dumps({"prompt": "b"})]
    (tmp_path / "a.json").write_text("\n".join(rows))
    assert [len(text) for text in texts(tmp_path / "a.json")] == [100_000, 1]


@pytest.mark.parametrize(
    ("code", "said"), [("utf-16", "UTF-16"), ("utf-16-le", "UTF-16"), ("latin-1", "Latin-1")]
)
def test_a_table_in_another_encoding_says_which(code: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("prompt,größe\na,1\n".encode(code))
    with pytest.raises(BadData, match=said):
        read(tmp_path / "a.csv")


def test_a_time_out_of_range_loses_no_file(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    when = pa.array([0, 2**60], pa.timestamp("ms"))
    nested = pa.array([{"t": 0}, {"t": 2**60}], pa.struct([("t", pa.timestamp("ms"))]))
    write_table(pa.table({"prompt": ["a", "b"], "when": when}), tmp_path / "a.parquet")
    assert texts(tmp_path / "a.parquet") == ["a", "b"]
    write_table(pa.table({"prompt": ["a", "b"], "meta": nested}), tmp_path / "b.parquet")
    found = read(tmp_path / "b.parquet")
    assert (len(found.records), dict(found.tally.dropped)) == (1, {"value out of range": 1})


def test_parquet_is_not_written_packed(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"leave \.gz out"):
        write(tmp_path / "a.parquet.gz", [Prompt(ask("a"))])


def test_a_slip_in_a_path_asks_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(formats, "_hub", lambda *_: pytest.fail("the hub was asked"))
    with pytest.raises(BadData, match="no such file or folder"):
        read("data/judged")


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def silent(url: str, **_: Any) -> None:
        asked.append(url)
        raise OSError("no route")

    monkeypatch.setattr(hub, "get_hf_file_metadata", silent)
    before = hub.constants.HF_HUB_OFFLINE
    with hub.briefly("owner/name"):
        assert hub.constants.HF_HUB_OFFLINE
    assert len(asked) == 1
    assert before == hub.constants.HF_HUB_OFFLINE


def test_files_that_say_no_split_are_named(tmp_path: Path) -> None:
    for name, count in (("train.jsonl", 3), ("extra.jsonl", 5)):
        (tmp_path / name).write_text('{"prompt": "a"}\n' * count)
    with pytest.warns(UserWarning, match=r"train is read, and not extra\.jsonl"):
        assert len(read(tmp_path).records) == 3
    assert len(read(tmp_path, split="all").records) == 5
