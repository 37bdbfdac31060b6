"""The command: models and files of answers before judges, resumable, every setting heard."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from accord.config import read
from accord.engine.roles import Policy
from accord.errors import BadData, BadSettings, CannotWrite, RunMismatch
from accord.evaluate import answers
from accord.evaluate.winrate import winrate
from accord.recipes import evaluate_job
from accord.recipes.evaluate_job import EvaluateJob, run_evaluate
from accord.recipes.job import Desk
from accord.store.lock import holder
from recipe_fakes import WHO, newborn

PROMPTS = [f"{who} and {other}" for who in WHO[:4] for other in WHO[:3]]
RULES = """
import time

def short(prompt, answer, ended):
    return -float(len(answer))

def long(prompt, answer, ended):
    return float(len(answer)) + len(prompt) / 1000

def even(prompt, answer, ended):
    if len(prompt) % 2:
        raise ValueError("an odd prompt")
    return float(len(answer))

def slow(prompt, answer, ended):
    time.sleep(0.4)
    return 1.0

def judge(prompt, first, second):
    return 0.5 + ((len(first) > len(second)) - (len(first) < len(second))) / 2

def mute(prompt, first, second):
    return None if len(prompt) > 11 else 1.0
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Path:
    """Two models, a rule file, prompts, and answers that stand in files."""
    home = tmp_path_factory.mktemp("evaluate")
    newborn(home / "a")
    newborn(home / "b", seed=3)
    (home / "rules.py").write_text(RULES)
    _lines(home / "ask.jsonl", [{"prompt": p} for p in PROMPTS])
    _lines(home / "said.jsonl", [{"prompt": p, "response": " ran home."} for p in PROMPTS])
    _lines(home / "refs.jsonl", [{"prompt": p, "response": " sat on a mat."} for p in PROMPTS])
    (home / "held.txt").write_text("Tom ran home.\n\nLily saw the sun.")
    return home


def _lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def job(here: Path, out: Path, *words: str) -> EvaluateJob:
    base = {
        "model": here / "b",
        "against": here / "a",
        "prompts": here / "ask.jsonl",
        "rule": f"{here}/rules.py:short",
        "longest": 5,
        "out": out,
    }
    given = {**base, **dict(word.replace("@", str(here)).split("=", 1) for word in words)}
    return read(EvaluateJob, None, [f"{k}={v}" for k, v in given.items() if v != "none"])


def run(here: Path, out: Path, *words: str) -> tuple[dict[str, Any], list[str]]:
    """What came out, and what was said on the way."""
    said: list[str] = []
    done = run_evaluate(Desk((), said.append), job(here, out, *words))
    return done.told, said


def test_two_models_by_a_rule(here, tmp_path) -> None:
    told, _ = run(here, tmp_path, "reward=@/rules.py:long", "text=@/held.txt")
    rows = [json.loads(x) for x in (tmp_path / "report/answers.jsonl").read_text().splitlines()]
    assert [row["prompt"] for row in rows] == PROMPTS
    scores = [[row[side][0]["scores"]["rule"] for row in rows] for side in ("against", "model")]
    assert scores[1] == [-float(len(row["model"][0]["text"])) for row in rows]
    want = winrate(*scores)
    first, second = told["win_rates"]
    assert (first["voice"], second["voice"]) == ("rule", "reward")
    assert (first["wins"], first["ties"], first["losses"]) == (want.wins, want.ties, want.losses)
    assert first["rate"] == want.rate
    assert (second["wins"], second["losses"]) == (want.losses, want.wins)
    assert told["kl"]["exact"]["value"] > 0.1
    assert told["kl"]["doubt"] == ""
    assert told["watch"]["pearson"] == pytest.approx(-1, abs=1e-3)
    assert set(told["tax"]) == {"model", "against", "change"}
    assert told["style"]["model"]["length"] <= 5
    page = (tmp_path / "report/evaluation.html").read_text()
    assert told["verdict"]["sentence"].split(",")[0] in page.replace("&#39;", "'")
    assert "<script" not in page
    assert json.loads((tmp_path / "report/evaluation.json").read_text()) == told


