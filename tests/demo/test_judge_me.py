"""The demo with a person: the site opens on its pairs, waits, and the demo goes on."""

from pathlib import Path
from typing import Any

import pytest

from accord.config import read
from accord.demo import asking, show
from accord.demo.show import Demo
from accord.recipes.job import Desk
from accord.store.artifact import lineage, open_artifact
from accord.store.judgements import resolve, studies
from accord.store.judgements.opening import open_store
from people_fakes import judge_all
from visitors import Waiting

SMALL = (
    "judge=me",
    "judge.wanted=6",
    "judge.open=false",
    "prompts=5",
    "tests=4",
    "pairs=2",
    "reward.epochs=1",
    "reward.batch=4",
    "reward.held_out=0.3",
    "ppo.steps=2",
    "ppo.batch=4",
    "ppo.longest=30",
    "ppo.epochs=1",
)


def play(out: Path, *words: str, said: list[str]) -> Any:
    return show.run(Desk((), said.append), read(Demo, words=(*SMALL, *words, f"out={out}")))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Any:
    out, said = tmp_path_factory.mktemp("me") / "run", list[str]()
    with Waiting(said, len):
        way = play(out, said=said)
    return out, way, said


def test_it_waits_for_a_person_and_goes_on(done: Any) -> None:
    out, way, said = done
    assert any("it logs you in, once" in line for line in said)
    assert any("that is enough to learn from" in line for line in said)
    page = (out / "report" / "report.html").read_text()
    assert "You judged, and nobody else" in page
    assert "simulated" not in page
    made = open_artifact(out / "judged", full=True)
    assert made.settings["judge"] == "you"
    assert "comparisons " in str(lineage(way.report, out))
    store = open_store(out / "accord.db")
    (row,) = studies.studies(store)
    assert row.judged >= 6
    found = resolve.records(store, row.study.id)
    assert all(one.responses[one.ranks.index(0)] == max(one.responses, key=len)
               for one in found.comparisons)  # fmt: skip
    store.close()


def test_again_asks_nobody(done: Any) -> None:
    out, _, _ = done
    said: list[str] = []
    play(out, said=said)
    assert not any("/in/" in line for line in said)
    assert sum("nothing to do" in line for line in said) == 2


def test_what_was_judged_before_a_kill_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    def kill(*_: object) -> None:
        raise Killed

    out, said = tmp_path / "run", list[str]()
    monkeypatch.setattr(asking, "_wait", kill)
    with pytest.raises(Killed):
        play(out, said=said)
    store = open_store(out / "accord.db")
    user = asking.people.users(store)[0].id
    assert judge_all(store, 1, user, len, most=6) == 6
    store.close()
    again: list[str] = []
    play(out, said=again)
    assert not any("/in/" in line for line in again)


def test_the_panel_is_what_it_was() -> None:
    cfg = read(Demo, words=())
    assert cfg.judge == show.Panel()
    assert read(Demo, words=("judge=Me",)).judge == show.Me()
    assert read(Demo, words=("judge=me",), defaults=show.defaults(cfg)).reward.batch == 32
    mine = read(Demo, words=("judge=me",))
    assert read(Demo, words=("judge=me",), defaults=show.defaults(mine)).reward.batch == 4
