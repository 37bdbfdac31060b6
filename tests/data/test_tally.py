import pytest

from accord.data.tally import Tally
from accord.errors import BadData


def tally(kept: int, **dropped: int) -> Tally:
    made = Tally()
    made.keep(kept)
    for reason, count in dropped.items():
        for i in range(count):
            made.drop(reason, f"f:{i}: {reason}")
    return made


def test_it_says_what_happened() -> None:
    made = tally(95, empty=4, equal=1)
    assert (made.kept, made.total, made.dropped["empty"]) == (95, 100, 4)
    assert made.lines() == [
        "95 of 100 rows kept, 5 dropped (5.0%)",
        "      4  empty",
        "         f:0: empty",
        "         f:1: empty",
        "         f:2: empty",
        "      1  equal",
        "         f:0: equal",
    ]
    assert tally(3).lines() == ["3 of 3 rows kept, 0 dropped"]


def test_it_stops_past_the_limit() -> None:
    assert tally(95, empty=5).check().kept == 95
    with pytest.raises(
        BadData, match=r"(?s)limit is 5%.*94 of 100 rows kept.*6  empty.*f:0: empty"
    ):
        tally(94, empty=6).check()
    assert tally(94, empty=6).check(0.1)
    with pytest.raises(BadData, match=r"(?s)not one row can be used: 0 of 6 rows kept.*6  empty"):
        tally(0, empty=6).check(1.0)
    with pytest.raises(BadData, match="no rows at all"):
        tally(0).check()


def test_tallies_add_up() -> None:
    one, two = tally(2, empty=2), tally(3, empty=2, equal=1)
    both = one + two
    assert (both.kept, both.total) == (5, 10)
    assert both.dropped == {"empty": 4, "equal": 1}
    assert both.examples["empty"] == ["f:0: empty", "f:1: empty", "f:0: empty"]
    assert (one.total, two.total) == (4, 6)
