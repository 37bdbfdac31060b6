"""Every sample is learned from once per epoch, and the ledger proves it."""

import pytest

from accord.errors import BadData
from accord.records import Rollout
from accord.store.ledger import Fate, Ledger


def rollout(name: str) -> Rollout:
    return Rollout(name, (1,), (2,), (-0.1,), 0, "stop")


def test_a_life_told_in_lines() -> None:
    ledger = Ledger()
    ledger.note(3, [rollout("a"), rollout("b"), rollout("c")], {"b": "no verdict"})
    lines = ledger.take()
    assert lines == [
        {"step": 3, "event": "issued", "epoch": 0, "ids": ["a", "b", "c"]},
        {"step": 3, "event": "dropped", "epoch": 0, "ids": ["b"], "reason": "no verdict"},
        {"step": 3, "event": "trained", "epoch": 0, "ids": ["a", "c"]},
    ]
    assert ledger.take() == []
    again = Ledger()
    again.note(0, ["stray"])
    again.replay(lines)
    assert again.take() == []
    assert again.counts() == ledger.counts() == {"trained": 2, "dropped: no verdict": 1}
    assert again.fate("b") == Fate("dropped", 3, "no verdict")
    assert again.fate("stray") is None


def test_samples_may_live_longer_than_a_step() -> None:
    ledger = Ledger()
    ledger.issued(0, ["a", "b"])
    ledger.scored(1, ["a"])
    with pytest.raises(BadData, match="'a' of epoch 0 was last scored at step 1"):
        ledger.check(["a", "b"])
    ledger.trained(2, ["a"])
    with pytest.raises(BadData, match="'b' of epoch 0 was last issued at step 0"):
        ledger.check(["a", "b"])
    ledger.trained(2, ["b"])
    ledger.check(["a", "b"])


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("issued", "'a' of epoch 0 cannot be issued: it was trained at step 1"),
        ("trained", "'a' of epoch 0 cannot be trained: it was trained at step 1"),
        ("scored", "'a' of epoch 0 cannot be scored: it was trained at step 1"),
    ],
)
def test_nothing_is_learned_from_twice(event: str, said: str) -> None:
    ledger = Ledger()
    ledger.note(1, ["a"])
    with pytest.raises(BadData, match=f"step 2: sample {said}"):
        getattr(ledger, event)(2, ["a"])


def test_nothing_comes_from_nowhere() -> None:
    ledger = Ledger()
    with pytest.raises(BadData, match="'x' of epoch 0 cannot be trained: it was never issued"):
        ledger.trained(0, ["x"])
    with pytest.raises(BadData, match="'x' of epoch 0 cannot be dropped: it was never issued"):
        ledger.note(0, ["a"], {"x": "why"})
    with pytest.raises(BadData, match="cannot be issued: it was issued"):
        ledger.issued(0, ["twin", "twin"])


def test_once_in_every_epoch() -> None:
    ledger = Ledger()
    for epoch in (0, 1):
        ledger.note(2 * epoch, ["a", "b"], epoch=epoch)
        if epoch == 0:
            ledger.note(1, ["c"])
    ledger.check("abc", epochs=[0])
    ledger.check("ab", epochs=[1])
    with pytest.raises(BadData, match="'c' of epoch 1 was never issued"):
        ledger.check("abc", epochs=range(2))
    with pytest.raises(
        BadData, match="'c' of epoch 0 was last trained at step 1, and does not bel"
    ):
        ledger.check("ab", epochs=range(2))