def test_a_model_against_itself_differs_in_nothing(here, tmp_path) -> None:
    """The same dice for both sides: every pair is a tie, and KL is 0."""
    told, _ = run(here, tmp_path, "against=@/b", "text=@/held.txt", "judge=@/rules.py:judge")
    assert [one["ties"] for one in told["win_rates"]] == [12, 12]
    assert told["kl"]["exact"]["value"] == pytest.approx(0, abs=1e-6)
    assert told["tax"]["change"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert told["verdict"]["tone"] == "unclear"


def test_the_same_again_costs_nothing_and_other_settings_are_refused(
    here, tmp_path, monkeypatch
) -> None:
    told, _ = run(here, tmp_path)
    monkeypatch.setattr(Policy, "sample", lambda *_, **__: pytest.fail("sampled"))
    again, said = run(here, tmp_path)
    assert again == told
    assert "nothing to do" in said[-1]
    with pytest.raises(RunMismatch, match="longest"):
        run(here, tmp_path, "longest=4")
    (tmp_path / "report").rename(tmp_path / "old")
    again, _ = run(here, tmp_path)
    assert again == told, "from the answers that were kept"
    (tmp_path / "report").rename(tmp_path / "older")
    with pytest.raises(RunMismatch, match=r"answers-against.jsonl holds .* longest was 5 and is"):
        run(here, tmp_path, "longest=4")


def test_a_judge_whose_file_changed_is_another_judge(here, tmp_path) -> None:
    own = tmp_path / "own.py"
    for word in ("rule={}:short", "judge={}:judge", "ensemble={0}:long,{0}:short"):
        own.write_text(RULES)
        out = tmp_path / word[:4]
        run(here, out, word.format(own))
        own.write_text(RULES + "\n# changed")
        with pytest.raises(RunMismatch, match="made otherwise"):
            run(here, out, word.format(own))


KILLED = """
import os, signal, sys
from accord.engine.roles import Policy
from accord.evaluate import answers
from accord.recipes.evaluate_job import EvaluateJob, run_evaluate
from accord.recipes.job import Desk
from accord.config import read

answers.LOT, calls, honest = 3, 0, Policy.sample

def sample(self, *given, **more):
    global calls
    calls += 1
    if calls == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
    return honest(self, *given, **more)

Policy.sample = sample
run_evaluate(Desk((), print), read(EvaluateJob, None, sys.argv[1:]))
"""


@pytest.mark.parametrize("at", [3, 6])
def test_killed_and_gone_on_it_is_the_same(here, tmp_path, monkeypatch, at) -> None:
    """Four lots of three prompts a side: killed within the first side, and within the second."""
    monkeypatch.setattr(answers, "LOT", 3)
    words = [f"model={here}/b", f"against={here}/a", f"prompts={here}/ask.jsonl", "longest=5"]
    words += [f"rule={here}/rules.py:short", f"out={tmp_path}/cut"]
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(at=at), *words],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": "src"},
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    kept = tmp_path / "cut" / ("answers-against.jsonl" if at == 3 else "answers-model.jsonl")
    assert len(kept.read_text().splitlines()) == 1 + 3 * (2 if at == 3 else 1)
    with kept.open("a") as file:
        file.write('{"id": "6/0", "prompt_i')  # and a line that was cut
    count, honest = [], Policy.sample
    monkeypatch.setattr(Policy, "sample", lambda *a, **k: count.append(1) or honest(*a, **k))
    run(here, tmp_path / "cut")
    assert len(count) == (6 if at == 3 else 3)
    run(here, tmp_path / "whole")
    for name in ("answers-against.jsonl", "answers-model.jsonl", "report/answers.jsonl"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


HOLDING = """
import sys
from pathlib import Path
from accord.store.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_at_once_in_one_folder_are_refused(here, tmp_path) -> None:
    """Whoever comes second is told who writes there; once that one has ended it goes on."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path / "out")],
        env={**os.environ, "PYTHONPATH": "src"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        with pytest.raises(CannotWrite, match=f"is being written by process {other.pid}; wait"):
            run(here, tmp_path / "out")
        assert [x.name for x in (tmp_path / "out").iterdir()] == ["lock"]
        other.communicate()
    run(here, tmp_path / "out")
    assert holder(tmp_path / "out") is None


def test_a_model_against_references(here, tmp_path) -> None:
    told, _ = run(here, tmp_path, "against=@/refs.jsonl", "prompts=none", "n=2")
    assert told["prompts"] == 12
    assert told["answers"] == 24
    assert told["kl"] is None
    assert "stand in a file" in told["no_kl"]
    assert told["unit"] == "tokens"
    rows = [json.loads(x) for x in (tmp_path / "report/answers.jsonl").read_text().splitlines()]
    assert [one["text"] for one in rows[0]["against"]] == [" sat on a mat."] * 2


def test_two_files_need_no_model(here, tmp_path) -> None:
    words = ("model=@/said.jsonl", "against=@/refs.jsonl", "prompts=none")
    told, said = run(here, tmp_path, *words, "judge=@/rules.py:judge")
    assert told["unit"] == "characters"
    judge, rule = told["win_rates"]
    assert (rule["wins"], rule["rate"]) == (12, 1.0)
    assert (judge["losses"], judge["first"]["value"], judge["steady"]["value"]) == (12, 0.5, 1.0)
    assert told["verdict"]["tone"] == "worse"
    assert any("longest change nothing" in line for line in said)


def test_prompts_without_an_answer_are_counted_and_too_many_refused(here, tmp_path) -> None:
    rows = [{"prompt": p, "response": " ran."} for p in PROMPTS[:9]]
    _lines(tmp_path / "few.jsonl", [*rows, {"prompt": PROMPTS[0], "response": " sat."}])
    words = (f"against={tmp_path}/few.jsonl",)
    with pytest.raises(BadData, match="no answer in the file"):
        run(here, tmp_path / "out", *words)
    told, said = run(here, tmp_path / "out", *words, "limit=0.5")
    assert told["prompts"] == 9
    assert any("1 answers beyond the first 1" in line for line in said)
    _lines(tmp_path / "none.jsonl", [{"prompt": "Who?", "response": " I."}])
    with pytest.raises(BadData, match="0 of 12 rows kept"):
        run(here, tmp_path / "out", f"against={tmp_path}/none.jsonl", "limit=1")


def test_what_cannot_be_judged_is_counted_apart(here, tmp_path) -> None:
    told, _ = run(here, tmp_path, "rule=@/rules.py:even", "judge=@/rules.py:mute")
    judge, rule = told["win_rates"]
    odd = sum(len(p) % 2 for p in PROMPTS)
    assert rule["invalid"] == odd > 0
    assert rule["wins"] + rule["ties"] + rule["losses"] == 12 - odd
    assert "ValueError: an odd prompt" in next(iter(rule["reasons"]))
    assert judge["invalid"] > 1
    assert judge["first"]["value"] == 1.0
    assert told["scores"][0]["model"]["invalid"] == odd
    assert told["verdict"]["tone"] == "unclear"
    assert "could not be judged" in told["verdict"]["sentence"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("rule=none",), "nothing to evaluate by"),
        (("ensemble=@/rules.py:long",), "two or more"),
        (("prompts=none",), "say which, prompts=FILE"),
        (("against=@/refs.jsonl", "text=@/held.txt"), "text= is read by models"),
        (("judge=@/rules.py:nobody",), "judge=.*has no function 'nobody'"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_sampled(here, tmp_path, words, says) -> None:
    with pytest.raises(BadSettings, match=says):
        run(here, tmp_path, *words)
    assert not list(tmp_path.glob("answers-*"))


def test_text_alone_will_do(here, tmp_path) -> None:
    told, _ = run(here, tmp_path, "rule=none", "text=@/held.txt")
    assert told["win_rates"] == []
    assert "Nobody judged" in told["verdict"]["sentence"]
    assert told["tax"]["model"]["texts"] == 1


# --- every setting is heard ---


@pytest.fixture(scope="module")
def plain(here, tmp_path_factory) -> dict[str, Any]:
    return run(here, tmp_path_factory.mktemp("plain"))[0]


@pytest.mark.parametrize(
    "words",
    [
        ("n=2",),
        ("longest=3",),
        ("how.temperature=0.5",),
        ("how.top_k=3",),
        ("how.min_p=0.3",),
        ("seed=1",),
        ("dtype=bf16",),
        ("template=turns",),
        ("rule=@/rules.py:long",),
        ("reward=@/rules.py:long",),
        ("judge=@/rules.py:judge",),
        ("ensemble=@/rules.py:long,@/rules.py:short",),
        ("text=@/held.txt",),
        ("model=@/a",),
        ("against=@/b",),
    ],
    ids=lambda words: words[0].split("=")[0],
)
def test_changing_a_setting_changes_what_comes_out(here, tmp_path, plain, words) -> None:
    told, _ = run(here, tmp_path, *words)
    parts = ("win_rates", "scores", "style", "kl", "tax", "watch", "no_kl")
    assert [told[key] for key in parts] != [plain[key] for key in parts]


def test_a_deadline_is_kept(here, tmp_path) -> None:
    with pytest.raises(BadData, match="none of 12 prompts"):
        run(here, tmp_path, "rule=@/rules.py:slow", "guard.seconds=0.05")


def test_columns_are_mapped(here, tmp_path) -> None:
    _lines(tmp_path / "q.jsonl", [{"ask": p, "say": " ran."} for p in PROMPTS])
    words = (f"against={tmp_path}/q.jsonl", "prompts=none")
    told, _ = run(here, tmp_path, *words, "columns.prompt=ask", "columns.response=say")
    assert told["prompts"] == 12


def test_how_rewards_are_read_is_handed_on(here, tmp_path, monkeypatch) -> None:
    seen: list[Any] = []
    honest = evaluate_job.Bench.of
    monkeypatch.setattr(
        evaluate_job.Bench, "of", lambda said, *a, **k: seen.append(said) or honest(said, *a, **k)
    )
    done = job(here, tmp_path, "classifier.text=answer", "http.seconds=7")
    run_evaluate(Desk((), print), done)
    assert (seen[0].classifier, seen[0].http) == (done.classifier, done.http)


def test_greedy_or_cut_answers_have_no_kl(here, tmp_path) -> None:
    told, _ = run(here, tmp_path, "how.temperature=0")
    assert told["kl"] is None
    assert "greedily" in told["no_kl"]
