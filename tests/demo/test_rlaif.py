"""The demo of RLAIF: a program that plays a model, said to be one, and the whole way in small."""

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from typer.testing import CliRunner

from accord import cli
from accord.data.constitution import read_constitution
from accord.data.principled import OPTIONS, to_choose, to_criticise, to_revise
from accord.demo import rlaif
from accord.demo.gentle import OF, gentle, harms, is_gentle
from accord.demo.rlaif_page import Row, Told, _findings
from accord.demo.simulated import NOTHING, Simulated
from accord.engine.llm import Ask, Spoken
from accord.records import ask
from accord.verbs import VERBS

C = read_constitution("stories")
BEGUN = ask("Once there was a boy named Tom.")
STORY = ' He fell and cried. Then he ran home. "Do not be scared!" said Mom. They played all day.'


def said(llm: Simulated, put: Any, seed: int = 0) -> str:
    (heard,) = llm.say([Ask(*put, seed)], longest=99)
    assert isinstance(heard, Spoken)
    return heard.text.strip()


def test_it_criticises_and_revises_by_the_principle_it_is_asked_about() -> None:
    llm = Simulated(C, slips=0)
    told = {}
    for by in C.revise:
        critique = said(llm, to_criticise(C, by, BEGUN, STORY))
        told[by.id] = critique, said(llm, to_revise(C, by, BEGUN, STORY, critique))
    assert told["unhurt"] == (
        'The story says "fell".',
        'Then he ran home. "Do not be scared!" said Mom. They played all day.',
    )
    assert "scared" not in told["unafraid"][1]
    assert told["kind"] == (NOTHING, STORY.strip())
    assert harms(told["ending"][1], "ending") == 0
    bare = said(llm, to_revise(C, C.revise[0], BEGUN, STORY, None))
    assert bare == told["unhurt"][1], "without a critique too"


def test_now_and_then_it_changes_nothing() -> None:
    llm = Simulated(C, slips=0.3)
    put = to_revise(C, C.revise[0], BEGUN, STORY, "x")
    kept = [said(llm, put, seed) == STORY.strip() for seed in range(300)]
    assert 0.2 < fmean(kept) < 0.4


def odds(llm: Simulated, a: str, b: str, by: int = 0) -> float:
    put = to_choose(C, C.compare[by], BEGUN, (a, b), seed=1)
    (told,) = llm.weigh([Ask(*put)], [OPTIONS])
    assert isinstance(told, tuple)
    assert math.isclose(sum(map(math.exp, told)), 1)
    return math.log(math.exp(told[0]) / math.exp(told[1]))


def test_its_choice_follows_the_principle_its_noise_and_the_place() -> None:
    kind, hard = " They played and laughed.", " He fell and was hurt."
    even = Simulated(C, noise=0, place=0)
    assert odds(even, kind, hard) == pytest.approx(3.0)
    assert odds(even, hard, kind) == pytest.approx(-3.0)
    fond = Simulated(C, noise=0, place=1)
    assert odds(fond, kind, hard) == pytest.approx(4.0)
    assert odds(fond, hard, kind) == pytest.approx(-2.0)
    noisy = Simulated(C, noise=2, place=0)
    assert odds(noisy, kind, hard) == pytest.approx(-odds(noisy, hard, kind)), "of the pair"
    spread = [odds(noisy, f" They played {i}.", f" They ran {i}.") for i in range(300)]
    assert abs(fmean(spread)) < 0.4
    assert 1.6 < fmean(x * x for x in spread) ** 0.5 < 2.4


def test_it_says_that_it_is_simulated_and_all_that_decides() -> None:
    names = {Simulated(C, *more).which for more in ((), (2.0,), (1.0, 0.0), (1.0, 1.0, 0.0))}
    assert len(names) == 4
    assert all(name.startswith("simulated:") for name in names)


def test_gentle_counts_words_and_an_empty_story_is_none() -> None:
    assert gentle("", LONG, True) == 1
    assert gentle("", LONG + " He was sad.", True) == 0.75
    assert gentle("", LONG + " Sad, scared, hurt, angry, upset.", True) == 0
    assert gentle("", "They played.", True) == 0
    assert set(OF) == {one.id for one in C.revise} == {one.id for one in C.compare}


LONG = "They played and laughed and ran and sang and then went home."


def test_few_words_are_no_gentle_story_and_length_is_told() -> None:
    row = Row.of("x", [LONG, "They played.", LONG + " He was sad."])
    assert row.gentle.value == pytest.approx(1 / 3)
    assert is_gentle(LONG)
    assert not is_gentle("")
    assert row.harm.value == pytest.approx(100 / 15 / 3)
    assert row.words.value == pytest.approx((12 + 2 + 15) / 3)
    long, short = (Row.of(name, [LONG * n] * 30) for name, n in (("a", 3), ("b", 1)))
    titles = [one.title for one in _findings(long, short)]
    assert "Stories grew shorter" in titles
    assert "Stories grew shorter" not in [one.title for one in _findings(short, long)]


