"""Weights that are not read lie in their file; nothing that was changed is ever lost."""

from pathlib import Path

import pytest
import torch

from accord.data.comparisons import Spelled
from accord.engine.roles import Policy
from accord.models import resting
from accord.models.resting import mapped, rest
from accord.recipes import dpo, sft
from accord.store.run import Run
from served import chat_folder


@pytest.fixture(autouse=True)
def _small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resting, "LEAST", 0)


@pytest.fixture
def start(tmp_path: Path) -> Policy:
    opened = Policy.open(chat_folder(tmp_path / "model"))
    if not here(opened):
        pytest.skip("weights are not mapped from their files here")
    return opened


def here(policy: Policy) -> int:
    """Bytes of its weights that stand in memory, of those that are mapped from a file."""
    places = [w.untyped_storage().data_ptr() for w in policy.model.trunk.parameters()]
    return sum(one.here for one in mapped() if any(one.begin <= at < one.end for at in places))


def test_what_is_given_back_comes_again_with_the_same_bytes(start: Policy) -> None:
    before, size = start.fingerprint, here(start)
    assert rest(start.model.trunk.parameters()) == size
    assert here(start) == 0
    assert rest(start.model.trunk.parameters()) == 0
    assert start.fingerprint == before
    assert here(start) == size


def test_what_was_changed_stays(start: Policy) -> None:
    weight = next(start.model.trunk.parameters())
    with torch.no_grad():
        weight[0] = 7.0
    start.rest()
    assert (weight[0] == 7.0).all()


def test_what_lies_in_no_file_is_left_alone() -> None:
    weight = torch.ones(1 << 20)
    assert rest([weight, torch.empty(0), torch.empty(8, device="meta")]) == 0
    assert weight.sum() == 1 << 20


def test_elsewhere_than_under_linux_nothing_is_done(
    start: Policy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(resting, "MAPS", tmp_path / "none")
    assert mapped() == []
    assert rest(start.model.trunk.parameters()) == 0


def test_of_a_small_model_it_is_not_worth_a_look(
    start: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resting, "LEAST", here(start) * 2)
    monkeypatch.setattr(resting, "mapped", None)
    assert rest(start.model.trunk.parameters()) == 0


ROWS = [Spelled((5, 6), ((7, 8), (9,)), (0, 1), None, None, str(n)) for n in range(4)]


@pytest.mark.parametrize("recipe", ["sft", "dpo"])
def test_the_start_takes_no_memory_while_its_copy_learns(start: Policy, recipe: str) -> None:
    before, seen = start.fingerprint, list[int]()

    class Watch(Run):
        def log(self, step: int, **numbers: float) -> None:
            seen.append(here(start))
            super().log(step, **numbers)

    if recipe == "sft":
        sft.train(sft.SFT(epochs=1, batch=2), Watch(), start, ROWS)
    else:
        dpo.train(dpo.Preference(epochs=1, batch=2), Watch(), start, ROWS)
    assert seen == [0, 0]
    assert start.fingerprint == before
