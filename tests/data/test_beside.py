"""Pictures in a folder of their own, and what a file knows of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from accord.data.beside import Beside, Captions
from accord.data.offers import read_offers
from accord.data.sources import Read, read, read_texts
from accord.errors import BadData

TALK = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cat."}]
PAIR = {
    "image": "000000000007.jpg",
    "conversations": TALK[:1],
    "output_1": {"from": "llava", "value": "A cat."},
    "output_2": {"from": "llava", "value": "A dog."},
    "preference": 1,
}


def rows(home: Path, *given: dict[str, Any], kind: Any = None, **beside: Any) -> Read[Any]:
    path = home / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, given)) + "\n")
    return read(path, kind, beside=Beside.of(**beside))


def known(home: Path, told: object) -> Path:
    path = home / "captions.json"
    path.write_text(told if isinstance(told, str) else json.dumps(told))
    return path


def shown(record: Any) -> tuple[list[str], tuple[str, ...]]:
    talk = getattr(record, "messages", None) or record.prompt
    return [image.path for message in talk for image in message.images], talk[-1].facts


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    folder = tmp_path / "coco"
    (folder / "train").mkdir(parents=True)
    (folder / "000000000007.jpg").write_bytes(b"x")
    return folder


def test_paths_count_from_the_folder_that_is_named(tmp_path: Path, coco: Path) -> None:
    (tmp_path / "000000000007.jpg").write_bytes(b"beside the rows, and not meant")
    web = "https://x.org/a.jpg"
    found = rows(
        tmp_path,
        {"image": "000000000007.jpg", "prompt": "Hi"},
        {"images": ["train/b.jpg", "/c.jpg"], "prompt": "Hi"},
        {"image": web, "prompt": "Hi"},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "path": "d.jpg"},
                        {"type": "text", "text": "Hi"},
                    ],
                }
            ]
        },
        images=coco,
    )
    assert [shown(one)[0] for one in found.records] == [
        [str(coco / "000000000007.jpg")],
        [str(coco / "train/b.jpg"), "/c.jpg"],
        [web],
        [str(coco / "d.jpg")],
    ]
    assert not found.unseen


def test_captions_stand_behind_a_row_s_own_facts(tmp_path: Path, coco: Path) -> None:
    facts = known(tmp_path, {"000000000007.jpg": ["a cat", "a mat"]})
    (one, other) = rows(
        tmp_path, PAIR, {**PAIR, "facts": ["a hat", "a mat"]}, images=coco, facts=facts
    ).records
    assert shown(one) == ([str(coco / "000000000007.jpg")], ("a cat", "a mat"))
    assert shown(other)[1] == ("a hat", "a mat", "a cat"), "each once"


def test_choices_of_a_okvqa_have_facts_of_their_own(tmp_path: Path) -> None:
    facts = known(
        tmp_path,
        {
            "7.jpg": ["a cat"],
            "aok_7.jpg": {"rationales": ["it purrs", "it naps"], "answer": "cat"},
        },
    )
    found = rows(
        tmp_path,
        *(
            {"image": "train2017/7.jpg", "conversations": TALK, "caption_type": kind}
            for kind in (1, 2, 5, 6, 7)
        ),
        kind="prompts",
        facts=facts,
    )
    plain, choice = ("a cat",), ("it purrs", "it naps", "cat")
    assert [shown(one)[1] for one in found.records] == [plain, choice, choice, plain, plain]


def test_a_picture_of_which_nothing_is_known_is_told_with_its_row(tmp_path: Path) -> None:
    facts = known(tmp_path, {"7.jpg": "a cat"})
    found = rows(
        tmp_path,
        {"image": "7.jpg", "prompt": "Hi"},
        {"image": "8.jpg", "prompt": "Hi"},
        {"prompt": "no picture, so no caption of it"},
        {"image": "7.jpg", "conversations": TALK, "caption_type": 3},
        kind="prompts",
        facts=facts,
    )
    assert [shown(one)[1] for one in found.records] == [("a cat",), ()]
    lines = "\n".join(found.tally.lines())
    assert found.tally.dropped == {"no facts of its picture": 2}
    assert "rows.jsonl:2" in lines
    assert "captions.json has no entry '8.jpg'" in lines
    with pytest.raises(BadData, match=r"'8\.jpg'"):
        found.tally.check(0.05)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("[1]", "no object of pictures"),
        ("{", "not JSON"),
        ({"7.jpg": []}, "'7.jpg' holds no text"),
        ({"7.jpg": ["a", 3]}, "'7.jpg' holds no text"),
        ({"7.jpg": [" "]}, "none of them empty"),
        ('{"7.jpg": "a", "7.jpg": "b"}', "'7.jpg' stands there twice"),
        ('{"7.jpg": ["\\ud800"]}', "'7.jpg' holds half a character"),
        ('{"7.jpg": ' + "[" * 900 + '"a"' + "]" * 900 + "}", "too deep|recursion depth"),
    ],
)
def test_what_is_no_file_of_captions_is_refused(told: object, why: str, tmp_path: Path) -> None:
    path = known(tmp_path, told)
    with pytest.raises(BadData, match=why) as caught:
        Captions.read(path)
    assert f"facts={path}" in str(caught.value)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"images=.*gone: no such folder"):
        Beside.of(tmp_path / "gone")
    with pytest.raises(BadData, match=r"facts=.*gone.json: cannot be read \(No such file"):
        Beside.of(None, tmp_path / "gone.json")


def test_offers_and_texts_lie_elsewhere_too(tmp_path: Path, coco: Path) -> None:
    beside = Beside.of(coco, known(tmp_path, {"7.jpg": "a cat"}))
    path = tmp_path / "offers.jsonl"
    path.write_text(json.dumps({"image": "7.jpg", "prompt": "Hi", "responses": ["a", "b"]}) + "\n")
    (offer,) = read_offers(path, beside=beside).rows
    assert shown(offer) == ([str(coco / "7.jpg")], ("a cat",))
    path.write_text(json.dumps({"image": "7.jpg", "prompt": "Hi", "response": "a"}) + "\n")
    (one,) = read_texts(path, beside).records
    assert shown(one)[0] == [str(coco / "7.jpg")]


def test_a_folder_that_nothing_needs_is_told(tmp_path: Path, coco: Path) -> None:
    assert rows(tmp_path, {"prompt": "Hi"}, images=coco).unseen
    assert not rows(tmp_path, {"prompt": "Hi"}).unseen
