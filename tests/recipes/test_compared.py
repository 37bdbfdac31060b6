"""Rewards learned from comparisons of segments: who is asked about what, and what comes of it."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch

from accord.errors import BadSettings
from accord.recipes import control
from accord.recipes.control import Control
from accord.recipes.episodes import measure
from accord.recipes.segments import Compared, Oracle, Segments
from accord.store.run import Run
from accord.worlds.find import finder
from accord.worlds.seats import Piece, Seats, Window

CART = finder("CartPole-v1", 60)
FEW = Segments(length=5, first=20, total=40, warm=10)


def by_chance(seen_NF, dice):
    return torch.randint(2, (len(seen_NF), 1), generator=dice).float()


def compared(cfg=FEW, ask=None, steps=3):
    run, seats = Run(), Seats(CART, 4, seed=0)
    judge = Compared(cfg, run, seats, steps, ask, 0)
    act = partial(by_chance, dice=torch.Generator().manual_seed(0))
    return judge, Window(60)(seats, act)


def test_the_right_number_is_asked_for_and_fewer_later():
    cfg = Segments(first=100, total=700)
    due = [cfg.due(step, 100) for step in range(100)]
    assert (due[0], due[-1]) == (100, 700)
    new = [b - a for a, b in pairwise(due)]
    assert min(new) >= 0
    assert new[0] > new[10] > new[50]
    assert cfg.due(0, 1) == 700, "all at once where there is one step"
    judge, pieces = compared()
    for step in range(3):
        told = judge.learn(step, pieces)
        assert told["rewards/comparisons"] == FEW.due(step, 3) == len(judge.buffer)


def test_the_true_reward_is_never_seen():
    """Rewards that are multiplied by a thousand, or of another sign, change nothing but what the
    judge says: with a judge of its own, they change nothing at all.
    """

    def fancy(pairs, dice):
        return [float(a.did_TA.sum() > b.did_TA.sum()) for a, b in pairs]

    told = []
    for factor in (1.0, -1000.0):
        judge, pieces = compared(ask=fancy)
        bent = [replace(p, reward_T=factor * p.reward_T) for p in pieces]
        judge.learn(0, bent)
        judge.learn(1, bent)
        told.append(torch.cat(judge(bent)))
    assert torch.equal(*told)
    did = torch.cat([p.did_TA[:, 0] for p in pieces])
    assert told[0][did == 1].mean() > told[0][did == 0].mean() + 0.5, "what was liked is rewarded"


def test_pairs_that_are_disputed_come_first():
    judge, pieces = compared(replace(FEW, candidates=10))
    judge.learn(0, pieces)
    dice = torch.Generator().manual_seed(1)
    disputed = judge._choose(pieces, 10, dice)
    model = judge.learner.model

    def mean(pairs):
        with torch.no_grad():
            return float(control_disagreement(model(judge._both(pairs))).mean())

    judge.cfg = replace(FEW, candidates=1)
    chance = judge._choose(pieces, 10, torch.Generator().manual_seed(1))
    assert len(disputed) == len(chance) == 10
    assert mean(disputed) > 2 * mean(chance)


def control_disagreement(said):
    from accord.maths.segments import disagreement

    return disagreement(said)


def test_a_segment_is_a_run_of_steps_with_its_own_states():
    judge, pieces = compared()
    for one in [x for pair in judge._choose(pieces, 10, torch.Generator()) for x in pair]:
        assert (len(one), len(one.seen_UF), len(one.did_TA)) == (5, 6, 5)
        at = [
            (p, t)
            for p in pieces
            for t in range(len(p) - 4)
            if torch.equal(p.seen_UF[t : t + 6], one.seen_UF)
            and torch.equal(p.did_TA[t : t + 5], one.did_TA)
            and torch.equal(p.reward_T[t : t + 5], one.reward_T)
        ]
        assert at


def test_what_cannot_be_compared_is_left_out_and_asked_for_again():
    def shy(pairs, dice):
        return [None if i % 2 else 0.5 for i in range(len(pairs))]

    judge, pieces = compared(ask=shy)
    assert judge.learn(0, pieces)["rewards/comparisons"] == 10
    assert judge.learn(0, pieces)["rewards/comparisons"] == 15
    silent, pieces = compared(ask=lambda pairs, dice: [None] * len(pairs))
    assert silent.learn(0, pieces) == {"rewards/comparisons": 0.0}


def test_an_oracle_errs_as_often_as_it_is_told_to():
    def one(reward):
        return Piece(torch.zeros(3, 1), torch.zeros(2, 1), torch.tensor(reward), False)

    better = [(one([1.0, 1.0]), one([1.0, 0.5]))]
    alike = [(one([1.0, 1.0]), one([0.5, 1.5]))]
    dice = torch.Generator().manual_seed(0)
    assert Oracle(0.0)(better * 50, dice) == [1.0] * 50
    assert Oracle(0.0)([(b, a) for a, b in better], dice) == [0.0]
    assert Oracle(0.0)(alike, dice) == [0.5]
    said = Oracle(0.4)(better * 4000, dice)
    assert sum(said) / 4000 == pytest.approx(0.8, abs=0.02), "half of the coins are right"
    with pytest.raises(ValueError, match="from 0 to 1"):
        Oracle(2.0)


def test_an_end_that_tells_is_refused():
    cfg = Control(steps=2, worlds=2, obtain=Window(60), prefer=FEW)
    with pytest.raises(BadSettings, match=r"all of one length \(horizon=200\)"):
        control.train(cfg, Run(), finder("CartPole-v1"))
    long = cfg.model_copy(update={"prefer": replace(FEW, length=61)})
    with pytest.raises(BadSettings, match=r"prefer\.length=61"):
        control.train(long, Run(), CART)
    for odd in ({"total": 3}, {"noise": 1.0}, {"length": 0}, {"lr": 0.0}):
        with pytest.raises(ValueError):
            replace(FEW, **odd)


def test_cartpole_stays_up_longer_without_its_reward():
    """60 steps are the most; an untrained policy lasts about a third of them."""
    cfg = Control(steps=12, obtain=Window(120), prefer=Segments(first=60, total=150, length=15))
    made = control.train(cfg, Run(), CART)
    assert measure(made, CART, 20)["return/mean"] > 45