def test_what_people_like_is_told_by_both_its_halves() -> None:
    cut, whole = (
        Row.of(name, [LONG + " A dog came."] * 30, [ends] * 30)
        for name, ends in (("a", False), ("b", True))
    )
    told = {one.title: one.severity for one in _findings(cut, whole)}
    assert told["Stories that end in time rose"] == "note"
    assert told["Stories with an animal stayed, as far as can be told"] == "note"
    assert _findings(whole, cut)[-1].severity == "warning"
    assert Row.of("x", [LONG]).ended is None, "of a revision nobody asks whether it was cut"


def test_certainty_is_held_against_what_is_true() -> None:
    labels = [(0.9, True), (0.1, True), (0.55, False), (0.5, True)]
    told = Told(True, "", "", (), (), labels, (), (), ())
    assert [n for *_, n in told.certainty] == [1, 1, 2]
    assert told.certainty[-1][:2] == pytest.approx((0.9, 0.5))
    assert Told(True, "", "", (), (), (), (), (), ()).certainty == []


def call(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, ["demo", *words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output.replace("\n", " ")


SMALL = (
    *("method=rlaif", "prompts=10", "tests=6", "ppo.steps=1", "ppo.batch=4", "ppo.longest=40"),
    *("ppo.minibatches=1", "ppo.epochs=1", "seeds=1", "revise.rounds=2", "revise.longest=60"),
    *("compare.longest=40", "reward.epochs=1"),
)


def test_the_whole_way_and_the_same_again(tmp_path: Path) -> None:
    code, told = call(*SMALL, f"out={tmp_path}/out")
    assert code == 0, told
    assert "simulated" in told
    page = tmp_path / "out/page"
    numbers = json.loads((page / "feedback.json").read_text())
    assert [row["name"] for row in numbers["stages"]] == ["the start", "after SFT", "after PPO"]
    harm = [row["harm"]["value"] * row["words"]["value"] for row in numbers["rounds"]]
    assert len(harm) == 3
    assert harm[2] < harm[0], "sentences that hurt or scare are left out"
    assert [len(one["right"]) for one in numbers["variants"]] == [1] * 4
    text = (page / "feedback.html").read_text()
    assert text.count("imulated") >= 3
    assert numbers["which"].startswith("simulated:")
    for name in ("compare/labels/comparisons.jsonl", "revise/revisions/demonstrations.jsonl"):
        rows = [json.loads(x) for x in (tmp_path / "out" / name).read_text().splitlines()]
        assert rows
        who = {row.get("judge") or row.get("author") for row in rows}
        assert all(one.startswith("simulated:") for one in who)
    before = (page / "artifact.json").read_bytes()
    code, told = call(*SMALL, f"out={tmp_path}/out")
    assert code == 0
    assert (page / "artifact.json").read_bytes() == before
    assert rlaif.PAGE in told


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("method=rlaif", "judge=Me"), "a model judges by principles"),
        (("method=rlaif", "scene=answers"), "plays stories"),
        (("noise=2",), "are of method=rlaif"),
    ],
)
def test_what_does_not_go_together_is_refused(
    words: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    code, told = call(*words, f"out={tmp_path}/out")
    assert code == 2
    assert why in told.replace("  ", " ")


def test_killed_anywhere_the_same_command_goes_on_and_asks_nothing_twice() -> None:
    """In processes of its own, because it forks."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # many small files
    tests = Path(__file__).parents[1]
    paths = [*(path for path in sys.path if path), str(tests), str(tests / "recipes")]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    with tempfile.TemporaryDirectory(dir=memory) as root:
        command = [sys.executable, str(Path(__file__).parent / "kills_rlaif.py"), root]
        done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4


def test_where_no_two_stories_differ_no_models_are_compared() -> None:
    rows = [Row.of("a", ["x"]), Row.of("b", ["y"])]
    told = Told(True, "", "", rows, rows, (), (), (), ())
    assert any("so none was made" in part.note for part in told.sheet().sections)


def test_a_real_model_is_asked_less_than_a_program_that_costs_nothing() -> None:
    read = VERBS["demo"].read
    played, more, _ = read(None, ["method=rlaif"])
    real, its, _ = read(None, ["method=rlaif", "llm=smollm2"])
    assert (played.prompts, more.compare.principles) == (300, 4)  # type: ignore[attr-defined]
    assert (real.prompts, its.compare.principles) == (200, 1)  # type: ignore[attr-defined]
    said = ["method=rlaif", "compare.principles=2", "prompts=50"]
    played, more, _ = read(None, said)
    assert (played.prompts, more.compare.principles) == (50, 2)  # type: ignore[attr-defined]
