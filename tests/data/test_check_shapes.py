"""What a check says of the shape that rows were taken for, and of keys that were not read."""

import json
from pathlib import Path
from typing import Any

import pytest

from accord.evaluate import checkpage
from accord.evaluate.checking import Check, Checked, run

PLAIN = {"prompt": "Hi", "chosen": "a", "rejected": "b"}


def checked(path: Path, *rows: dict[str, Any], **more: Any) -> Checked:
    file = path / "m.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run(Check(data=file, **more))


def found(done: Checked) -> dict[str, Any]:
    return {one.key: one for one in done.findings}


def test_the_shape_and_the_keys_that_are_not_read_are_told(tmp_path: Path) -> None:
    row = PLAIN | {"margin": 2, "source": "<b>web</b>", "<i>": 1}
    page = tmp_path / "a.html"
    done = checked(tmp_path, row, html=page)
    said = "read as TRL preference, explicit prompt; keys not read: source, <i>"
    assert said in "\n".join(checkpage.lines(done))
    assert said.replace("<i>", "&lt;i&gt;") in page.read_text()
    assert "unread-labels" not in found(done)


@pytest.mark.parametrize(
    ("row", "count", "text"),
    [
        ({"prompt": "Hi", "chosenn": "a", "rejected": "b"}, 2, "meant to be 'chosen'?"),
        ({"prompt": "Hi", "Response": "a"}, 1, "meant to be 'response'?"),
        ({"prompt": "Hi", "response": "a", "rejectd": "b"}, 1, "meant to be 'rejected'?"),
    ],
)
def test_labels_under_a_wrong_name_are_a_warning(
    row: dict[str, Any], count: int, text: str, tmp_path: Path
) -> None:
    one = found(checked(tmp_path, row))["unread-labels"]
    assert (one.severity, one.count) == ("warning", count)
    assert one.examples[0].text == text


@pytest.mark.parametrize(
    "row",
    [
        PLAIN,
        {"prompt": "Hi", "label": "yes", "source": "web", "reference": "a", "answer": "3"},
        {"prompt": "Hi", "response": "a", "messages": [], "author": "ada"},
        {
            "chosen": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "a"}],
            "rejected": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "b"}],
            "judge": "ada",
        },
    ],
)
def test_other_keys_are_not(row: dict[str, Any], tmp_path: Path) -> None:
    done = checked(tmp_path, row)
    assert "unread-labels" not in found(done)
    assert not {"chosen", "rejected", "judge", "author"} & set(done.sheet.ignored)


def test_comparisons_read_as_prompts_are_no_mistake(tmp_path: Path) -> None:
    done = checked(tmp_path, PLAIN, kind="prompts")
    assert "TRL preference, explicit prompt: the prompts alone" in checkpage.shape(done)
    assert not done.findings


def asked(text: str, picture: str) -> dict[str, Any]:
    return {"question_id": 1, "image": picture, "text": text}


def test_one_question_about_two_pictures_is_two_prompts(tmp_path: Path) -> None:
    text = "Is there a very large dog in the image?"
    rows = [asked(text, "a.jpg"), asked(text, "b.jpg"), asked(text, "c.jpg")]
    assert not {"prompt-variants", "near-prompts", "repeated-rows"} & set(
        found(checked(tmp_path, *rows))
    )
    one = found(checked(tmp_path, *rows, asked(text.upper(), "b.jpg")))["prompt-variants"]
    assert (one.count, one.of) == (1, 4)


def test_variants_are_never_more_than_the_prompts(tmp_path: Path) -> None:
    rows = [{"prompt": text} for text in ("a b", "A b", "a  b", "A B")]
    one = found(checked(tmp_path, *rows))["prompt-variants"]
    assert (one.count, one.of, one.unit) == (3, 4, "prompts")


def tree(n: int) -> dict[str, Any]:
    replies = [{"role": "assistant", "text": f"{t} {n}", "rank": i} for i, t in enumerate("ab")]
    top = {"message_id": f"m{n}", "role": "prompter", "text": f"ask {n}", "replies": replies}
    return {"message_tree_id": f"t{n}", "prompt": top}


def solved(n: int) -> dict[str, Any]:
    right = {"is_correct": True, "solution": f"a {n}"}
    return {"question": f"{n}?", "6b": right, "175b": {"is_correct": False, "solution": f"b {n}"}}


@pytest.mark.parametrize("make", [tree, solved])
def test_a_place_that_the_shape_gives_is_no_bias(make: Any, tmp_path: Path) -> None:
    done = checked(tmp_path, *map(make, range(60)))
    assert "position-bias" not in found(done)
    assert done.labels is not None
    assert done.labels.first is None


def test_a_place_that_judges_saw_may_be_one(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"ask {n}", "left": f"a {n}", "right": f"b {n}", "winner": "left"}
        for n in range(60)
    ]
    assert "position-bias" in found(checked(tmp_path, *rows))
