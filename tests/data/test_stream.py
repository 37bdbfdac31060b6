import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from accord.data.stream import Stream, order
from accord.errors import BadData


@pytest.mark.parametrize(("count", "batch"), [(10, 3), (7, 7), (5, 12), (1, 4), (64, 8)])
def test_every_epoch_has_every_item_once(count: int, batch: int) -> None:
    stream = Stream(range(count), batch, seed=3)
    drawn = [item for step in range(3 * count) for item in stream.at(step)]
    epochs = [drawn[i : i + count] for i in range(0, len(drawn) - count + 1, count)]
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    assert all(len(stream.at(step)) == batch for step in range(10))
    if count > 5:
        assert len({tuple(epoch) for epoch in epochs}) > 1


def test_a_step_does_not_depend_on_the_steps_before() -> None:
    straight = [Stream(range(9), 4, 1).at(step) for step in range(20)]
    order.cache_clear()
    assert [Stream(range(9), 4, 1).at(step) for step in reversed(range(20))] == straight[::-1]
    assert [Stream(range(9), 4, 2).at(step) for step in range(20)] != straight


def test_the_order_is_the_same_everywhere(root: Path) -> None:
    """Known numbers: a run begun on one machine goes on the same way on another."""
    assert Stream(range(10), 10).at(0) == list(order(10, 0, 0))
    assert order(10, 0, 0) == (8, 9, 0, 3, 7, 4, 1, 5, 2, 6)
    code = "from accord.data.stream import order; print(order(50, 2, 7))"
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": str(root / "src"), "PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for salt in ("1", "2")
    }
    assert said == {f"{order(50, 2, 7)}\n"}


def test_permutations_are_fair() -> None:
    first = Counter(order(4, epoch, 0)[0] for epoch in range(4000))
    assert all(abs(first[i] - 1000) < 120 for i in range(4))


@pytest.mark.parametrize(
    ("count", "batch", "epochs", "steps"),
    [(10, 3, 1, 4), (9, 3, 1, 3), (10, 3, 0.3, 1), (10, 3, 2, 7), (10, 10, 0.1, 1), (3, 64, 1, 1)],
)
def test_steps_cover_the_epochs(count: int, batch: int, epochs: float, steps: int) -> None:
    stream = Stream(range(count), batch)
    assert stream.steps(epochs) == steps
    drawn = Counter(item for step in range(steps) for item in stream.at(step))
    assert len(drawn) >= count * min(epochs, 1)


def test_epochs_count_from_zero() -> None:
    assert [Stream(range(10), 4).epoch(step) for step in range(6)] == [0, 0, 0, 1, 1, 2]


def test_nothing_to_draw_from() -> None:
    with pytest.raises(BadData, match="empty"):
        Stream([], 4)
    with pytest.raises(ValueError, match="batch of 0"):
        Stream([1], 0)
