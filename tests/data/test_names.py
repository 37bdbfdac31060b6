"""Names of rows: one for each, over all files of a folder."""

import json
from pathlib import Path
from typing import Any

from accord.data.sources import Read, read


def folder(path: Path, **files: list[dict[str, Any]]) -> Read[Any]:
    for name, rows in files.items():
        one = path / (name.replace("_", "/") + ".jsonl")
        one.parent.mkdir(parents=True, exist_ok=True)
        one.write_text("".join(json.dumps({"prompt": "a", **row}) + "\n" for row in rows))
    return read(path)


def named(found: Read[Any]) -> list[str]:
    return [one.id for one in found.records]


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    assert named(folder(tmp_path, a_train=[{}], b_train=[{}, {}])) == [
        "a/train:1",
        "b/train:1",
        "b/train:2",
    ]


def test_other_files_keep_their_short_names(tmp_path: Path) -> None:
    assert named(folder(tmp_path, a=[{}], sub_b=[{}])) == ["a:1", "b:1"]


def test_an_id_may_come_in_two_files(tmp_path: Path) -> None:
    found = folder(
        tmp_path, a=[{"id": "x"}, {"id": "y"}], b=[{"id": "y"}, {"id": "x"}, {"id": "x"}]
    )
    assert named(found) == ["x", "y", "b:1", "b:2", "b:3"]
    assert not found.tally.dropped
    assert found.tally.noted == {"id used in another file": 3}
    (first, *_) = found.tally.examples["id used in another file"]
    assert first.endswith(f"b.jsonl:1: id 'y' is already that of {tmp_path}/a.jsonl:2")


def test_an_id_twice_in_one_file_drops_the_second(tmp_path: Path) -> None:
    found = folder(tmp_path, a=[{"id": "x"}, {"id": "x"}])
    assert named(found) == ["x"]
    assert found.tally.dropped == {"id used twice": 1}


def test_an_id_that_looks_like_a_place(tmp_path: Path) -> None:
    found = folder(
        tmp_path, m=[{"id": "m:2"}, {}, {"id": "m:2'"}, {}, {"id": "m:4"}, {"id": "m:6"}]
    )
    assert named(found)[:2] == ["m:2", "m:2'"]
    assert len(set(named(found))) == len(found.records)
    assert found.tally.noted == {"id is another row's place": 1}


def test_whole_numbers_of_tables_are_ids(tmp_path: Path) -> None:
    assert named(folder(tmp_path, a=[{"id": 3.0}])) == ["3"]
