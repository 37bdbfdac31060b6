"""Numbers as tables and databases hold them."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from accord.data.pieces import Flaw, finite, whole
from accord.data.shapes import find
from accord.data.sources import read


@pytest.mark.parametrize(("value", "wanted"), [(1, 1), (1.0, 1), (Decimal("2.0"), 2)])
def test_whole_numbers(value: Any, wanted: int) -> None:
    found = whole(value, "rank")
    assert (found, type(found)) == (wanted, int)


@pytest.mark.parametrize(
    "value", [1.5, float("nan"), float("inf"), Decimal("NaN"), Decimal("sNaN"), 2.0**40, True, "1"]
)
def test_what_is_no_whole_number(value: Any) -> None:
    with pytest.raises(Flaw, match="not a whole number"):
        whole(value, "rank")


def test_decimals_are_numbers() -> None:
    assert finite(Decimal("0.5"), "margin") == 0.5
    for odd in ("NaN", "sNaN", "Infinity", "1e999"):
        with pytest.raises(Flaw, match="not a finite number"):
            finite(Decimal(odd), "margin")


@pytest.mark.parametrize("more", [{"margin": -5}, {"score_chosen": 1, "score_rejected": 2}])
def test_labels_that_contradict_themselves(more: dict[str, Any]) -> None:
    row = {"prompt": "Hi", "chosen": "a", "rejected": "b", **more}
    shape = find(row, "comparisons")
    assert shape is not None
    with pytest.raises(Flaw) as caught:
        shape.make(row, "1")
    assert caught.value.reason == "label contradicts itself"


def test_a_table_of_floats_and_decimals(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    made = {
        "id": pa.array([3.0, 4.0]),
        "prompt": ["a", "b"],
        "responses": [["x", "y"], ["x", "y"]],
        "ranks": pa.array([[1.0, 2.0], [2.0, 1.0]]),
        "margin": pa.array([Decimal("0.5"), Decimal("1.5")]),
    }
    write_table(pa.table(made), tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet").records
    assert [(one.id, one.ranks, one.strength) for one in found] == [
        ("3", (1, 2), 0.5),
        ("4", (2, 1), 1.5),
    ]
