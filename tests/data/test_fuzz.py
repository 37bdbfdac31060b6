"""Whatever a file holds: records and counts, or one sentence.  `make fuzz` goes on for longer."""

import csv
import gzip
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accord.data.formats import source
from accord.data.shapes import SHAPES
from accord.data.sources import Kind, read, write
from accord.errors import AccordError

KINDS: list[Kind | None] = [None, "prompts", "demonstrations", "comparisons", "ratings"]
EXAMPLES = int(os.environ.get("ACCORD_FUZZ", "60"))
thorough = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES <= 60,
    suppress_health_check=list(HealthCheck),
)

KEYS = sorted({key for shape in SHAPES for key in shape.keys})
KEYS += ["id", "judge", "worker", "strength", "margin", "p_first", "why", "author", "system"]
KEYS += ["input", "history", "extra", "tools", "individual_preference", "helpfulness"]
INNER = ["role", "content", "from", "value", "text", "type", "image", "path", "rank", "replies"]
INNER += ["message_id", "synthetic", "annotations", "Rating", "honesty", "response", "score"]
INNER += ["reasoning", "is_correct", "solution", "result", "selected", "completed_by", "user_id"]
INNER += ["prompt", "answer1", "answer2", "status", "post", "article", "confidence", "tool_calls"]

odd = st.sampled_from(
    [
        *("", " ", "\ud800", "\udc80", "\x00", "\ufeff", "a\r\nb", "[", "{", '[{"role": 1}]'),
        *('["a", "b"]', "[0, 1]", '"role"', "nan", "1e999", "9" * 5000, "left", "model_a", "tie"),
        *("user", "assistant", "human", "gpt", "tool", "\n\nHuman: a\n\nAssistant: b"),
    ]
)
atom = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from([10**400, -(2**63), float("nan"), float("inf"), 1e308, 0.5, -0.0]),
    odd,
    st.text(max_size=6),
)
thing = st.recursive(
    atom,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(INNER), inner, max_size=4)
    ),
    max_leaves=12,
)
said = st.sampled_from(["a", "b", "c"])
talk = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system"]), "content": said | odd}
    ),
    min_size=1,
    max_size=3,
)
likely = said | said | talk | thing


@st.composite
def row(draw: Any) -> Any:
    """Mostly the keys of some shape, with values that mostly fit it."""
    keys = list(draw(st.sampled_from(SHAPES)).keys)
    keys += draw(st.lists(st.sampled_from(KEYS), max_size=3))
    return {key: draw(likely) for key in keys}


rows = st.lists(row() | row() | row() | thing, max_size=6)


def checked(path: Path, kind: Kind | None, count: int | None = None) -> None:
    """Nothing escapes but an AccordError of ours; every row is kept or counted; it reads back."""
    try:
        found = read(path, kind)
    except AccordError:
        return
    entries = sum(1 for _ in source(path)())
    assert found.tally.total == entries
    assert count is None or entries == count
    assert (len(found.records) > 0) == (found.tally.kept > 0)
    again = path.with_name("again.jsonl")
    write(again, found.records)
    if found.records and len({one.id for one in found.records}) == len(found.records):
        assert list(read(again, found.kind).records) == list(found.records)


def dumped(one: Any) -> str:
    return json.dumps(one)


@pytest.fixture(scope="module")
def folder() -> Any:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@thorough
@given(rows, st.sampled_from(KINDS), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_lines(folder: Path, rows: Any, kind: Kind | None, end: str, mark: bool) -> None:
    path = folder / "a.jsonl"
    text = "".join(dumped(one) + end for one in rows)
    path.write_bytes((b"\xef\xbb\xbf" if mark else b"") + text.encode("utf-8", "surrogatepass"))
    checked(path, kind, len(rows))


@thorough
@given(rows, st.sampled_from(KINDS))
def test_arrays(folder: Path, rows: Any, kind: Kind | None) -> None:
    path = folder / "a.json"
    path.write_text(dumped(rows))
    checked(path, kind, len(rows))
    path.write_text(dumped({"version": 1, "data": rows}))
    checked(path, kind)


@thorough
@given(rows, st.sampled_from(KINDS), st.sampled_from(",;\t|"))
def test_tables(folder: Path, rows: Any, kind: Kind | None, mark: str) -> None:
    path = folder / "a.csv"
    told = [one for one in rows if isinstance(one, dict) and one]
    names = list(dict.fromkeys(key for one in told for key in one))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, delimiter=mark, lineterminator="\r\n")
    writer.writeheader()
    for one in told:
        writer.writerow({k: v if isinstance(v, str) else dumped(v) for k, v in one.items()})
    path.write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
    checked(path, kind)


@thorough
@given(
    st.sampled_from([".jsonl", ".json", ".csv", ".tsv", ".parquet", ".jsonl.gz", ".csv.gz"]),
    st.binary(max_size=200)
    | st.text(alphabet='[]{}",:\n\r\t;|ab1.eE-\\u\x00\ufeff', max_size=200).map(str.encode),
    st.sampled_from(KINDS),
)
def test_any_bytes(folder: Path, ending: str, data: bytes, kind: Kind | None) -> None:
    path = folder / f"b{ending}"
    path.write_bytes(gzip.compress(data) if ending.endswith(".gz") and len(data) % 3 else data)
    checked(path, kind)


@thorough
@given(rows, st.integers(0, 10_000), st.integers(0, 255), st.booleans(), st.sampled_from(KINDS))
def test_whole_files_with_damage(
    folder: Path, rows: Any, place: int, byte: int, cut: bool, kind: Kind | None
) -> None:
    """One byte is another, or everything after it is gone."""
    text = "".join(dumped(one) + "\n" for one in rows)
    for name, data in (
        ("a.jsonl", text.encode()),
        ("a.json", dumped(rows).encode()),
        ("a.jsonl.gz", gzip.compress(text.encode())),
    ):
        damaged = bytearray(data)
        if damaged:
            damaged[place % len(damaged)] = byte
        (folder / name).write_bytes(damaged[: place % (len(damaged) + 1)] if cut else damaged)
        checked(folder / name, kind)


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"prompt":' * 50_000,
        '{"prompt": "' + "a" * 3_000_000 + '"}',
        '{"prompt": ' + "9" * 100_000 + "}",
        '{"messages": ' + json.dumps("[" * 100_000) + "}",
        '{"prompt": "\\ud83d"}',
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_giants(folder: Path, line: str, kind: Kind | None) -> None:
    path = folder / "g.jsonl"
    path.write_text(line + '\n{"prompt": "a"}\n')
    checked(path, kind, 2)
    path = folder / "g.csv"
    path.write_text("prompt\n" + line.replace(",", " ").replace('"', "") + "\na\n")
    checked(path, kind)


def test_a_tree_of_great_depth(folder: Path) -> None:
    node: dict[str, Any] = {"role": "assistant", "text": "x", "replies": []}
    for depth in range(150):
        role = ("assistant", "prompter")[depth % 2 == 0]
        node = {"role": role, "text": "x", "message_id": f"{depth}", "replies": [node]}
    path = folder / "t.jsonl"
    path.write_text(dumped({"message_tree_id": "t", "prompt": node}))
    checked(path, None, 1)
