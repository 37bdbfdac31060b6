"""LLaVA-Bench: how scores are read, both orders, and the relative score by hand."""

from pathlib import Path

import pytest

from accord.errors import BadData
from accord.evaluate.llavabench import Question, Scored, parts, read, scored, scores
from accord.evaluate.seeing import Look
from accord.records import Invalid
from accord.rewards.judge.card import Judging
from accord.rewards.judge.opinions import Opinion
from llm_fakes import FakeLLM


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("**8 9**\nBecause", (8, 9)),
        ("8 7\nBoth are good.", (8, 7)),
        ("\n8.5, 7\nwhy 3", (8.5, 7)),
        ("8\n7", None),
        ("8 7 6", None),
        ("0 7", None),
        ("11 7", None),
        ("Assistant 1 has 8", None),
        ("-1 -1", None),
        ("", None),
    ],
)
def test_two_scores_stand_on_the_first_line(text: str, pair: tuple[float, float] | None) -> None:
    found = scores(text)
    assert (None if isinstance(found, Invalid) else found) == pair


def question(n: int, category: str) -> Question:
    return Question(Look(str(n), f"q{n}", "a.jpg", "f"), category, "a cup", "REFERENCE")


ASKED = [question(0, "conv"), question(1, "conv"), question(2, "detail")]


def judge(says: dict[str, str]) -> tuple[Opinion, FakeLLM]:
    """By the question, and by who stands first."""

    def speak(ask) -> str:
        text = ask.messages[0].text
        first = text.split("assistant 1 ===\n")[1].startswith("REFERENCE")
        name = next(name for name in ("q0", "q1", "q2") if name in text)
        return says[f"{name} {'reference' if first else 'model'}"]

    llm = FakeLLM(speak)
    return Opinion(llm, Judging(llm="fake")), llm


SAYS = {
    "q0 reference": "8 6", "q0 model": "8 8",
    "q1 reference": "10 5", "q1 model": "5 10",
    "q2 reference": "I cannot tell.", "q2 model": "5 5",
}  # fmt: skip


def test_relative_scores_of_both_orders() -> None:
    opinion, llm = judge(SAYS)
    found = scored(opinion, ASKED, ["a", "b", "c"])
    assert len(llm.asked) == 6
    assert found[0] == Scored((8, 7), (8, 6), 1.0)
    assert found[1] == Scored((10, 5), (10, 5), 0.0)
    told = {part.name: part for part in parts(ASKED, found)}
    every = told["all"]
    assert every.relative is not None
    assert every.relative.value == pytest.approx(100 * 12 / 18)
    assert every.relative.low < every.relative.value < every.relative.high
    assert (every.count, every.unread) == (2, 1)
    assert every.paper == pytest.approx(100 * (6 + 5 - 1) / (8 + 10 - 1)), "-1 enters both means"
    assert (told["detail"].relative, told["detail"].unread) == (None, 1)


def test_one_order_and_answers_that_are_not_there() -> None:
    opinion, llm = judge(SAYS)
    found = scored(opinion, ASKED, ["a", Invalid("gone"), "c"], swap=False)
    assert len(llm.asked) == 2
    assert found[0] == Scored((8, 6), (8, 6), None)
    assert found[1] == Invalid("gone")
    assert [part.name for part in parts(ASKED, found)] == ["all", "conv", "detail"]


def test_the_real_files_are_read(tmp_path: Path) -> None:
    home = Path(__file__).parents[2].parent / "shared/data/llava-bench"
    if not home.exists():
        pytest.skip("LLaVA-Bench is not here")
    names = ("qa90_questions.jsonl", "qa90_gpt4_answer.jsonl", "caps_boxes_coco2014_val_80.jsonl")
    files = [home / name for name in names]
    every = read(*files)
    assert len(every) == 90
    assert {one.category for one in every} == {"conv", "detail", "complex"}
    assert "boxes" in every[0].context
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(files[1].read_text().splitlines()[:80]))
    with pytest.raises(BadData, match=r"questions\.jsonl:81: .*does not answer question 80"):
        read(files[0], few, files[2])
