"""Questions of two turns: who hears what, who is compared on what, and what counts for nobody."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from accord.config import read_each
from accord.engine.draw import Sampling
from accord.engine.llm import Ask, Spoken
from accord.errors import BadData, RunMismatch
from accord.evaluate.mtbench import Question, answered, answers, judged, questions
from accord.recipes.job import Desk
from accord.recipes.mtbench_job import Benched, MTBenchJob, run_mtbench
from accord.records import Invalid
from accord.rewards.base import Score
from accord.rewards.duel import Duel
from llm_fakes import FakeLLM, served

ASKED = [
    Question("1", "writing", ("Write.", "Shorter.")),
    Question("2", "math", ("2+2?", "Times 3?"), ("4", "12")),
    Question("3", "poems", ("A poem.",)),
]


class Heard(FakeLLM):
    def say(
        self, asks: Sequence[Ask], *, longest: int, how: Sampling = Sampling()
    ) -> list[Spoken | Invalid]:
        self.warm = [*getattr(self, "warm", []), *((a.messages, how.temperature) for a in asks)]
        return super().say(asks, longest=longest, how=how)


def test_each_turn_hears_all_before_it_at_its_own_temperature() -> None:
    llm = Heard(speak=lambda one: f"re {one.messages[-1].text}")
    said = answered(llm, ASKED, longest=9)
    assert said == [("re Write.", "re Shorter."), ("re 2+2?", "re Times 3?"), ("re A poem.",)]
    warm = {talk[-1].text: t for talk, t in llm.warm}
    assert warm == {"Write.": 0.7, "Shorter.": 0.7, "2+2?": 0, "Times 3?": 0, "A poem.": 0.7}
    second = next(talk for talk, _ in llm.warm if talk[-1].text == "Times 3?")
    assert [m.text for m in second] == ["2+2?", "re 2+2?", "Times 3?"]
    cold = Heard()
    answered(cold, ASKED, longest=9, temperature=0.25)
    assert {t for _, t in cold.warm} == {0.25}


def test_a_turn_that_failed_ends_its_conversation() -> None:
    llm = FakeLLM(speak=lambda one: "!down" if one.messages[-1].text == "Write." else "fine")
    said = answered(llm, ASKED, longest=9)
    assert said[0] == (Invalid("down"),)
    assert len(llm.asked) == 4
    parts, lost = judged(lambda duels: [0.5] * len(duels), ASKED, said, said)
    assert lost == {"down": 2}
    assert parts[0].judged.rate.pairs == 3


def test_it_is_compared_as_a_whole_by_turn_and_by_category() -> None:
    seen: list[Duel] = []

    def judge(duels: Sequence[Duel]) -> list[Score]:
        seen.extend(duels)
        return [float(("good" in d.first) - ("good" in d.second) + 1) / 2 for d in duels]

    old = [("bad", "bad"), ("good", "bad"), ("bad",)]
    new = [("good", "bad too"), ("bad", "bad too"), ("good",)]
    parts, lost = judged(judge, ASKED, old, new)
    told = {p.name: (p.judged.rate.wins, p.judged.rate.ties, p.judged.rate.losses) for p in parts}
    assert told["all"] == (3, 0, 2)
    assert told["turn 1"] == (2, 0, 1)
    assert told["turn 2"] == (1, 0, 1), "what was said before is shown, and here decides"
    assert (told["writing"], told["math"], told["poems"]) == ((2, 0, 0), (0, 0, 2), (1, 0, 0))
    assert lost == {}
    right = {d.prompt[:4]: d.reference for d in seen}
    assert right["2+2?"] == "4"
    assert next(d.reference for d in seen if "Times 3?" in d.prompt) == "4\n\n12"
    assert right["Writ"] == ""
    assert len(seen) == 10, "both ways"


def test_a_judge_that_loves_a_place_makes_ties() -> None:
    parts, _ = judged(lambda duels: [1.0] * len(duels), ASKED, [("a", "a")] * 3, [("b", "b")] * 3)
    rate = parts[0].judged.rate
    assert (rate.wins, rate.ties, rate.losses) == (0, 5, 0)
    assert parts[-1].judged.first
    assert parts[-1].judged.first.value == 1.0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"turns": "Write."}', r":1: \"turns\" is no list"),
        ('{"turns": []}', "no list of texts"),
        ("[1]", "no JSON object"),
        ('{"turns": ', "q.jsonl:1: the line is not JSON"),
        ("", "no questions"),
    ],
)
def test_a_file_that_holds_no_questions_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "q.jsonl").write_text(text)
    with pytest.raises(BadData, match=why):
        questions(tmp_path / "q.jsonl")


def test_references_must_answer_what_is_asked(tmp_path: Path) -> None:
    q, r = tmp_path / "q.jsonl", tmp_path / "r.jsonl"
    q.write_text('{"question_id": 7, "turns": ["a", "b"]}\n')
    r.write_text('{"question_id": 7, "choices": [{"turns": ["x", "y"]}]}\n')
    assert questions(q, r) == [Question("7", "all", ("a", "b"), ("x", "y"))]
    r.write_text('{"question_id": 8, "choices": [{"turns": ["x"]}]}\n')
    with pytest.raises(BadData, match="answers question 8, which"):
        questions(q, r)
    r.write_text('{"question_id": 8, "choices": []}\n')
    with pytest.raises(BadData, match=r"r\.jsonl:1: no answer"):
        answers(r)


def call(*words: str) -> Benched:
    (job,) = read_each((MTBenchJob,), None, words)
    assert isinstance(job, MTBenchJob)
    return run_mtbench(Desk((), lambda _: None), job)


def test_the_command_asks_once_and_keeps_all(tmp_path: Path) -> None:
    q, a = tmp_path / "q.jsonl", tmp_path / "old.jsonl"
    q.write_text(
        "".join(
            json.dumps({"question_id": i, "category": "math", "turns": [f"a{i}?", f"b{i}?"]}) + "\n"
            for i in range(3)
        )
    )
    a.write_text(
        "".join(
            json.dumps({"question_id": i, "choices": [{"turns": ["old", "old"]}]}) + "\n"
            for i in range(2)
        )
    )
    with served() as server:
        server.speak = lambda body: (
            "[[A]]" if "=== Answer A ===\nnew" in str(body["messages"]).replace("\\n", "\n")
            or "=== Answer A ===\n1. new" in str(body["messages"]).replace("\\n", "\n")
            else "[[B]]" if "=== Answer" in str(body["messages"]) else "new"
        )  # fmt: skip
        card = tmp_path / "judge.yaml"
        card.write_text(f"llm: {server.url}\nverdict: text\n")
        words = (f"model={server.url}", f"against={a}", f"questions={q}", f"judge={card}")
        done = call(*words, f"out={tmp_path}/out")
        asked = len(server.asked)
        assert asked == 6 + 8, "six turns, and four pairs both ways"
        rate = done.parts[0].judged.rate
        assert (rate.wins, rate.ties, rate.losses) == (4, 0, 0)
        assert done.lost == {f"{a} does not answer it": 2}
        again = call(*words, f"out={tmp_path}/out")
        with pytest.raises(RunMismatch, match=r"seed.*Give another folder"):
            call(*words, f"out={tmp_path}/out", "seed=1")
        assert len(server.asked) == asked
    assert again.artifact.id == done.artifact.id
    told = json.loads((done.artifact.folder / "mt-bench.json").read_text())
    assert set(told["parts"]) == {"all", "turn 1", "turn 2", "math"}
    rows = (done.artifact.folder / "answers.jsonl").read_text().splitlines()
    assert json.loads(rows[0])["model"] == ["new", "new"]
    assert any("100%" in line for line in done.lines())


def test_the_real_file_is_read() -> None:
    home = Path(__file__).parents[2].parent / "shared/data/mt-bench"
    if not home.exists():
        pytest.skip("MT-Bench's questions are not here")
    every = questions(home / "question.jsonl", home / "reference-gpt-4.jsonl")
    assert len(every) == 80
    assert {len(one.turns) for one in every} == {2}
    assert {one.category for one in every if one.references} == {"math", "reasoning", "coding"}
