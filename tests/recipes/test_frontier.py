"""No policy lies above the closed form of what reward can be had at its KL: DPO's figure 2, left,
where every answer can be listed, so that nothing is estimated (Rafailov et al. 2023, eq. 4).
"""

import pytest
import torch

from accord.data.comparisons import Spelled
from accord.maths.advantages import GAE, LeaveOneOut
from accord.maths.control import FixedKL, Linear
from accord.maths.frontier import optimum
from accord.maths.losses import Clip
from accord.maths.pairwise import DPO
from accord.maths.surrogate import RewardKL
from accord.recipes import dpo, grpo, ppo
from accord.recipes.common import Asked
from accord.store.run import Run
from toys import BEGIN, LONGEST, distribution, sentences, toy_critic, toy_policy

SAID = sentences()
ASKED = [Asked("p", (BEGIN,))]
BETAS = (1.0, 0.3)


def worth(ids) -> float:
    """a's are liked, length is not."""
    return 1.0 * ids.count(2) - 0.4 * len(ids)


def scores(rollouts) -> list[float]:
    return [worth(r.response_ids) for r in rollouts]


REWARD_N = torch.tensor([worth(ids) for ids in SAID], dtype=torch.float64)


@pytest.fixture(scope="module")
def start():
    return toy_policy()


@pytest.fixture(scope="module")
def ref_N(start):
    p_N = distribution(start)
    return p_N / p_N.sum()


def plane(p_N, ref_N) -> tuple[float, float]:
    """(KL from the start, mean reward), exact."""
    p_N = p_N / p_N.sum()
    kl_N = torch.where(p_N > 0, p_N * (p_N.clamp(min=1e-300) / ref_N).log(), 0.0)
    return float(kl_N.sum()), float((p_N * REWARD_N).sum())


def highest(ref_N, kl: float) -> float:
    """The most reward at this KL: the least of its tangents, E[r] <= β KL + β log Z for every β."""
    betas = [0.02 * 1.02**k for k in range(500)]
    bounds = []
    for beta in betas:
        got, at = optimum(ref_N, REWARD_N, beta)
        bounds.append(got + beta * (kl - at))
    return min(bounds)


def held(name: str, p_N, ref_N, share: float) -> None:
    """Not above the frontier, and at least so much of what can be gained at this KL."""
    kl, got = plane(p_N, ref_N)
    base, best = float((ref_N * REWARD_N).sum()), highest(ref_N, kl)
    print(f"{name}: KL {kl:.3f}, reward {got:.3f} of {best:.3f}, from {base:.3f}")
    assert got <= best + 1e-6
    assert kl > 0.01
    assert got - base >= share * (best - base)


def by_dpo(start, ref_N, beta: float):
    """Pairs drawn from the start, judged as Bradley and Terry say."""
    rng = torch.Generator().manual_seed(0)
    i_N, j_N = (torch.multinomial(ref_N, 1000, True, generator=rng).tolist() for _ in range(2))
    pairs = [
        Spelled((BEGIN,), (SAID[i], SAID[j]), (0, 1), None, float(p.sigmoid()), f"p{n}")
        for n, (i, j) in enumerate(zip(i_N, j_N, strict=True))
        for p in [REWARD_N[i] - REWARD_N[j]]
        if i != j
    ]
    cfg = dpo.Preference(loss=DPO(beta), batch=128, epochs=2, lr=2e-3, schedule=Linear())
    return dpo.train(cfg, Run(), start, pairs)


def by_ppo(start, ref_N, beta: float):
    cfg = ppo.PPO(
        steps=10, batch=96, longest=LONGEST, kl=FixedKL(beta), gae=GAE(lam=1.0), epochs=2,
        minibatches=2, clip=Clip(eps_value=None), critic="zero", lr=3e-3, lr_critic=1e-2,
        schedule=Linear(), whiten="none",
    )  # fmt: skip
    return ppo.train(cfg, Run(), start, scores, toy_critic(9), ASKED)


def by_rloo(start, ref_N, beta: float):
    cfg = grpo.GRPO(
        steps=8, batch=24, group=4, longest=LONGEST, baseline=LeaveOneOut(), kl=RewardKL(beta),
        weigh_by="constant", epochs=2, minibatches=2, lr=5e-3, schedule=Linear(),
    )  # fmt: skip
    return grpo.train(cfg, Run(), start, scores, ASKED)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize(("method", "share"), [(by_dpo, 0.5), (by_ppo, 0.5), (by_rloo, 0.5)])
def test_no_trained_policy_lies_above_the_frontier(start, ref_N, method, share, beta):
    policy = method(start, ref_N, beta)
    held(f"{method.__name__} at β={beta}", distribution(policy), ref_N, share)


@pytest.mark.parametrize("n", [2, 4, 16])
def test_best_of_n_does_not_either(ref_N, n):
    """Its exact law: answers sorted by reward, the n-th power of what lies below."""
    order = REWARD_N.argsort(stable=True)
    below_N = torch.cat([torch.zeros(1, dtype=torch.float64), ref_N[order].cumsum(0)])
    law_N = torch.zeros_like(ref_N)
    law_N[order] = below_N[1:].clamp(max=1) ** n - below_N[:-1].clamp(max=1) ** n
    held(f"best of {n}", law_N, ref_N, 0.5)


def test_the_closed_form_lies_on_it_and_something_better_would_be_found_out(ref_N):
    for beta in BETAS:
        got, kl = optimum(ref_N, REWARD_N, beta)
        assert highest(ref_N, kl) == pytest.approx(got, abs=1e-4)
    best_N = torch.zeros_like(ref_N)
    best_N[REWARD_N.argmax()] = 1.0
    kl, got = plane(best_N, ref_N)
    assert got > highest(ref_N, kl / 2) + 0.05
