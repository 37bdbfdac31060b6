"""MMBench: a table of a few rows, rotations, and what counts as right."""

import base64
from pathlib import Path

import pytest

import seeing
from accord.errors import BadData
from accord.evaluate.mmbench import chosen, parts, read
from accord.records import Invalid

HEAD = ("index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image")


def table(path: Path, rows: list[tuple[str, ...]], head: tuple[str, ...] = HEAD) -> Path:
    path.write_text("\n".join("\t".join(row) for row in (head, *rows)) + "\n")
    return path


@pytest.fixture
def picture(tmp_path: Path) -> str:
    file = Path(seeing.picture(tmp_path / "p.png"))
    return base64.b64encode(file.read_bytes()).decode()


def rows(picture: str) -> list[tuple[str, ...]]:
    return [
        ("7", "What is it?", "Look.", "cat", "dog", "cup", "", "B", "object", picture),
        ("8", "And now?", "nan", "red", "blue", "", "", "A", "colour", "7"),
        ("1000007", "What is it?", "Look.", "dog", "cup", "cat", "", "A", "object", "7"),
    ]


def test_options_move_round_and_pictures_become_files(tmp_path: Path, picture: str) -> None:
    first, second = read(table(tmp_path / "t.tsv", rows(picture)), tmp_path / "images")
    assert [turn.options for turn in first.turns] == [
        ("cat", "dog", "cup"),
        ("dog", "cup", "cat"),
        ("cup", "cat", "dog"),
    ]
    assert [turn.right for turn in first.turns] == [1, 0, 2]
    assert all(turn.options[turn.right] == "dog" for turn in first.turns)
    assert first.turns[1].look.question.startswith("Look.\nWhat is it?\nA. dog\nB. cup\nC. cat\n")
    assert second.turns[0].look.question.startswith("And now?\nA. red\n")
    assert second.turns[0].look.image == first.turns[0].look.image == "7.png"
    assert (tmp_path / "images/7.png").read_bytes() == (tmp_path / "p.png").read_bytes()


def test_a_question_is_right_if_all_its_rotations_are(tmp_path: Path, picture: str) -> None:
    items = read(table(tmp_path / "t.tsv", rows(picture)), tmp_path / "images")
    always_b: list[list[int | Invalid | None]] = [[1, 1, 1], [0, 1]]
    found, lost = parts(items, always_b)
    told = {part.name: part for part in found}
    assert not lost
    assert (told["all"].circular.value, told["all"].once.value) == (1 / 2, 1)
    assert (told["object"].circular.value, told["colour"].circular.value) == (0, 1)
    found, lost = parts(items, [[1, 0, None], [Invalid("too long"), 1]])
    assert (found[0].count, found[0].unread, found[0].circular.value) == (1, 1, 0)
    assert lost == {"too long": 1}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("B", 1),
        ("(C)", 2),
        ("B. dog", 1),
        ("The answer is C", 2),
        ("Dog.", 1),
        ("D", None),
        ("A cat and a dog", None),
        ("A dog.", 1),
        ("the cup", 2),
        ("A", 0),
        ("A) cat", 0),
        ("A because it purrs", 0),
        ("B dog", 1),
        ("Answer: C", 2),
        ("The answer is A.", 0),
        ("The answer is A nice one", None),
        ("The correct option is A because it purrs", 0),
        ("Both", None),
        ("", None),
    ],
)
def test_an_answer_names_an_option_or_none(
    tmp_path: Path, picture: str, text: str, place: int | None
) -> None:
    items = read(table(tmp_path / "t.tsv", rows(picture)), tmp_path / "images")
    assert chosen(items[0].turns[0], text) == place


def test_tables_that_are_none_are_refused(tmp_path: Path, picture: str) -> None:
    good = rows(picture)[0]
    for few, why in (
        ([], "no questions"),
        ([good, good], r"t\.tsv:3: '7' stands already at .*:2"),
        ([(*good[:7], "D", *good[8:])], r"t\.tsv:2: its answer is 'D', and it has 3 options"),
        ([(*good[:4], "", *good[5:6], "cup", *good[7:])], ":2: an option is empty before one"),
        ([(*good[:9], "&&&")], r':2: "image" is no base64'),
        ([(*good[:9], "AAAA")], r':2: "image" holds no PNG'),
    ):
        with pytest.raises(BadData, match=why):
            read(table(tmp_path / "t.tsv", few), tmp_path / "images")
    with pytest.raises(BadData, match=":1: no column image;"):
        read(table(tmp_path / "t.tsv", [good[:9]], HEAD[:9]), tmp_path)
    with pytest.raises(BadData, match="cannot be read"):
        read(tmp_path / "gone.tsv", tmp_path)
