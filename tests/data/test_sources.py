import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accord.data.sources import (
    read_comparisons,
    read_demonstrations,
    read_prompts,
    write,
)
from accord.data.tally import Tally
from accord.errors import BadData, CannotWrite
from accord.records import Comparison, Demonstration, Image, Message, Prompt, Text, ask

USER: dict[str, Any] = {"role": "user", "content": "Hi"}
BOT: dict[str, Any] = {"role": "assistant", "content": "Yes"}
OTHER: dict[str, Any] = {"role": "assistant", "content": "No"}


def lines(path: Path, *rows: object) -> Path:
    texts = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_bytes("\n".join(texts).encode("utf-8", "surrogateescape") + b"\n")
    return path


def why(tally: Tally) -> dict[str, str]:
    return {reason: examples[0] for reason, examples in tally.examples.items()}


# --- what is accepted ---


def test_prompts(tmp_path: Path) -> None:
    system = {"role": "system", "content": "Be kind."}
    path = lines(tmp_path / "p.jsonl", {"prompt": " a "}, "", {"id": 7, "messages": [system, USER]})
    prompts, tally = read_prompts(path)
    assert prompts == [
        Prompt(ask(" a "), "p:1"),
        Prompt((Message.of("system", "Be kind."), *ask("Hi")), "7"),
    ]
    assert (tally.kept, tally.total) == (2, 2)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi", "response": "Yes"},
        {"prompt": "Hi", "completion": "Yes", "response": None},
        {"prompt": [USER], "completion": [BOT]},
        {"prompt": [USER], "completion": [USER, BOT]},
        {"messages": [USER, BOT]},
        {
            "prompt": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
            "response": "Yes",
        },
    ],
)
def test_demonstrations(row: dict[str, Any], tmp_path: Path) -> None:
    found, tally = read_demonstrations(lines(tmp_path / "d.jsonl", {**row, "extra": 1}))
    assert found == [Demonstration(ask("Hi"), "Yes", id="d:1")]
    assert tally.kept == 1


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi", "chosen": "Yes", "rejected": "No"},
        {"prompt": [USER], "chosen": [BOT], "rejected": [OTHER]},
        {"prompt": [USER], "chosen": [USER, BOT], "rejected": "No"},
        {"chosen": [USER, BOT], "rejected": [USER, OTHER]},
        {"prompt": "Hi", "responses": ["Yes", "No"], "ranks": [0, 1]},
        {
            "chosen": "\n\nHuman: Hi\n\nAssistant: Yes",
            "rejected": "\n\nHuman: Hi\n\nAssistant: No ",
        },
    ],
)
def test_comparisons(row: dict[str, Any], tmp_path: Path) -> None:
    found, tally = read_comparisons(lines(tmp_path / "c.jsonl", row))
    assert found == [Comparison.pair(ask("Hi"), "Yes", "No", id="c:1")]
    assert tally.kept == 1


def test_what_else_a_comparison_says(tmp_path: Path) -> None:
    pair = {"prompt": "Hi", "chosen": "a", "rejected": "b"}
    path = lines(
        tmp_path / "c.jsonl",
        {**pair, "margin": 2, "judge": "ada", "why": "kinder", "id": "x"},
        {**pair, "strength": 0.5, "p_first": 0.9},
        {"prompt": "Hi", "responses": ["a", "b", "c"], "ranks": [1, 0, 1]},
        {"prompt": "Hi", "responses": ["a", "b"], "p_first": 0.2},
        {"prompt": "Hi", "responses": ["a", "b"], "p_first": 0.5},
    )
    found, tally = read_comparisons(path)
    assert tally.kept == 5
    named = Comparison.pair(ask("Hi"), "a", "b", strength=2, judge="ada", why="kinder", id="x")
    assert found[0] == named
    assert (found[1].strength, found[1].p_first) == (0.5, 0.9)
    assert list(found[2].pairs()) == [(1, 0), (1, 2)]
    assert [c.ranks for c in found[3:]] == [(1, 0), (0, 0)]


# --- what is not, and is counted ---

