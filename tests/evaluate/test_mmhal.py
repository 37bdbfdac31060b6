"""MMHal-Bench: its records, how ratings are read, and its numbers."""

import json
from pathlib import Path

import pytest

from accord.errors import BadData
from accord.evaluate.mmhal import TYPES, Rated, paper_rating, parts, put, rated, rating, read
from accord.records import Invalid
from accord.rewards.judge.card import Judging
from accord.rewards.judge.opinions import Opinion
from llm_fakes import FakeLLM


@pytest.mark.parametrize(
    ("text", "score", "paper"),
    [
        ("It is right. Rating: 4", 4, 4),
        ("RATING: 0, no good", 0, 0),
        ("Rating: 5. Again, rating: 5", 5, 5),
        ("**Rating:** 5", 5, 0),
        ("Rating: **2**", 2, 0),
        ("Rating: 5, or rating: 2", None, 0),
        ("It is good.", None, 0),
        ("Rating: 10", None, 1),
        ("Rating: 3.5", None, 3),
        ("Rating:6", 6, 0),
        ("Rating: 7", None, 0),
    ],
)
def test_a_rating_is_read_or_is_none(text: str, score: float | None, paper: float) -> None:
    found = rating(text)
    assert (None if isinstance(found, Invalid) else found) == score
    assert paper_rating(text) == paper


def row(n: int) -> dict[str, object]:
    return {
        "question_type": TYPES[n % 8],
        "question_topic": "animal" if n < 8 else "food",
        "image_id": f"i{n}",
        "image_src": f"https://x.org/{n}_o.jpg",
        "image_content": ["Cat", "Cup"],
        "question": f"What is {n}?",
        "gt_answer": "A cat.",
    }


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text(json.dumps(rows, indent=1))
    return path


def test_what_cannot_be_read_is_counted_apart_and_beside_it_as_the_paper_does(
    tmp_path: Path,
) -> None:
    records = read(write(tmp_path / "m.json", [row(n) for n in range(10)]), tmp_path)
    said = ["6", "2", "nothing", *["4"] * 6, Invalid("no answer")]
    llm = FakeLLM(lambda ask: f"rating: {ask.messages[0].text.split('answer ===')[2].split()[0]}")
    verdicts = rated(Opinion(llm, Judging(llm="fake")), records, said)
    found = {part.name: part for part in parts(records, verdicts)}
    every = found["all"]
    assert (every.count, every.unread) == (8, 1)
    assert every.score is not None
    assert every.rate is not None
    assert every.score.value == (6 + 2 + 6 * 4) / 8
    assert every.rate.value == 1 / 8
    assert every.paper_score == pytest.approx(32 / 9)
    assert every.paper_rate == 2 / 9
    assert found["type comparison"].score is None
    assert found["type adversarial"].count == 1
    assert found["topic food"].count == 1
    assert len(llm.asked) == 9
    with pytest.raises(BadData, match="no question has an answer: gone"):
        parts(records[:1], [Invalid("gone")])


def test_one_rating_alone_is_below_three_or_is_not(tmp_path: Path) -> None:
    records = read(write(tmp_path / "m.json", [row(0), row(1)]), tmp_path)
    (every, *_) = parts(records, [Rated(3.0, 3.0), Rated(2.0, 2.0)])
    assert every.rate is not None
    assert every.rate.value == 1 / 2


def test_the_judge_is_told_all(tmp_path: Path) -> None:
    (record,) = read(write(tmp_path / "m.json", [row(0)]), tmp_path)
    told = put(record, "A dog.")[0].text
    assert all(one in told for one in ("Cat, Cup", "What is 0?", "A cat.", "A dog."))


def test_a_picture_is_found_under_either_name(tmp_path: Path) -> None:
    path = write(tmp_path / "m.json", [row(0)])
    assert read(path, tmp_path)[0].look.image == "0_o.jpg"
    (tmp_path / "i0.png").touch()
    assert read(path, tmp_path)[0].look.image == "i0.png"


def test_records_that_are_none_are_refused(tmp_path: Path) -> None:
    wrong = [row(0), {**row(1), "question_type": "other"}]
    with pytest.raises(BadData, match=r"record 2: its question_type is 'other', where .*advers"):
        read(write(tmp_path / "m.json", wrong), tmp_path)
    with pytest.raises(BadData, match="record 2: 'i0' stands already"):
        read(write(tmp_path / "m.json", [row(0), {**row(1), "image_id": "i0"}]), tmp_path)
    with pytest.raises(BadData, match='no list of texts under "image_content"'):
        read(write(tmp_path / "m.json", [{**row(0), "image_content": "Cat"}]), tmp_path)


def test_the_real_file_is_read(tmp_path: Path) -> None:
    home = Path(__file__).parents[2].parent / "shared/data/mmhal"
    if not home.exists():
        pytest.skip("MMHal-Bench is not here")
    every = read(home / "mmhal-bench_answer_template.json", tmp_path)
    assert len(every) == 96
    assert {sum(one.kind == kind for one in every) for kind in TYPES} == {12}
    assert len({one.topic for one in every}) == 12
