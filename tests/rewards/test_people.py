"""People inside a run: asked once, waited for, heard after a kill, and missed in time."""

import time
from pathlib import Path
from typing import Any

import pytest

from accord.errors import BadSettings
from accord.records import Invalid
from accord.rewards.people import Asking, People
from accord.rewards.reader import Reader
from accord.store.judgements import people, resolve, studies
from accord.store.judgements.forms import StudyConfig
from accord.store.judgements.opening import open_store
from people_fakes import Somebody, judge_all, someone
from reward_fakes import answer
from toys import ToySpeller

QUICK = Asking(look=0.005, site="http://judge.example/")


def ask_people(tmp_path: Path, how: Asking = QUICK, **more: Any) -> People:
    return People(f"{tmp_path / 'a.db'}#live", Reader(ToySpeller()), how, **more)  # type: ignore[arg-type]


def pairs(*names: str) -> list[Any]:
    """Two answers to each prompt, the second longer."""
    return [answer(f"{n}/{k}", (2,) * (1 + k) + (1,)) for n in names for k in range(2)]


def test_the_longer_ones_are_liked_and_it_is_told(tmp_path: Path) -> None:
    said: list[str] = []
    with Somebody(tmp_path / "a.db") as ada:
        scores = ask_people(tmp_path, tell=said.append)(pairs("0"))
        assert scores == [0.0, 1.0]
    assert ada.count == 1
    assert "of 1 judged; judge at http://judge.example/studies/1/judge" in said[0]
    store = open_store(tmp_path / "a.db")
    (noted,) = resolve.exports(store)
    assert noted.path == "a run that asked"
    assert len(noted.judgements) == 1


def test_nothing_is_asked_twice_after_a_kill(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(seconds: float) -> None:
        raise Killed

    few = pairs("0")
    with pytest.raises(Killed):
        ask_people(tmp_path, rest=kill)(few)
    store = open_store(tmp_path / "a.db")
    assert judge_all(store, 1, someone(store, "ada"), len) == 1
    assert ask_people(tmp_path, rest=kill)(few) == [0.0, 1.0], "heard while it was away"
    assert [(row.items, row.open) for row in studies.studies(store)] == [(1, 0)]


def test_who_is_not_heard_in_time_is_invalid(tmp_path: Path) -> None:
    clock = iter(range(0, 10_000, 1800)).__next__
    said: list[str] = []
    how = Asking(hours=1.0, look=0.001)
    scores = ask_people(tmp_path, how, clock=clock, tell=said.append)(pairs("0"))
    assert all(isinstance(one, Invalid) and "within 1 h" in one.reason for one in scores)
    assert "1 of 1 items were not judged in time" in said[-1]


def test_several_judges_an_adjudicator_and_the_excluded(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a.db")
    made = studies.create(store, "live", "pairwise", StudyConfig(overlap=3))
    asked = ask_people(tmp_path, Asking(look=0.001))
    few = pairs("0")

    def judged(seconds: float) -> None:
        for name, like in (("ada", len), ("ben", len), ("cleo", lambda text: -len(text))):
            judge_all(store, made.id, someone(store, name), like)

    asked.rest = judged
    assert asked(few) == [pytest.approx(1 / 3), pytest.approx(2 / 3)]
    people.exclude(store, someone(store, "cleo"), None)
    asked.rest = lambda seconds: judge_all(store, made.id, someone(store, "dan"), len)
    assert asked(few) == [0.0, 1.0]


def test_one_answer_is_rated_and_three_are_ranked(tmp_path: Path) -> None:
    with Somebody(tmp_path / "a.db"), Somebody(tmp_path / "b.db"):
        alone = ask_people(tmp_path)([answer("0", (2, 2, 1)), answer("1", (3, 1))])
        assert alone == [1.0, 1.0]
        rank = People(f"{tmp_path / 'b.db'}#r", Reader(ToySpeller()), QUICK)  # type: ignore[arg-type]
        three = [answer(f"0/{k}", (2,) * (1 + k) + (1,)) for k in range(3)]
        assert rank(three) == [0.0, 0.5, 1.0]
        same = [answer(f"1/{k}", (3, 1)) for k in range(3)]
        assert rank(same) == [0.5, 0.5, 0.5], "nothing to compare"
    store = open_store(tmp_path / "a.db")
    assert [row.study.kind for row in studies.studies(store)] == ["rate"]


def test_a_study_that_cannot_hold_the_answers_is_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a.db")
    studies.create(store, "live", "pairwise", StudyConfig())
    three = [answer(f"0/{k}", (2,) * (1 + k) + (1,)) for k in range(3)]
    with pytest.raises(BadSettings, match="cannot judge 3 answers"):
        ask_people(tmp_path)(three)
    with pytest.raises(BadSettings, match="pairwise cannot judge 1 answers"):
        People(f"{tmp_path / 'a.db'}#new", Reader(ToySpeller()), Asking("pairwise"))(  # type: ignore[arg-type]
            [answer("0", (2, 1))]
        )


def test_a_sign_of_life_comes_each_minute(tmp_path: Path) -> None:
    said: list[str] = []
    moments = iter([0.0, *(float(s) for s in range(1, 400, 20)), 1e9])
    ask_people(tmp_path, tell=said.append, clock=lambda: next(moments), rest=lambda seconds: None)(
        pairs("0")
    )
    assert 5 <= sum("0 of 1 judged" in line for line in said) <= 8
    assert time.monotonic() > 0
