"""A file that grows, is cut back, or is cut and grows again, is followed without a slip."""

import itertools
import json
from pathlib import Path

import pytest

from accord.web.tail import CHUNK, Tail, glance, last_line, line_at
from watch_fakes import write_lines


def steps(tail: Tail) -> list[int]:
    return [row["step"] for _, row in tail.read()]


def test_new_lines_come_once_and_half_a_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    tail = Tail(path)
    assert tail.read() == []
    assert not tail.cut()
    write_lines(path, [{"step": 0}, {"step": 1}])
    assert steps(tail) == [0, 1]
    assert steps(tail) == []
    with path.open("a") as file:
        file.write('{"step": 2, "x"')
    assert steps(tail) == []
    with path.open("a") as file:
        file.write(': 1}\n{"step": 3}\n')
    assert steps(tail) == [2, 3]


def test_a_mark_goes_on_where_it_was_made(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_lines(path, [{"step": 0}, {"step": 1}])
    first = Tail(path)
    first.read()
    write_lines(path, [{"step": 2}])
    second = Tail(path, first.mark)
    assert not second.cut()
    assert steps(second) == [2]


@pytest.mark.parametrize("mark", ["", "0", "nonsense", "-", "12-zz"])
def test_a_mark_that_is_none_begins_at_the_beginning(tmp_path: Path, mark: str) -> None:
    write_lines(tmp_path / "a", [{"step": 0}])
    assert steps(Tail(tmp_path / "a", mark)) == [0]


def test_a_file_cut_back_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_lines(path, [{"step": i} for i in range(4)])
    tail = Tail(path)
    tail.read()
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    assert tail.cut()
    assert steps(tail) == [0, 1]


def test_a_file_cut_and_grown_beyond_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_lines(path, [{"step": i, "v": 1} for i in range(4)])
    tail = Tail(path)
    tail.read()
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    write_lines(path, [{"step": i, "v": 2} for i in range(2, 9)])
    assert path.stat().st_size > tail.offset
    assert tail.cut()
    assert steps(tail) == list(range(9))


def test_lines_that_are_none_are_counted_and_passed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"step": 0}\nrubbish\n[1]\n\n{"step": 1}\n')
    tail = Tail(path)
    assert steps(tail) == [0, 1]
    assert tail.bad == 3


def test_it_reads_in_pieces_and_keeps_every_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    pad = "x" * 5000
    count = 2 * CHUNK // 5000
    write_lines(path, [{"step": i, "pad": pad} for i in range(count)])
    tail, found, pieces = Tail(path), [], 0
    while rows := tail.read():
        found += [row["step"] for _, row in rows]
        pieces += 1
    assert found == list(range(count))
    assert pieces >= 3


def test_a_line_larger_than_a_piece(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_lines(path, [{"step": 0, "pad": "x" * (CHUNK + 10)}, {"step": 1}])
    tail = Tail(path)
    assert steps(tail) + steps(tail) == [0, 1]


def test_to_end_is_where_reading_would_end(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_lines(path, [{"step": i} for i in range(100)])
    with path.open("a") as file:
        file.write('{"half"')
    read = Tail(path)
    read.read()
    assert Tail(path).to_end().mark == read.mark
    assert Tail(tmp_path / "none").to_end().mark == "0"


def test_where_a_line_begins(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_lines(path, [{"step": i} for i in range(5)])
    places = [offset for offset, _ in Tail(path).read()]
    assert [line_at(path, place) for place in places] == [{"step": i} for i in range(5)]
    assert line_at(path, places[2] + 1) is None
    assert line_at(tmp_path / "none", 0) is None


def test_a_glance_sees_the_whole_course(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_lines(path, [{"step": i, "pad": "x" * 200} for i in range(5000)])
    seen = [row["step"] for row in glance(path, 20)]
    assert len(seen) == 21
    assert seen[0] == 0
    assert seen[-1] == 4999
    assert max(b - a for a, b in itertools.pairwise(seen)) < 400
    assert last_line(path) == json.loads(path.read_text().splitlines()[-1])
    write_lines(tmp_path / "short", [{"step": 0}, {"step": 1}])
    assert glance(tmp_path / "short", 20) == [{"step": 0}, {"step": 1}]
    assert glance(tmp_path / "none", 20) == []
    assert last_line(tmp_path / "none") is None
