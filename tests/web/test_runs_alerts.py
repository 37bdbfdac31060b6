"""What is worth a warning, and what is not."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from accord.errors import BadSettings
from accord.web.runs_alerts import Rules, alerts, rules, set_rules
from accord.web.runs_series import Column

LENGTH, REWARD, KL = "completions/mean_length", "objective/scores", "objective/kl"


def columns(**told: Sequence[float | None]) -> dict[str, Column]:
    names = {"length": LENGTH, "reward": REWARD, "kl": KL, "entropy": "objective/entropy"}
    made = {}
    for role, values in told.items():
        column = made[names.get(role, role)] = Column()
        for step, value in enumerate(values):
            column.add(step, value)
    return made


def kinds(told: dict[str, Column], how: Rules = Rules(), **more: float) -> list[tuple[str, int]]:
    return [(one.kind, one.step) for one in alerts(told, how, **more)]  # type: ignore[arg-type]


def test_a_quiet_run_has_none() -> None:
    steps = range(100)
    told = columns(
        kl=[0.01 * s for s in steps],
        reward=[0.1 * s for s in steps],
        length=[50.0 + s % 3 for s in steps],
        entropy=[2.0] * 100,
        grad_norm=[1.0 + s % 2 for s in steps],
    )
    assert kinds(told) == []


def test_kl_over_its_limit_is_told_from_its_step_on() -> None:
    told = columns(kl=[0.0] * 10 + [30.0] * 10)
    assert kinds(told, Rules(window=5)) == [("kl", 13)]  # (0 + 4 · 30) / 5 > 20
    assert kinds(told, Rules(window=1)) == [("kl", 10)]
    assert kinds(told, Rules(kl_most=31)) == []
    assert kinds(told, Rules(kl_most=None)) == []
    back = alerts(columns(kl=[30.0] * 10 + [1.0] * 10), Rules())
    assert back[0].tone == "warn"
    assert "below it again" in back[0].words


def test_length_is_told_only_while_the_reward_rises() -> None:
    long = [50.0] * 5 + [100.0] * 10
    up, down = [0.0] * 5 + [1.0] * 10, [0.0] * 5 + [-1.0] * 10
    assert kinds(columns(length=long, reward=up), Rules(window=1)) == [("length", 5)]
    assert kinds(columns(length=long, reward=down), Rules(window=1)) == []
    assert kinds(columns(length=long, reward=up), Rules(window=1, length_times=2.1)) == []
    assert kinds(columns(length=long, reward=up), Rules(window=1, length_times=None)) == []


def test_entropy_that_collapses() -> None:
    told = columns(entropy=[2.0] * 5 + [0.1] * 5)
    assert kinds(told, Rules(window=1)) == [("entropy", 5)]
    assert kinds(told, Rules(window=1, entropy_share=0.04)) == []
    assert kinds(told, Rules(window=1, entropy_share=None)) == []


def test_a_gradient_that_jumps() -> None:
    told = columns(grad_norm=[1.0] * 20 + [50.0] + [1.0] * 5)
    assert kinds(told) == [("grad", 20)]
    assert kinds(told, Rules(grad_times=60)) == []
    assert kinds(told, Rules(grad_times=None)) == []


def test_nan_comes_first_and_a_gap_is_none(tmp_path: Path) -> None:
    told = columns(kl=[99.0] * 10, loss=[1.0, None, math.nan])
    assert kinds(told) == [("nan", 2), ("kl", 4)]
    assert kinds(columns(loss=[1.0, None])) == []
    (tmp_path / "not-finite").mkdir()
    assert [one.kind for one in alerts(columns(loss=[1.0]), Rules(), folder=tmp_path)] == ["nan"]


def test_a_run_that_fell_silent() -> None:
    told = columns(loss=[1.0] * 3)
    assert kinds(told, quiet_s=601.0) == [("quiet", 2)]
    assert kinds(told, quiet_s=599.0) == []
    assert kinds(told, Rules(quiet_minutes=None), quiet_s=1e6) == []


def test_rules_are_kept_beside_the_runs(tmp_path: Path) -> None:
    assert rules(tmp_path) == Rules()
    set_rules(tmp_path / "new", Rules(kl_most=3, window=2))
    assert rules(tmp_path / "new") == Rules(kl_most=3, window=2)
    (tmp_path / "alerts.json").write_text('{"kl": 3}')
    with pytest.raises(BadSettings, match="mend it"):
        rules(tmp_path)
