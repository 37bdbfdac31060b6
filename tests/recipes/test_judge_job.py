"""`accord judge`: asked once, told in numbers and a page; and judges as rewards and in evaluate."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from accord.config import read_each
from accord.data.sources import write
from accord.errors import BudgetSpent, RunMismatch
from accord.evaluate.hygienepage import findings
from accord.recipes.best_job import run_best
from accord.recipes.evaluate_job import EvaluateJob, run_evaluate
from accord.recipes.job import Desk
from accord.recipes.judge_job import Examined, JudgeJob, run_judge
from accord.verbs import VERBS
from llm_fakes import Server, served
from recipe_fakes import newborn, records


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judge")
    newborn(folder / "model")
    newborn(folder / "other", seed=1)
    write(folder / "judged.jsonl", records().comparisons)
    write(folder / "ask.jsonl", records().prompts[:6])
    return folder


def likes_short(server: Server) -> None:
    """The shorter answer, nine to one."""

    def top(body: dict[str, Any]) -> dict[str, float]:
        text = str(body["messages"][0]["content"])
        first = text.split("=== Answer A ===\n")[1].split("\n\n=== Answer B ===")[0]
        second = text.split("=== Answer B ===\n")[1].split("\n\n=== Your task ===")[0]
        p = 0.9 if len(first) < len(second) else 0.1 if len(first) > len(second) else 0.5
        return {"A": math.log(p), "B": math.log(1 - p)}

    server.top = top


def call(told: list[str], *words: str) -> Examined | None:
    return run_judge(Desk((), told.append), *read_each((JudgeJob,), None, words))


def test_a_judge_is_asked_both_ways_once_and_told_of(home: Path, tmp_path: Path) -> None:
    with served() as server:
        likes_short(server)
        words = (f"judge={server.url}", f"data={home}/judged.jsonl", f"out={tmp_path}/out")
        done = call([], *words, "pairs=20", "same=3")
        asked = len(server.asked)
        assert done
        assert asked == 2 * len(done.found.seen) + 3
        again = call([], *words, "pairs=20", "same=3")
        assert len(server.asked) == asked, "all is known"
        with pytest.raises(RunMismatch, match=r"pairs.*Give another folder"):
            call([], *words, "pairs=30", "same=9")
        assert len(server.asked) == asked, "it is refused before anybody is asked"
        assert again
        assert again.artifact.id == done.artifact.id
    numbers = json.loads((done.artifact.folder / "judge.json").read_text())
    assert numbers["pairs"] == len(done.found.seen)
    assert numbers["longer"]["value"] == 0
    page = (done.artifact.folder / "judge.html").read_text()
    assert all(one.title in page for one in findings(done.found))


def test_a_dry_run_asks_nobody(home: Path, tmp_path: Path) -> None:
    card = tmp_path / "judge.yaml"
    card.write_text("llm: http://127.0.0.1:9/v1#x\nasked:\n  dry: true\n")
    told: list[str] = []
    words = (f"judge={card}", f"data={home}/judged.jsonl", f"out={tmp_path}/out", "pairs=5")
    assert call(told, *words, "same=0") is None
    assert any("a dry run: 10 calls" in line for line in told)


def test_it_stops_at_the_budget_and_goes_on(home: Path, tmp_path: Path) -> None:
    with served() as server:
        likes_short(server)
        card = tmp_path / "judge.yaml"
        words = (f"judge={card}", f"data={home}/judged.jsonl", f"out={tmp_path}/out", "pairs=6")
        told = f"llm: {server.url}\nasked:\n  http:\n    at_once: 1\n"
        card.write_text(told + "  budget:\n    calls: 5\n")
        with pytest.raises(BudgetSpent, match="5 calls"):
            call([], *words, "same=0")
        card.write_text(told)
        assert call([], *words, "same=0")
        assert len(server.asked) == 12


def test_evaluate_takes_a_language_model_as_its_judge(home: Path, tmp_path: Path) -> None:
    with served() as server:
        likes_short(server)
        words = [f"model={home}/model", f"against={home}/other", f"prompts={home}/ask.jsonl"]
        words += [f"judge={server.url}", f"out={tmp_path}/e", "longest=6", "n=2"]
        done = run_evaluate(Desk((), print), *read_each((EvaluateJob,), None, words))
        asked = len(server.asked)
        assert asked > 0
    (rate,) = done.told["win_rates"]
    assert rate["wins"] + rate["ties"] + rate["losses"] == 12
    assert rate["name"] == server.url


def test_a_card_is_a_reward(home: Path, tmp_path: Path) -> None:
    """best-of-n by a grade: the server likes the letter e."""
    card = tmp_path / "grade.yaml"
    with served() as server:
        server.speak = lambda body: f"[[{min(9, 1 + str(body['messages'][0]).count('zz'))}]]"
        card.write_text(f"llm: {server.url}\nverdict: text\nmost: 9\n")
        verb = VERBS["best"]
        words = [f"model={home}/model", f"prompts={home}/ask.jsonl", f"reward={card}"]
        words += ["n=2", "longest=6"]
        settings = verb.read(None, words)
        done = run_best(Desk((), print), *settings)  # type: ignore[arg-type]
        assert len(server.asked) <= 12
    assert {score for *_, score in done.rows} == {1.0}
