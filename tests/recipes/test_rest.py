"""ReST goes where algorithm 1 says it goes, on a language whose sentences can all be listed."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from accord.data.comparisons import Spelled
from accord.engine.steps import Optimizer
from accord.errors import BadData
from accord.maths.control import Constant, Linear
from accord.maths.selection import Best, Everything, Fixed, Interpolated, Percentile, Range, Sigmoid
from accord.maths.weights import weigh
from accord.recipes import rest, sft
from accord.recipes.common import Asked
from accord.recipes.growing import Given, Grow, grow
from accord.recipes.harvest import Harvest, Scored
from accord.recipes.improving import Improve, Look, improve
from accord.records import Invalid
from accord.rewards.ending import Absolute
from accord.store.run import Run
from toys import BEGIN, LONGEST, cuts, distribution, float64, gradient, sentences, toy_policy

SAID = sentences()
ASKED = [Asked("p", (BEGIN,))]
SCALE = Range(-3.0, 4.0)


def worth(ids) -> float:
    """+1 for every a, -1 for every b, +1 for an end: from -3 to 3."""
    return float(ids.count(2) - ids.count(3) + (ids[-1] == 1))


class Judge:
    """Counts what it is asked."""

    def __init__(self):
        self.seen: list[str] = []

    def __call__(self, rollouts):
        self.seen += [r.id for r in rollouts]
        return [worth(r.response_ids) for r in rollouts]


class Seen(rest.Walk):
    """Keeps what every step made."""

    def __init__(self):
        self.harvests, self.policies, self.numbers, self.told = [], [], [], []
        self.settings = []

    def grown(self, g, cfg, policy, make):
        self.harvests.append(make(Run()))
        return self.harvests[-1]

    def improved(self, g, i, cfg, policy, make):
        run = Run()
        made, numbers = make(run)
        self.policies.append(made)
        self.numbers.append(numbers)
        self.settings.append(cfg)
        return made

    def tell(self, said):
        self.told.append(said)


GROW = Grow(n=4000, temperature=1.0, longest=LONGEST, scale=SCALE)
IMPROVE = Improve(
    keep=Fixed((0.5, 0.6)),
    epochs=8,
    batch=256,
    lr=1e-2,
    slower=0.5,
    schedule=Linear(),
    weigh_by="sequence",
)


def test_each_improve_is_the_policy_above_its_threshold():
    """Where the model can say anything, arg min of J is π(y | R > τ), and E[R] rises with it."""
    start = toy_policy()
    rho_N = distribution(start)
    r_N = SCALE(torch.tensor([worth(ids) for ids in SAID]).double())
    cfg = rest.ReST(rounds=2, held_out=0, grow=GROW, improve=IMPROVE)
    # sums over tokens, as J has them: every token of a batch alike
    cfg = cfg.model_copy(update={"improve": IMPROVE.model_copy(update={"weigh_by": "token"})})
    walk = Seen()
    rest.train(cfg, walk, start, Judge(), Given(ASKED))
    assert len(walk.policies) == 4
    reached = [float((rho_N * r_N).sum())]
    before_N = rho_N
    for index, policy in enumerate(walk.policies):
        grown_N = rho_N if index < 2 else distribution(walk.policies[1])
        want_N = torch.where(r_N > cfg.improve.keep.at[index % 2], grown_N, 0)
        want_N /= want_N.sum()
        got_N = distribution(policy)
        gap = torch.special.xlogy(want_N, want_N / got_N).sum()
        was = torch.special.xlogy(want_N, want_N / before_N).sum()
        reached.append(float((got_N * r_N).sum()))
        print(f"{index}: KL to the closed form {was:.3f} → {gap:.3f}; E[R] {reached[-1]:.3f}")
        before_N = got_N
