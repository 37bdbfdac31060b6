"""A run goes on where it stopped, and only as what it was: it says which key is not."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from accord.config import Settings
from accord.errors import AccordError, BadData, BadSettings, CannotWrite, NotFinite, RunMismatch
from accord.store import lock, record
from accord.store.run import Run
from store_fakes import CFG, IDENTITY, Chain, Told, half, play, tree


@dataclass(frozen=True)
class Fixed:
    """A constant price."""

    beta: float = 0.1


@dataclass(frozen=True)
class Adaptive:
    """A price that follows."""

    beta: float = 0.1
    target: float = 6.0


class Recipe(Settings):
    """Something to run."""

    steps: int = 4
    """how often"""
    lr: float = 1e-5
    """how far"""
    kl: Fixed | Adaptive = Fixed()
    """price"""


class Other(Recipe):
    """The same fields, another method."""


# --- steps ---


def test_complete_run_has_no_steps_and_says_so(tmp_path: Path) -> None:
    *end, first = play(tmp_path / "ppo")
    before, told = tree(tmp_path / "ppo"), Told()
    run = Run(tmp_path / "ppo", identity=IDENTITY, sinks=[told])
    assert run.done
    parts = run.keep("policy", Chain(1)), run.keep("kl", Chain(2))
    assert list(run.steps(CFG)) == []
    assert [p.state for p in parts] == end, "the trained parts are there"
    assert told.all == [("begin", "ppo", 4, 4, CFG | IDENTITY), ("end", True)]
    assert run.where == f"all 4 steps are done, in {tmp_path / 'ppo'}"
    assert run.history == first.history
    assert tree(tmp_path / "ppo") == before
    assert list(run.steps(CFG)) == []


def test_without_a_folder_the_same_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    *end, run = play(None)
    assert list(tmp_path.iterdir()) == []
    *want, kept = play(tmp_path / "run")
    assert end == want
    assert run.history == kept.history
    assert run.ledger.counts() == kept.ledger.counts() == {"trained": 8, "dropped: no verdict": 4}
    assert run.done


def test_resumed_steps_are_those_left(tmp_path: Path) -> None:
    half(tmp_path)
    seen: list[int] = []
    told = Told()
    play(tmp_path, within=lambda step, _: seen.append(step), sinks=[told])
    assert seen == [2, 3]
    assert told.all[0][:4] == ("begin", tmp_path.name, 2, 4)
    assert [said[1] for said in told.all if said[0] == "log"] == [2, 3]


def test_number_of_steps() -> None:
    assert list(Run().steps({"steps": 2})) == [0, 1]
    assert list(Run().steps(Recipe(steps=2))) == [0, 1]
    assert list(Run().steps(Recipe(steps=2), 3)) == [0, 1, 2]
    with pytest.raises(BadSettings, match="how many steps"):
        Run().steps({})
    with pytest.raises(BadSettings, match="0 steps: there is nothing to do"):
        Run().steps({"steps": 5}, 0)


def test_a_run_that_broke_off_is_not_gone_on_with(tmp_path: Path) -> None:
    for path in (None, tmp_path):
        run = Run(path)
        for _ in run.steps(CFG):
            break
        with pytest.raises(RuntimeError, match="make a new Run"):
            run.steps(CFG)
    over = Run()
    list(over.steps({"steps": 1}))
    with pytest.raises(RuntimeError, match="other settings"):
        over.steps({"steps": 2})


# --- identity ---


@pytest.mark.parametrize(
    ("cfg", "identity", "said"),
    [
        (Recipe(lr=2e-5), {}, "lr was 1e-05 and is now 2e-05"),
        (Recipe(kl=Fixed(0.2)), {}, "kl.beta was 0.1 and is now 0.2"),
        (
            Recipe(kl=Adaptive()),
            {},
            "kl was Fixed(beta=0.1) and is now Adaptive(beta=0.1, target=6.0)",
        ),
        (Recipe(), {"model": "c" * 64}, "model was aaaaaaaaaaaa… and is now cccccccccccc…"),
        (Recipe(), {"model": None}, "model was aaaaaaaaaaaa… and is now none"),
        (Recipe(), {"seed": 1}, "seed was absent and is now 1"),
        (Other(), {}, "the recipe was 'Recipe' and is now 'Other'"),
        (Recipe(steps=5), {}, "steps was 4 and is now 5"),
        (Recipe(lr=3e-5, kl=Fixed(3.0)), {}, "lr was 1e-05 and is now 3e-05; kl.beta was 0.1"),
    ],
)
def test_another_run_is_refused_by_key(
    tmp_path: Path, cfg: Settings, identity: dict[str, Any], said: str
) -> None:
    half(tmp_path, cfg=Recipe())
    before = tree(tmp_path)
    with pytest.raises(RunMismatch) as error:
        play(tmp_path, cfg, identity=IDENTITY | identity)
    assert said in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert "another folder (out=...), or what the run was begun with" in str(error.value)
    assert tree(tmp_path) == before
    assert lock.holder(tmp_path) is None
    play(tmp_path, Recipe())


def test_another_total_is_another_run(tmp_path: Path) -> None:
    list(Run(tmp_path).steps({}, 2))
    with pytest.raises(RunMismatch, match="the number of steps was 2 and is now 3"):
        Run(tmp_path).steps({}, 3)


def test_how_often_it_is_saved_is_no_matter(tmp_path: Path) -> None:
    half(tmp_path / "run", save_every=2)
    play(tmp_path / "run", keep_commits=3)
    assert len(list(tmp_path.glob("run/commits/*"))) == 3
    with pytest.raises(ValueError, match="keep_commits"):
        Run(keep_commits=1)
    with pytest.raises(ValueError, match="save_every"):
        Run(save_every=0)


def test_environment_is_noted_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half(tmp_path)
    half(tmp_path)
    monkeypatch.setattr(record, "environment", lambda: {"python": "9.9", "git": None})
    play(tmp_path)
    seen = json.loads((tmp_path / "run.json").read_text())["environments"]
    assert [one["from_step"] for one in seen] == [0, 2]
    assert seen[0]["python"] == sys.version.split()[0]
    assert {"platform", "torch", "git"} <= set(seen[0])
    assert seen[1]["python"] == "9.9"


# --- parts ---


def test_parts_are_kept_once_and_early() -> None:
    run, part = Run(), Chain()
    assert run.keep("policy", part) is part
    assert part.kept
    with pytest.raises(ValueError, match="'policy' is kept"):
        run.keep("policy", Chain())
    with pytest.raises(ValueError, match="'policy' is kept"):
        run.keep("again", part)
    for name in ("../up", "", "a/b", "manifest.json"):
        with pytest.raises(ValueError, match="cannot be a part's name"):
            run.keep(name, Chain())
    run.steps(CFG)
    with pytest.raises(RuntimeError, match=r"keep 'late' before run.steps"):
        run.keep("late", Chain())


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["policy"], "holds kl, which nobody registered"),
        (["policy", "kl", "critic"], "lacks critic"),
        (["policy", "price"], "holds kl, which nobody registered and lacks price"),
    ],
)
def test_a_missing_piece_is_an_error_never_a_fresh_start(
    tmp_path: Path, names: list[str], said: str
) -> None:
    half(tmp_path)
    run = Run(tmp_path, identity=IDENTITY)
    for name in names:
        run.keep(name, Chain())
    with pytest.raises(RunMismatch, match=said):
        run.steps(CFG)


# --- the folder from outside ---


def test_runs_below_a_folder(tmp_path: Path) -> None:
    assert record.look(tmp_path) is None
    half(tmp_path / "a" / "ppo")
    play(tmp_path / "b", Recipe(steps=3))
    seen = {one.folder.name: one for one in record.runs(tmp_path)}
    assert {n: (s.recipe, s.done, s.total, s.complete) for n, s in seen.items()} == {
        "ppo": ("", 2, 4, False),
        "b": ("Recipe", 3, 3, True),
    }
    assert seen["b"].settings["kl"] == {"kind": "Fixed", "beta": 0.1}
    assert seen["ppo"].identity == IDENTITY


def test_every_error_has_an_exit_code() -> None:
    for error in (BadData, BadSettings, CannotWrite, NotFinite, RunMismatch):
        assert issubclass(error, AccordError)


def test_no_torch() -> None:
    names = "run, artifact, ledger, logs, terminal, record, commit, journal, lock, files"
    code = f"import sys; from accord.store import {names}; "
    code += "sys.exit(bool({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=True,
    )
