"""POPE's reading and its numbers, counted by hand, and the real files."""

import json
from pathlib import Path

import pytest

from accord.errors import BadData
from accord.evaluate.pope import Asked, by_rule, names, plainly, read, splits
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


@pytest.mark.parametrize(
    ("paths", "called"),
    [
        (["coco_pope_random.json", "coco_pope_popular.json"], ["random", "popular"]),
        (
            ["coco_pope_random.json", "aokvqa_pope_random.json", "coco_pope_popular.json"],
            ["coco_pope_random", "aokvqa_pope_random", "coco_pope_popular"],
        ),
        (
            ["coco/pope_random.json", "gqa/pope_random.json"],
            ["coco/pope_random", "gqa/pope_random"],
        ),
        (["a/x/random.json", "b/x/random.json"], ["a/x/random", "b/x/random"]),
        (["random.json", "random.jsonl"], ["random.json", "random.jsonl"]),
        (["pope_all.json"], ["pope_all"]),
        (["my.random.json", "my.popular.json"], ["my.random", "my.popular"]),
    ],
)
def test_files_are_called_by_as_much_as_tells_them_apart(
    paths: list[str], called: list[str]
) -> None:
    assert names([*map(Path, paths)]) == called


def test_a_link_is_called_by_its_own_name(tmp_path: Path) -> None:
    """As files lie in the cache of a hub: links to blobs."""
    links = []
    for n, name in enumerate(("coco_random.json", "gqa_random.json")):
        (tmp_path / f"blob{n}").write_text("")
        (tmp_path / name).symlink_to(tmp_path / f"blob{n}")
        links.append(tmp_path / name)
    assert names(links) == ["coco_random", "gqa_random"]


def test_a_file_given_twice_is_refused() -> None:
    with pytest.raises(BadData, match=r"a/\.\./x\.json: .* stands already at x\.json"):
        names([Path("x.json"), Path("a/../x.json")])


def test_two_sets_are_read_side_by_side(tmp_path: Path) -> None:
    home = Path(__file__).parents[2].parent / "shared/data/pope"
    if not home.exists():
        pytest.skip("POPE's questions are not here")
    other = tmp_path / "aokvqa_pope_random.json"
    other.write_text("\n".join((home / "coco_pope_popular.json").read_text().splitlines()[:100]))
    every = read([home / "coco_pope_random.json", other])
    assert len(every) == len({one.look.id for one in every}) == 3100
    assert every[-1].look.id.startswith("aokvqa_pope_random/")
    parts, _ = splits(every, ["yes"] * 3100)
    counts = {part.name: part.count for part in parts}
    assert counts == {"all": 3100, "coco_pope_random": 3000, "aokvqa_pope_random": 100}


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
