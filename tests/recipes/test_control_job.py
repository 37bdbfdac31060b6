"""accord control: a sealed policy that can be opened again, made once."""

import importlib

import pytest
import torch

from accord.config import read_each
from accord.errors import BadSettings, MissingExtra, RunMismatch
from accord.recipes.control import Control
from accord.recipes.control_job import ControlJob, opened, run_control
from accord.recipes.episodes import measure
from accord.recipes.job import Desk
from accord.worlds import find

TINY = ("steps=3", "worlds=2", "obtain.length=16", "hidden=8", "measure=4", "save_every=2")


def command(*words, said=None):
    given = {word.partition("=")[0]: word for word in (*TINY, *words)}
    if "obtain=Episodes" in words:
        del given["obtain.length"]
    job, cfg = read_each((ControlJob, Control), None, list(given.values()))
    return run_control(Desk((), (said if said is not None else []).append), job, cfg)


@pytest.mark.parametrize("world", ["CartPole-v1", "Pendulum-v1", "accord/Bandit"])
@pytest.mark.parametrize("scaled", ["true", "false"])
def test_what_was_made_opens_as_the_same(tmp_path, world, scaled):
    made = command(f"world={world}", f"out={tmp_path}", f"scale_seen={scaled}")
    there = opened(tmp_path / "player")
    width = {"CartPole-v1": 4, "Pendulum-v1": 3, "accord/Bandit": 2}[world]
    seen_NF = torch.randn(5, width)
    torch.testing.assert_close(there.act(seen_NF), made.policy.act(seen_NF))
    numbers = measure(there, find.finder(world), 4)
    assert numbers["return/least"] <= numbers["return/mean"] <= numbers["return/most"]
    assert numbers == pytest.approx(made.numbers)
    assert len(made.history) == 3


def test_it_is_made_once_and_another_is_refused(tmp_path):
    said: list[str] = []
    first = command(f"out={tmp_path}", said=said)
    again = command(f"out={tmp_path}", said=said)
    assert again.artifact.id == first.artifact.id
    assert "nothing to do" in said[-1]
    for word in ("seed=1", "lr=0.5", "world=Pendulum-v1", "horizon=50", "measure=5"):
        with pytest.raises(RunMismatch):
            command(f"out={tmp_path}", word)


def test_the_numbers_are_of_the_world_as_it_is(tmp_path):
    """Not of the one whose episodes were made longer."""
    made = command(f"out={tmp_path}", "horizon=600", "prefer=Segments", "prefer.length=4")
    assert made.numbers["return/most"] <= 500
    assert made.history[-1]["rewards/comparisons"] == 700


def test_words_that_would_do_nothing_are_refused(tmp_path):
    with pytest.raises(BadSettings, match="prefer=Segments"):
        command(f"out={tmp_path}", "judge.noise=0.3")
    judged = ("horizon=60", "prefer=Segments", "prefer.length=4")
    noisy = command(*judged, f"out={tmp_path}/a", "judge.noise=1.0").policy.fingerprint
    assert noisy != command(*judged, f"out={tmp_path}/b").policy.fingerprint


@pytest.mark.parametrize(
    ("words", "shortest"),
    [
        (("world=Pendulum-v1", "prefer.length=17"), 16),  # the window
        (("horizon=12", "prefer.length=9"), 8),  # 12 + 4, 8 + 8, 4 + 12
        (("horizon=16", "prefer.length=17"), 16),
        (("horizon=24", "prefer.length=9"), 8),  # 16, 8 + 8, 16
        (("world=Pendulum-v1", "obtain=Episodes", "prefer.length=201"), 200),
        (("world=Pendulum-v1", "obtain.length=300", "prefer.length=201"), 200),
    ],
)
def test_segments_that_will_not_fit_are_refused_before_it_begins(tmp_path, words, shortest):
    """And with segments just so long, it runs to its end."""
    said = f"nothing longer than {shortest} is done in one episode"
    with pytest.raises(BadSettings, match=said):
        command(f"out={tmp_path}/a", "prefer=Segments", *words)
    assert not (tmp_path / "a").exists()
    few = [word for word in words if "prefer.length" not in word]
    more = ("prefer=Segments", f"prefer.length={shortest}", "prefer.first=6", "prefer.total=12")
    made = command(f"out={tmp_path}/b", *more, *few, "prefer.warm=2")
    assert made.history[-1]["rewards/comparisons"] == 12


def test_without_gymnasium_one_sentence_says_what_brings_it(monkeypatch):
    real = importlib.import_module

    def absent(name, *more):
        if name == "gymnasium":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(find.importlib, "import_module", absent)
    with pytest.raises(MissingExtra, match=r"world CartPole-v1 needs gymnasium.*accord\[control\]"):
        find.finder("CartPole-v1")
