"""Columns: what a picture keeps, what a run that goes on from a commit does to them, and limits."""

import json
import math
import random
from pathlib import Path

import pytest

from accord.web import runs_series
from accord.web.runs_series import Column, Shelf, Watched
from watch_fakes import write_lines, write_run


def column(values: list[float | None]) -> Column:
    made = Column()
    for step, value in enumerate(values):
        made.add(step, value)
    return made


def test_a_picture_keeps_the_extremes_of_every_part() -> None:
    rng = random.Random(0)
    values = [rng.gauss(0, 1) for _ in range(10_000)]
    values[4321], values[8765] = 99.0, -99.0
    steps, seen = column(list(values)).picture(100)
    assert len(steps) <= 200
    assert steps == sorted(steps)
    assert all(values[s] == v for s, v in zip(steps, seen))
    for part in range(100):
        few = values[part * 100 : part * 100 + 100]
        here = [v for s, v in zip(steps, seen) if part * 100 <= s < part * 100 + 100]
        assert max(here) == max(few)  # type: ignore[type-var]
        assert min(here) == min(few)  # type: ignore[type-var]


def test_a_short_column_is_its_own_picture_with_its_gaps() -> None:
    steps, seen = column([1.0, None, 3.0]).picture(100)
    assert (steps, seen) == ([0, 1, 2], [1.0, None, 3.0])


def test_a_picture_of_a_part_is_finer() -> None:
    made = column([float(i) for i in range(1000)])
    steps, _ = made.picture(50, 200, 260)
    assert steps == list(range(200, 261))


def test_gaps_do_not_hide_extremes() -> None:
    values: list[float | None] = [None if i % 2 else float(i) for i in range(1000)]
    _, seen = column(values).picture(10)
    assert max(v for v in seen if v is not None) == 998.0
    assert min(v for v in seen if v is not None) == 0.0
    assert column([None] * 100).picture(4)[1] == [None] * 4


def test_numbers_that_are_none_are_remembered_by_step() -> None:
    made = column([1.0, math.nan, math.inf])
    assert made.broken == 1
    assert made.picture(10)[1] == [1.0, None, None]


def test_a_long_column_is_thinned_and_keeps_its_extremes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_series, "MOST", 1000)
    values = [math.sin(i) for i in range(20_000)]
    values[77], values[15_000] = 50.0, -50.0
    made = column(list(values))
    assert len(made) <= 1001
    assert list(made.steps) == sorted(made.steps)
    assert made.steps[-1] == 19_999
    assert max(made.values) == 50.0
    assert min(made.values) == -50.0


def test_a_run_is_read_as_it_grows(tmp_path: Path) -> None:
    write_run(tmp_path, 6, stop=3)
    watched = Watched(tmp_path).refresh()
    before = watched.last
    assert before >= 1
    write_run(tmp_path, 6)
    watched.refresh()
    assert watched.last == 5
    assert list(watched.columns["objective/kl"].steps) == list(range(6))
    assert list(watched.columns["tokens_per_second"].values) == [100.0] * 6
    assert "step" not in watched.columns
    fresh = Watched(tmp_path).refresh()
    assert fresh.mark == watched.mark
    assert {k: list(c.values) for k, c in fresh.columns.items() if "time" not in k} == {
        k: list(c.values) for k, c in watched.columns.items() if "time" not in k
    }


def test_a_run_cut_back_is_forgotten_beyond_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write_lines(path, [{"step": i, "x": 1} for i in range(10)])
    watched = Watched(tmp_path).refresh()
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:5]))
    write_lines(path, [{"step": i, "x": 2} for i in range(5, 7)])
    watched.refresh()
    assert list(watched.columns["x"].values) == [1] * 5 + [2] * 2


def test_strange_lines_are_let_be(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"x": 1}, {"step": "0"}, {"step": 2**70, "w": 1}]
    rows += [{"step": 0, "w": 10**400}]
    rows += [{"step": 0, "x": "word", "y": True, "z": [1], "w": 1}]
    write_lines(tmp_path / "metrics.jsonl", [*rows, {"step": 0, "w": 5}, {"step": 1, "seq": 7}])
    watched = Watched(tmp_path).refresh()
    assert {name: list(c.values) for name, c in watched.columns.items()} == {"w": [1.0]}


def test_the_shelf_forgets_who_was_looked_at_longest_ago(tmp_path: Path) -> None:
    for name in "abc":
        rows = [{"step": i, "x": i} for i in range(100)]
        write_lines(tmp_path / name / "metrics.jsonl", rows)
    shelf = Shelf(room=2 * 16 * 100)
    first = shelf.get(tmp_path / "a")
    shelf.get(tmp_path / "b")
    assert shelf.get(tmp_path / "a") is first
    shelf.get(tmp_path / "c")
    assert len(shelf) == 2
    assert shelf.get(tmp_path / "a") is first
    assert json.dumps(first.columns["x"].picture(5))
