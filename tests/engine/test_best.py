"""The best weights are kept, and come back; looking ends."""

import pytest

from accord.data.rows import pad
from accord.engine.best import Best
from accord.errors import BadModel
from accord.maths.weights import weigh
from accord.models.lora import Lora
from accord.recipes.sft import imitate
from accord.store.run import Run
from toys import toy_policy


def learner(lora=None, lr=0.1):
    policy = toy_policy().trainable(lr=lr, lora=lora)
    policy.kept = True
    return policy


def step(policy) -> str:
    tokens = pad([(0,)], [(2, 3, 1)])
    policy.update(tokens, weigh(tokens.mask_BT), imitate)
    return policy.fingerprint


@pytest.mark.parametrize("lora", [None, Lora(r=2)])
def test_the_best_weights_stay(lora, tmp_path):
    policy = learner(lora)
    best = Best(policy, 2)
    best.see(0.1)
    wanted = step(policy)
    best.see(0.5)
    assert (best.value, best.updates, best.since) == (0.5, 1, 0)
    step(policy)
    best.see(0.5)  # the earlier of equals
    assert not best.over
    step(policy)
    best.see(0.4)
    assert best.over
    assert policy.fingerprint != wanted
    best.save(tmp_path)
    assert best.settle().fingerprint == wanted
    other = learner(lora)
    again = Best(other, 2)
    again.load(tmp_path)
    assert (again.value, again.updates, again.since, again.over) == (0.5, 1, 2, True)
    assert again.settle().fingerprint == wanted


def test_what_cannot_be_is_refused(tmp_path):
    with pytest.raises(TypeError, match="frozen"):
        Best(toy_policy(), 1)
    Best(learner(Lora(r=2)), 1).save(tmp_path)
    with pytest.raises(BadModel, match="of another model"):
        Best(learner(), 1).load(tmp_path)


def test_enough_ends_a_run_and_stays_enough(tmp_path):
    run, seen = Run(tmp_path), []
    for n in run.steps({"lr": 1}, 9):
        run.log(n, loss=1.0)
        seen.append(n)
        if n == 3:
            run.enough(n)
    assert seen == [0, 1, 2, 3]
    assert run.done
    again = Run(tmp_path)
    assert list(again.steps({"lr": 1}, 9)) == []
    assert [line["step"] for line in again.history] == seen
    with pytest.raises(ValueError, match="the run is at no step"):
        Run().enough(0)