PAIR = {"prompt": "Hi", "chosen": "a", "rejected": "b"}


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        ("{", "not JSON", "the line is not JSON"),
        ('{"a": "\udcff"}', "not UTF-8", "byte 8"),
        ("[1]", "not an object", "holds a list"),
        ({"prompt": "Hi", "choosen": "a", "rejected": "b"}, "missing key", "meant to be 'chosen'"),
        ({**PAIR, "chosen": None}, "missing key", "needed are prompt + responses + ranks, or"),
        ({**PAIR, "chosen": 3}, "wrong type", "key 'chosen'"),
        ({**PAIR, "prompt": []}, "wrong type", "key 'prompt'"),
        ({**PAIR, "prompt": [{"role": "user"}]}, "wrong type", "needs 'role' and 'content'"),
        ({**PAIR, "prompt": [{**USER, "role": "bot"}]}, "unknown role", "role 'bot'"),
        ({**PAIR, "prompt": [USER, BOT]}, "prompt is answered", "key 'prompt'"),
        ({**PAIR, "prompt": "\ud800"}, "broken text", "key 'prompt'"),
        ({**PAIR, "rejected": " \n"}, "empty answer", "key 'rejected' is empty"),
        ({**PAIR, "rejected": "a "}, "answers are equal", "the same answer"),
        ({**PAIR, "margin": "big"}, "wrong type", "key 'margin'"),
        ('{"prompt": "Hi", "chosen": "a", "rejected": "b", "margin": NaN}', "wrong type", "margin"),
        ({**PAIR, "margin": 10**400}, "wrong type", "key 'margin'"),
        ({**PAIR, "p_first": 1.5}, "wrong type", "key 'p_first'"),
        ({**PAIR, "id": True}, "wrong type", "key 'id'"),
        ({**PAIR, "chosen": [USER]}, "no answer", "key 'chosen'"),
        ({**PAIR, "chosen": [{**USER, "content": "Ho"}, BOT]}, "prompts differ", "key 'chosen'"),
        ({"chosen": [USER, BOT], "rejected": [OTHER]}, "prompts differ", "same prompt"),
        ({"chosen": "Yes", "rejected": "No"}, "not a transcript", "key 'chosen'"),
        (
            {"chosen": "Hi\n\nAssistant: a", "rejected": "Hi\n\nAssistant: b"},
            "not a transcript",
            "",
        ),
        ({"prompt": "x", "responses": ["a"], "ranks": [0]}, "wrong type", "key 'responses'"),
        ({"prompt": "x", "responses": ["a", "b"], "ranks": [0]}, "wrong type", "has 1 for 2"),
        ({"prompt": "x", "responses": ["a", "b"], "ranks": [0, "1"]}, "wrong type", "key 'ranks'"),
        ({"prompt": "x", "responses": ["a", "a"], "ranks": [0, 0]}, "answers are equal", "all"),
        ({"prompt": "x", "responses": ["a", ""], "ranks": [0, 1]}, "empty answer", "responses[1]"),
    ],
)
def test_a_bad_line_is_counted_and_named(
    row: Any, reason: str, detail: str, tmp_path: Path
) -> None:
    path = lines(tmp_path / "c.jsonl", PAIR, row, PAIR)
    found, tally = read_comparisons(path)
    assert [c.id for c in found] == ["c:1", "c:3"]
    assert list(tally.dropped) == [reason]
    assert tally.examples[reason][0].startswith(f"{path}:2: ")
    assert detail in tally.examples[reason][0]
    with pytest.raises(BadData, match="2 of 3 rows kept"):
        tally.check()


def test_equal_answers_among_several(tmp_path: Path) -> None:
    row = {"prompt": "x", "responses": ["a", "b", "a"]}
    path = lines(tmp_path / "c.jsonl", {**row, "ranks": [0, 1, 0]}, {**row, "ranks": [0, 1, 2]})
    found, tally = read_comparisons(path)
    assert [c.id for c in found] == ["c:1"]
    assert tally.dropped == {"answers are equal": 1}


def test_an_id_used_twice(tmp_path: Path) -> None:
    path = lines(tmp_path / "p.jsonl", {"prompt": "a", "id": "x"}, {"prompt": "b", "id": "x"})
    found, tally = read_prompts(path)
    assert len(found) == 1
    assert "already that of line 1" in why(tally)["id used twice"]


