"""Several models against each other: strengths by hand, the way, files and models before judges."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from accord import cli
from accord.config import read
from accord.errors import BadData, BadSettings, RunMismatch
from accord.evaluate.elo import meetings, standings
from accord.recipes.elo_job import EloJob, named, players, run_elo
from accord.recipes.job import Desk
from accord.records import Invalid
from accord.store.judgements.ranking import bradley_terry, elo
from recipe_fakes import WHO, newborn

RULES = """
def long(prompt, answer, ended):
    return float(len(answer)) + 100 * ended

def short(prompt, answer, ended):
    return -float(len(answer))

def shorter(prompt, first, second):
    return 0.5 + ((len(first) < len(second)) - (len(first) > len(second))) / 2

def odd(prompt, answer, ended):
    if len(prompt) % 2:
        raise ValueError("an odd prompt")
    return float(len(answer))
"""


def test_who_meets_whom() -> None:
    assert meetings(3, "all") == [(0, 1), (0, 2), (1, 2)]
    assert meetings(4, "chain") == [(0, 1), (0, 2), (0, 3), (1, 2), (2, 3)]
    assert meetings(2, "chain") == [(0, 1)]


def test_strengths_by_hand() -> None:
    """b beats a in three of four: 400 log10 3 points apart, around 1000."""
    found = standings(["a", "b"], [0, 1], [(0, 1)], lambda i, j: [[1.0], [1.0], [1.0], [0.0]])
    a, b = found.players
    assert a.points and b.points  # noqa: PT018
    assert b.points.value - a.points.value == pytest.approx(400 * math.log10(3), abs=1e-6)
    assert a.points.value == pytest.approx(1000 + 400 * math.log10(2 / 4))
    assert (a.rate, b.rate, a.games) == (0.25, 0.75, 4)
    (match,) = found.matches
    assert (match.wins, match.ties, match.losses) == (3, 0, 1)
    assert match.rate and match.rate.value == 0.75  # noqa: PT018
    games = [("a", "b", winner) for winner in "yyyx"]
    p = bradley_terry(games)  # type: ignore[arg-type]
    assert 10 ** ((b.points.value - a.points.value) / 400) == pytest.approx(p["b"] / p["a"])
    orders = {round(elo([*games[k:], *games[:k]])["b"], 9) for k in range(4)}  # type: ignore
    assert round(b.elo, 9) in orders, "sequential Elo, from 1000 with K 4, in some order"


def test_what_cannot_be_judged_counts_for_nobody_and_ties_are_halves() -> None:
    def points(i: int, j: int) -> list[list[Any]]:
        return [[0.5, Invalid("broken")], [0.5, float("nan")], [1.0, 0.0]]

    found = standings(["a", "b"], [0, 1], [(0, 1)], points)
    assert found.lost == {"broken": 1, "not a number": 1}
    assert [one.points and round(one.points.value) for one in found.players] == [1000, 1000]
    assert (found.matches[0].wins, found.matches[0].ties, found.matches[0].losses) == (1, 2, 1)


def test_who_never_wins_has_no_strength_and_that_is_said() -> None:
    found = standings(["a", "b"], [0, 1], [(0, 1)], lambda i, j: [[1.0]] * 5)
    assert "cut off" in found.note
    assert any(one.points is None for one in found.players)
    assert found.players[1].elo > 1000 > found.players[0].elo


def test_names_and_steps() -> None:
    words = ["runs/a/start", "runs/a/improve-2/policy", "runs/a/improve-10/policy"]
    assert named(words) == (["a/start", "improve-2/policy", "improve-10/policy"], [0.0, 1.0, 2.0])
    assert named(words[1:]) == (["improve-2/policy", "improve-10/policy"], [2.0, 10.0])
    assert named(["x/step-5", "x/step-40"])[1] == [5.0, 40.0]


def test_patterns_find_snapshots_in_order(tmp_path: Path) -> None:
    for n in (2, 10, 1):
        (tmp_path / f"step-{n}").mkdir()
    found = players([f"{tmp_path}/step-*"])
    assert [Path(one).name for one in found] == ["step-1", "step-2", "step-10"]
    with pytest.raises(BadSettings, match="nothing is called so"):
        players([f"{tmp_path}/none-*"])
    with pytest.raises(BadSettings, match="twice"):
        players([f"{tmp_path}/step-*", f"{tmp_path}/step-2"])
    with pytest.raises(BadSettings, match="two or more"):
        players(["alone"])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("elo")
    newborn(home / "step-1")
    newborn(home / "step-5", seed=1)
    newborn(home / "step-9", seed=2)
    (home / "rules.py").write_text(RULES)
    asked = [f"{who} and {other}" for who in WHO[:4] for other in WHO[:3]]
    _lines(home / "ask.jsonl", [{"prompt": text} for text in asked])
    for name, size in (("one", 1), ("two", 2), ("three", 3)):
        rows = [
            {"prompt": text, "response": "a" * (1 + (size * 7 + 5 * k) % 11)}
            for k, text in enumerate(asked)
        ]
        _lines(home / f"{name}.jsonl", rows)
    return home


def _lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def call(home: Path, out: Path, *words: str) -> Any:
    given = {
        "models": "@/step-1,@/step-5,@/step-9",
        "prompts": "@/ask.jsonl",
        "rule": "@/rules.py:long",
        "longest": "6",
        "draws": "20",
        "out": str(out),
    }
    given |= dict(word.split("=", 1) for word in words)
    said = [f"{k}={v}".replace("@", str(home)) for k, v in given.items() if v != "none"]
    return run_elo(Desk((), lambda _: None), read(EloJob, None, said))


def test_snapshots_before_a_rule(home: Path, tmp_path: Path) -> None:
    done = call(home, tmp_path / "out", "models=@/step-*")
    assert [one.name for one in done.found.players] == ["step-1", "step-5", "step-9"]
    assert [one.step for one in done.found.players] == [1, 5, 9]
    answers = [
        json.loads(line)
        for line in (done.artifact.folder / "answers.jsonl").read_text().splitlines()
    ]
    assert len(list((tmp_path / "out").glob("answers-*.jsonl"))) == 3
    wins: Counter[str] = Counter()
    for match in done.found.matches:
        wins[done.found.players[match.second].name] += match.wins
        wins[done.found.players[match.first].name] += match.losses
    assert sum(wins.values()) + sum(m.ties for m in done.found.matches) == 3 * len(answers)
    assert call(home, tmp_path / "out", "models=@/step-*").artifact.id == done.artifact.id
    page = (done.artifact.folder / "elo.html").read_text()
    assert "Who beats whom" in page
    assert "<svg" in page


def test_files_before_a_judge_of_two(home: Path, tmp_path: Path) -> None:
    """The judge who likes it short and the rule that does agree game by game."""
    words = ("models=@/one.jsonl,@/two.jsonl,@/three.jsonl",)
    rule = call(home, tmp_path / "rule", *words, "rule=@/rules.py:short").found
    judge = call(home, tmp_path / "judge", *words, "rule=none", "judge=@/rules.py:shorter").found
    assert [(m.wins, m.ties, m.losses) for m in rule.matches] == [
        (m.wins, m.ties, m.losses) for m in judge.matches
    ]
    assert rule.players == judge.players


def test_files_of_answers_carry_their_prompts(home: Path, tmp_path: Path) -> None:
    words = ("models=@/one.jsonl,@/two.jsonl", "rule=@/rules.py:short")
    said = call(home, tmp_path / "said", *words).found
    assert call(home, tmp_path / "bare", *words, "prompts=none").found == said
    beside = "models=@/step-1,@/one.jsonl"
    found = call(home, tmp_path / "beside", *words[1:], beside, "prompts=none").found
    assert found.matches[0].wins + found.matches[0].ties + found.matches[0].losses == 12
    with pytest.raises(BadSettings, match=r"nobody says what the models are to answer: prompts="):
        call(home, tmp_path / "none", "prompts=none")


def test_a_folder_with_another_report_is_refused_before_the_work(
    home: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    call(home, out, "models=@/one.jsonl,@/two.jsonl")
    with pytest.raises(RunMismatch, match=r"made otherwise: .*Give another folder"):
        call(home, out, "models=@/step-1,@/step-5")
    assert not [*out.glob("answers-*")], "no model answered"


@pytest.mark.parametrize(
    "change",
    [
        "rule=@/rules.py:short",
        "meets=chain",
        "n=2",
        "longest=3",
        "how.temperature=0.3",
        "draws=30",
        "seed=1",
        "template=turns",
        "dtype=bf16",
    ],
)
def test_every_setting_is_heard(home: Path, tmp_path: Path, change: str) -> None:
    more = ("models=@/step-1,@/step-5,@/step-9,@/two.jsonl",) if change == "meets=chain" else ()

    def told(done: Any) -> Any:
        found = json.loads((done.artifact.folder / "elo.json").read_text())
        found.pop("settings")
        return found, (done.artifact.folder / "answers.jsonl").read_text()

    before = told(call(home, tmp_path / "one", *more))
    assert before != told(call(home, tmp_path / "two", *more, change))


def test_what_is_wrong_is_said(home: Path, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="one judges"):
        call(home, tmp_path / "a", "rule=none")
    with pytest.raises(BadSettings, match="one judges"):
        call(home, tmp_path / "a", "judge=@/rules.py:shorter")
    found = call(home, tmp_path / "b", "rule=@/rules.py:odd").found
    asked = [json.loads(line)["prompt"] for line in (home / "ask.jsonl").read_text().splitlines()]
    odd = sum(len(text) % 2 for text in asked)
    assert found.lost == {"ValueError: an odd prompt": 3 * odd}
    _lines(tmp_path / "few.jsonl", [{"prompt": "Lily and Lily", "response": "x"}])
    with pytest.raises(BadData, match="no answer in the file"):
        call(home, tmp_path / "c", f"models=@/step-1,{tmp_path}/few.jsonl")
    told: list[str] = []
    words = [f"models={home}/one.jsonl,{home}/two.jsonl", f"prompts={home}/ask.jsonl"]
    words += [f"rule={home}/rules.py:short", f"out={tmp_path}/d", "longest=3", "limit=0.9"]
    run_elo(Desk((), told.append), read(EloJob, None, words))
    assert any("longest change nothing" in line for line in told)


def test_it_is_called_from_the_command_line(home: Path, tmp_path: Path) -> None:
    words = [f"models={home}/one.jsonl,{home}/two.jsonl", f"prompts={home}/ask.jsonl"]
    words += [f"rule={home}/rules.py:short", f"out={tmp_path}/out", "draws=20"]
    done = CliRunner().invoke(cli.app, ["evaluate", "elo", *words])
    assert done.exit_code == 0, done.stderr
    assert "Who is how strong" in done.stdout
