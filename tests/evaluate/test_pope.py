"""POPE's reading and its numbers, counted by hand, and the real files."""

import json
from pathlib import Path

import pytest

from accord.errors import BadData
from accord.evaluate.pope import Asked, by_rule, plainly, read, splits
from accord.evaluate.seeing import Look
from accord.records import Invalid


@pytest.mark.parametrize(
    ("text", "paper", "plain"),
    [
        ("Yes, there is a dog.", True, True),
        ("No, there is none.", False, False),
        ("There is not a dog. Yes.", False, False),
        ("NO", True, False),
        ("There isn't.", True, False),
        ("A dog.", True, None),
        ("Yes and no.", False, None),
        ("Yes. There is no cat.", True, True),
        ("Nothing to see", True, None),
        ("", True, None),
    ],
)
def test_answers_are_read_by_the_rule_and_plainly(
    text: str, paper: bool, plain: bool | None
) -> None:
    assert by_rule(text) is paper
    assert plainly(text) is plain


def asked(split: str, *right: bool) -> list[Asked]:
    return [Asked(Look(f"{split}/{i}", "?", "a", "f"), split, yes) for i, yes in enumerate(right)]


def test_numbers_are_as_counted_by_hand() -> None:
    first = asked("random", True, True, True, False, False)
    second = asked("popular", False, True)
    said = ["yes", "yes", "no", "yes", "no", "a cat", Invalid("gone")]
    parts, lost = splits([*first, *second], said)
    assert lost == {"gone": 1}
    told = {part.name: part for part in parts}
    one = told["random"]
    assert one.precision is not None
    assert one.recall is not None
    assert one.f1 is not None
    assert (one.accuracy.value, one.precision.value, one.recall.value) == (3 / 5, 2 / 3, 2 / 3)
    assert one.f1.value == pytest.approx(2 / 3)
    assert one.f1.low < 2 / 3 < one.f1.high
    assert one.yes.value == 3 / 5
    every = told["all"]
    assert every.count == 6
    assert every.unclear == 1
    assert every.accuracy.value == 3 / 6
    assert told["popular"].recall is None
    assert parts[0].name == "all"


def test_unclear_answers_are_wrong_where_one_is_strict() -> None:
    ((part,), _) = splits(asked("random", True, True), ["a cat", "yes"])
    assert part.accuracy.value == 1
    assert part.strict.value == 1 / 2
    with pytest.raises(BadData, match="no question has an answer: gone"):
        splits(asked("random", True), [Invalid("gone")])


def test_what_is_no_file_of_questions_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "coco_pope_random.json"
    row = {"question_id": 1, "image": "a.jpg", "text": "Is it?", "label": "yes"}
    for text, why in (
        ("", "random.json: it is empty"),
        ('{"question_id": 1', "random.json:1: the line is not JSON"),
        (json.dumps({**row, "label": "maybe"}), ":1: \"label\" is 'maybe', and yes or no"),
        (json.dumps({k: v for k, v in row.items() if k != "image"}), ':1: no text under "image"'),
        (f"{json.dumps(row)}\n{json.dumps(row)}", ":2: '1' stands already at .*:1"),
    ):
        path.write_text(text)
        with pytest.raises(BadData, match=why):
            read([path])


def test_the_real_files_are_read() -> None:
    home = Path(__file__).parents[2].parent / "shared/data/pope"
    if not home.exists():
        pytest.skip("POPE's questions are not here")
    names = ("random", "popular", "adversarial")
    every = read([home / f"coco_pope_{name}.json" for name in names])
    assert [sum(one.split == name for one in every) for name in names] == [3000, 3000, 3000]
    assert sum(one.yes for one in every) == 4500
    parts, _ = splits(every[:300], ["yes"] * 300)
    assert parts[0].yes.value == 1
