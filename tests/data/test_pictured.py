"""Pictures and facts that rows name beside their texts; LLaVA-RLHF's files as they are."""

import json
import zipfile
from pathlib import Path

import pytest

from accord.data.sources import read, write
from accord.records import Fact, Image, Message, Text

NLVR = Path(__file__).parents[3] / "shared/data/nlvr/nlvr_2961.zip"
OTHER = {"type": "image", "path": "b"}


def rows(tmp_path, *given, kind=None):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, given)) + "\n")
    return read(path, kind)


def content(record):
    talk = getattr(record, "messages", None) or record.prompt
    return [message.content for message in talk]


def test_a_picture_stands_before_the_words_or_where_the_text_says(tmp_path):
    (tmp_path / "b.png").write_bytes(b"x")
    found = rows(
        tmp_path,
        {"image": "/a.png", "prompt": "Hi"},
        {"images": ["/a.png", "b.png"], "prompt": "<image>\nand\n<image>?"},
        {"images": [{"path": "/a.png"}], "messages": [{"role": "user", "content": "Hi"}]},
    )
    here = str(tmp_path / "b.png")
    assert [content(one)[0] for one in found.records] == [
        (Image("/a.png"), Text("Hi")),
        (Image("/a.png"), Text("and"), Image(here), Text("?")),
        (Image("/a.png"), Text("Hi")),
    ]


def test_facts_are_parts_of_the_last_message(tmp_path):
    talk = [{"role": "system", "content": "s"}, {"role": "user", "content": "Hi"}]
    pair = {"prompt": talk, "chosen": "a", "rejected": "b", "facts": ["one", "two"]}
    (one,) = rows(tmp_path, pair).records
    assert one.prompt == (
        Message.of("system", "s"),
        Message("user", (Text("Hi"), Fact("one"), Fact("two"))),
    )
    (single,) = rows(tmp_path, {"prompt": "Hi", "facts": "one"}).records
    assert single.messages[0].facts == ("one",)
    assert single.messages[0].text == "Hi"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"images": ["a", "b"], "prompt": "<image> x"}, "shows 1 pictures, and the row names 2"),
        ({"image": 3, "prompt": "x"}, "no path of a picture"),
        ({"facts": [1], "prompt": "x"}, "holds a int, not text"),
        (
            {"image": "a", "prompt": [{"role": "user", "content": [OTHER]}]},
            "show other pictures",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_its_row(row, says, tmp_path):
    found = rows(tmp_path, {"prompt": "good"}, row)
    assert len(found.records) == 1
    (line,) = [line for line in found.tally.lines() if "a.jsonl:2" in line]
    assert says in line


def test_llava_rlhf_preferences(tmp_path):
    row = {
        "id": "7",
        "image": "/0.jpg",
        "conversations": [
            {"from": "human", "value": "<image>\nWhat?"},
            {"from": "gpt", "value": "A cat."},
            {"from": "human", "value": "Sure?"},
        ],
        "output_1": {"from": "llava", "value": "No."},
        "output_2": {"from": "llava", "value": "Yes."},
        "preference": 2,
    }
    (one,) = rows(tmp_path, row, {**row, "id": "8", "preference": 0}, kind="comparisons").records
    assert one.responses == ("No.", "Yes.")
    assert one.ranks == (1, 0)
    assert one.prompt[0].content == (Image("/0.jpg"), Text("What?"))
    assert one.prompt[2].text == "Sure?"


def test_llava_rlhf_prompts(tmp_path):
    def row(kind, **more):
        talk = [{"from": "human", "value": "<image>\nIs it?"}, {"from": "gpt", "value": "gold"}]
        return {"image": "/0.jpg", "conversations": talk, "caption_type": kind, **more}

    found = rows(tmp_path, row(1), row(3, length_bonus=2.5), row(6), row(7), row(9), kind="prompts")
    assert [one.truth for one in found.records] == ["", "B", "no", "yes"]
    assert [one.price for one in found.records] == [1.0, 2.5, 1.0, 1.0]
    assert content(found.records[0]) == [(Image("/0.jpg"), Text("Is it?"))]
    assert found.tally.dropped.total() == 1


def test_nlvr_statements(tmp_path):
    blue = {"type": "square", "color": "#0099ff", "size": 30, "x_loc": 1, "y_loc": 2}
    black = {"type": "circle", "color": "Black", "size": 10, "x_loc": 1, "y_loc": 2}
    row = {"image": "/1-0.png", "sentence": "There is a square.", "label": "true"}
    found = rows(
        tmp_path, {**row, "boxes": [[blue], [], [black]]}, {**row, "label": "maybe", "boxes": []}
    )
    (one,) = found.records
    assert content(one) == [
        (
            Image("/1-0.png"),
            Text("There is a square. Is that true?"),
            Fact("a big blue square in box 1"),
            Fact("a small black circle in box 3"),
        )
    ]
    assert one.truth == "yes"
    assert found.tally.dropped.total() == 1


@pytest.mark.skipif(not NLVR.is_file(), reason="the real file is not here")
def test_the_real_nlvr(tmp_path):
    with zipfile.ZipFile(NLVR) as archive:
        for name in archive.namelist():
            if not name.startswith("hidden") and (
                name.endswith(".jsonl") or name.startswith("dev/")
            ):
                archive.extract(name, tmp_path)
    found = read(tmp_path / "dev.jsonl", "prompts")
    assert len(found.records) > 900
    assert not found.tally.dropped
    assert {one.truth for one in found.records} == {"yes", "no"}
    assert all(Path(one.messages[0].images[0].path).is_file() for one in found.records)


@pytest.mark.parametrize("path", ["a/" * 3000, "data:image/png;base64," + "A" * 5000, "a\0b"])
def test_what_is_no_path_is_left_to_be_refused_where_it_is_read(path, tmp_path):
    (one,) = rows(tmp_path, {"image": path, "prompt": "Hi"}).records
    assert one.messages[0].images == (Image(path),)


@pytest.mark.parametrize("facts", [[""], ["it rains", " "], "  "])
def test_an_empty_fact_is_no_fact(facts, tmp_path):
    told = rows(tmp_path, {"prompt": "Hi", "facts": facts}, {"prompt": "Ho"})
    assert len(told.records) == 1
    assert "key 'facts' holds an empty text" in str(told.tally.lines())


def test_a_file_elsewhere_still_leads_to_its_pictures(tmp_path, monkeypatch):
    """Paths count from the folder of their file, wherever it is written and read."""
    for folder in ("one/pics", "two"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "one/pics/a.png").write_bytes(b"x")
    told = {"prompt": "Hi", "image": "pics/a.png", "chosen": "a", "rejected": "b"}
    (tmp_path / "one/a.jsonl").write_text(json.dumps(told) + "\n")
    monkeypatch.chdir(tmp_path)
    given = read("one/a.jsonl").records
    write("two/b.jsonl", given)
    assert "../one/pics/a.png" in Path("two/b.jsonl").read_text()
    assert next(iter(read("two/b.jsonl").records)).prompt == given[0].prompt
    monkeypatch.chdir(tmp_path / "two")
    (one,) = read("b.jsonl").records
    assert Path(one.prompt[0].images[0].path).read_bytes() == b"x"
