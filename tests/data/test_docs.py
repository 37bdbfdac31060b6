"""The page on data says what is so: each example row is read, as it says, and its code runs."""

import json
import re
from pathlib import Path

import pytest

from accord.data.shapes import SHAPES
from accord.data.sources import read
from accord.records import Comparison, ask

TABLE = re.compile(r"^\| (`\{.*`) \| (\w+): (.+) \|$", re.M)


def page(root: Path) -> str:
    return (root / "docs" / "data.md").read_text()


def test_every_example_is_what_the_page_says(root: Path, tmp_path: Path) -> None:
    examples = TABLE.findall(page(root))
    assert len(examples) > 30
    for rows, kind, shape in examples:
        path = tmp_path / "a.jsonl"
        path.write_text("\n".join(re.findall(r"`([^`]*)`", rows)))
        found = read(path)
        assert (found.kind, found.shape) == (kind, shape), rows
        assert len(found.records) == 1


def test_every_shape_has_an_example(root: Path) -> None:
    shown = {shape for _, _, shape in TABLE.findall(page(root))}
    refused = {"TRL stepwise"}  # its rows are always a flaw
    assert {shape.said for shape in SHAPES} - shown == refused


def test_its_code_runs(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    row = {"prompt": "Hi", "responses": ["a", "b"], "ranks": [0, 1], "id": "1"}
    Path("judged.jsonl").write_text(json.dumps(row))
    (code,) = re.findall(r"```python\n(.*?)```", page(root), re.S)
    exec(compile(code, "docs/data.md", "exec"), {})
    wanted = [Comparison.pair(ask("Hi"), "a", "b", id="1")]
    for name in ("judged.csv", "for-trl.jsonl"):
        assert read(name).records == wanted
