"""Logs are whole, finite, in order, and come back to the last bit."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from accord.errors import BadData, NotFinite
from accord.store.logs import Sink
from accord.store.run import Run
from store_fakes import Told, half, play, rows, tree


def test_logs_are_cut_back_to_the_commit(tmp_path: Path) -> None:
    half(tmp_path / "run")
    for name in ("metrics", "samples", "ledger", "timings"):
        with (tmp_path / "run" / f"{name}.jsonl").open("a") as file:
            file.write(
                '{"step": 2, "score": 1.0, "event": "issued", "ids": ["2.0"]}\n{"step": 2, "sc'
            )
    play(tmp_path / "run")
    play(tmp_path / "whole")
    assert tree(tmp_path / "run") == tree(tmp_path / "whole")
    assert [row["step"] for row in rows(tmp_path / "run" / "timings.jsonl")] == [0, 1, 2, 3]


def test_logs_that_were_changed_are_not_believed(tmp_path: Path) -> None:
    half(tmp_path)
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    with pytest.raises(BadData, match=r"metrics.jsonl is no longer what was committed"):
        play(tmp_path)
    path.unlink()
    with pytest.raises(BadData, match=r"metrics.jsonl is no longer what was committed"):
        play(tmp_path)


def test_what_is_logged_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    class Scalar:
        def __float__(self) -> float:
            return 2 / 3

    run = Run(tmp_path)
    for step in run.steps({"steps": 1}):
        run.log(step, **{"a/b": 0.1 + 0.2, "tiny": 5e-324, "none": None})
        run.log(step, scalar=Scalar(), count=7, flag=True, big=2**70)
        assert run.history == [
            {"step": 0, "a/b": 0.1 + 0.2, "tiny": 5e-324, "none": None, "scalar": 2 / 3}
            | {"count": 7, "flag": 1, "big": 2**70}
        ]
    assert rows(tmp_path / "metrics.jsonl") == run.history
    assert '"a/b": 0.30000000000000004' in (tmp_path / "metrics.jsonl").read_text()


def test_clock_dependent_numbers_are_kept_apart(tmp_path: Path) -> None:
    told = Told()
    run = Run(tmp_path, sinks=[told])
    for step in run.steps({"steps": 2}):
        run.log(step, loss=1.0, tokens_per_second=5.0, **{"time/sampling": 0.5})
        run.tick(3)
    assert rows(tmp_path / "metrics.jsonl") == [{"step": s, "loss": 1.0} for s in (0, 1)]
    for row in rows(tmp_path / "timings.jsonl"):
        assert set(row) == {"step", "step_time", "tokens_per_second", "time/sampling"}
        assert 0 <= row["step_time"] < 10
    assert told.all[1] == ("tick", 3)
    assert set(told.all[2][2]) == {"loss", "step_time", "tokens_per_second", "time/sampling"}
    assert told.all[-1] == ("end", True)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_not_finite_is_refused_by_step_and_key(tmp_path: Path, bad: float) -> None:
    run = Run(tmp_path)
    for step in run.steps({"steps": 3}):
        run.log(step, fine=1.0)
        if step == 1:
            with pytest.raises(NotFinite, match=f"step 1: objective/kl is {bad}"):
                run.log(step, **{"objective/kl": bad})
            with pytest.raises(NotFinite, match=rf"step 1: sample.scores\[1\] is {bad}"):
                run.sample(step, [{"scores": [1.0, bad]}])
    assert rows(tmp_path / "metrics.jsonl") == [{"step": s, "fine": 1.0} for s in range(3)]
    assert not (tmp_path / "samples.jsonl").exists()


def test_log_speaks_of_the_current_step_once() -> None:
    run = Run()
    with pytest.raises(ValueError, match="the run is at no step"):
        run.log(0, loss=1.0)
    for step in run.steps({"steps": 2}):
        run.log(step, loss=1.0)
        with pytest.raises(ValueError, match=f"the run is at step {step}"):
            run.log(step + 1, loss=1.0)
        with pytest.raises(ValueError, match=f"the run is at step {step}"):
            run.sample(step - 1, [])
        with pytest.raises(ValueError, match="'loss' was already logged"):
            run.log(step, loss=2.0)
        with pytest.raises(TypeError, match=f"step {step}: note = 'high' is not a"):
            run.log(step, note="high")  # type: ignore[arg-type]
    assert run.history == [{"step": 0, "loss": 1.0}, {"step": 1, "loss": 1.0}]


def test_samples_hold_any_text(tmp_path: Path) -> None:
    run = Run(tmp_path)
    said = ["Grüße\n\u2028\r\"'", "half \ud83d of a face", ""]
    for step in run.steps({"steps": 1}):
        run.sample(step, [{"said": text} for text in said])
    lines = (tmp_path / "samples.jsonl").read_bytes().split(b"\n")
    assert [json.loads(line)["said"] for line in lines[:-1]] == said
    assert "Grüße".encode() in lines[0]


def test_a_sink_that_fails_costs_nothing_but_itself() -> None:
    class Broken(Sink):
        def log(self, step: int, numbers: Mapping[str, float | int | None]) -> None:
            raise ConnectionError("no network")

    told = Told()
    with pytest.warns(UserWarning, match=r"Broken failed \(no network\) and is put off"):
        play(None, sinks=[Broken(), told])
    assert sum(said[0] == "log" for said in told.all) == 4