def test_a_demonstration_without_prompt_or_answer(tmp_path: Path) -> None:
    rows = [{"messages": [BOT]}, {"messages": [USER]}, {"prompt": "Hi", "respons": "x"}]
    found, tally = read_demonstrations(lines(tmp_path / "d.jsonl", *rows))
    assert found == []
    assert set(tally.dropped) == {"no prompt", "no answer", "missing key"}
    assert "is 'respons' meant to be 'response'?" in why(tally)["missing key"]


def test_turns_that_do_not_alternate(tmp_path: Path) -> None:
    start = "\n\nHuman: Hi\n\nAssistant: Yes\n\nAssistant:"
    good = "\n\nHuman: Hi\n\nAssistant:"
    path = lines(
        tmp_path / "c.jsonl",
        {"chosen": f"{start} a", "rejected": f"{start} b"},
        {"chosen": f"{good} a", "rejected": f"{good} b\n\nHuman: c"},
        {"chosen": f"{good} Human: a", "rejected": f"{good} b"},
        {"chosen": f"{good} a", "rejected": "\n\nHuman: Ho\n\nAssistant: b"},
    )
    found, tally = read_comparisons(path)
    assert [c.responses for c in found] == [("Human: a", "b")]
    assert tally.dropped == {"turns do not alternate": 2, "prompts differ": 1}


# --- files ---


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"none\.jsonl: no such file"):
        read_prompts(tmp_path / "none.jsonl")
    whole = gzip.compress(b'{"prompt": "a"}\n' * 1000)
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[:-12])
    with pytest.raises(BadData, match=r"cut\.jsonl\.gz: cannot be read beyond line"):
        read_prompts(tmp_path / "cut.jsonl.gz")
    with pytest.raises(BadData, match="no rows at all"):
        read_prompts(lines(tmp_path / "empty.jsonl", ""))[1].check()


def test_a_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"prompt": "a"}\r\n\r\n{"prompt": "b"}')
    assert [p.messages for p in read_prompts(path)[0]] == [ask("a"), ask("b")]


PICTURE = Message("user", (Text("What is "), Image("cat.png"), Text("this?")))
RECORDS: list[tuple[Callable[[Path], tuple[list[Any], Tally]], list[Any]]] = [
    (read_prompts, [Prompt(ask(" é\u2028\n"), "1"), Prompt((PICTURE,), "2")]),
    (
        read_demonstrations,
        [
            Demonstration(ask("a"), " b", id="1"),
            Demonstration((Message.of("system", "s"), PICTURE), "b", author="ada", id="2"),
        ],
    ),
    (
        read_comparisons,
        [
            Comparison.pair(ask("a"), " b", "c", id="1"),
            Comparison(ask("a"), ("x", "y", "z"), (1, 0, 1), judge="ada", strength=-1.5, id="2"),
            Comparison(ask("a"), ("x", "y"), (0, 0), p_first=0.5, why="both", id="3"),
        ],
    ),
]


@pytest.mark.parametrize(("reader", "records"), RECORDS, ids=["prompts", "demos", "comparisons"])
@pytest.mark.parametrize("name", ["a.jsonl", "deep/a.jsonl.gz"])
def test_what_is_written_reads_back_equal(
    reader: Callable[[Path], tuple[list[Any], Tally]], records: list[Any], name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    write(path, records)
    first = path.read_bytes()
    found, tally = reader(path)
    assert found == records
    assert tally.check().kept == len(records)
    write(path, records)
    assert path.read_bytes() == first
    if path.suffix == ".gz":
        assert first[4:8] == bytes(4), "the time of writing must not change the file"
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match="cannot be written"):
        write(tmp_path / "file" / "a.jsonl", [])


# --- the real thing ---


def test_the_known_defects_of_hh_rlhf(shared: Callable[[str], Path]) -> None:
    found, tally = read_comparisons(shared("data/hh-rlhf/harmless-base-test.jsonl.gz"))
    assert tally.total == 2312
    assert tally.dropped == {
        "prompts differ": 4,
        "empty answer": 4,
        "turns do not alternate": 5,
    }
    assert len(tally.check().examples["prompts differ"]) == 3
    assert sum(len(c.prompt) == 1 for c in found) > 600
    for comparison in found:
        roles = [message.role for message in comparison.prompt]
        assert roles == [("user", "assistant")[i % 2] for i in range(len(roles))]
        assert roles[-1] == "user"
        assert all(text == text.strip() != "" for text in comparison.responses)
    assert "\n\nAssistant:" not in "".join(text for c in found for text in c.responses)
