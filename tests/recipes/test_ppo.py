"""PPO finds the policy it is meant to find, and adds up the same whichever way it is cut."""

import math
from functools import partial

import pytest
import torch

from accord.data.rows import pad
from accord.engine.draw import key
from accord.engine.roles import Critic
from accord.maths.advantages import GAE
from accord.maths.control import AdaptiveKL, FixedKL, Linear
from accord.maths.losses import Clip
from accord.maths.weights import weigh
from accord.models.lora import Lora
from accord.recipes import ppo
from accord.recipes.common import Asked
from accord.records import Invalid
from accord.rewards.ending import Absolute, Relative, ended
from accord.store.run import Run
from toys import (
    LONGEST,
    cuts,
    distribution,
    float64,
    gradient,
    sentences,
    toy_critic,
    toy_policy,
)


def sweet(rollouts):
    """+1 for every a, -1 for every b, +1 for an end."""
    return [
        float(r.response_ids.count(2) - r.response_ids.count(3) + (r.finish == "stop"))
        for r in rollouts
    ]


def score_of(ids) -> float:
    return float(ids.count(2) - ids.count(3) + (ids[-1] == 1))


PROMPTS = [Asked("p", (0,))]
BETA = 0.5
FAST = ppo.PPO(
    steps=40,
    batch=256,
    longest=LONGEST,
    kl=FixedKL(BETA),
    gae=GAE(lam=1.0),
    epochs=2,
    minibatches=2,
    clip=Clip(eps_value=None),
    critic="zero",
    lr=2e-3,
    lr_critic=5e-3,
    schedule=Linear(),
    whiten="none",
)


def test_the_toy_language_is_complete():
    assert float(distribution(toy_policy()).sum()) == pytest.approx(1, abs=1e-5)


def test_ppo_converges_to_the_known_optimum():
    """max E[r] - β KL(π, ρ) is reached by π*(y) = ρ(y) exp(r(y)/β) / Z, with value β log Z."""
    start = toy_policy()
    rho = distribution(start)
    r = torch.tensor([score_of(y) for y in sentences()], dtype=torch.float64)
    best = BETA * math.log(float((rho * (r / BETA).exp()).sum()))
    star = rho * (r / BETA).exp() / (rho * (r / BETA).exp()).sum()

    policy = ppo.train(FAST, Run(), start, sweet, toy_critic(1), PROMPTS)

    pi = distribution(policy)
    reached = float((pi * r).sum() - BETA * (pi * (pi / rho).log()).sum())
    begun = float((rho * r).sum())
    gap = float((pi * (pi / star).log()).sum())
    assert begun < best - 0.3, "the toy leaves nothing to learn"
    assert reached > best - 0.03 * (best - begun)
    assert gap < 0.03  # nats between what was found and π*
    assert torch.equal(distribution(start), rho), "the reference must not move"


class Watching(Run):
    """Keeps what was logged."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def log(self, step, **numbers):
        self.lines.append(numbers)
        super().log(step, **numbers)


def trained(reward=sweet, *, gold=None, **changed):
    """(policy, run) after a few steps."""
    run, cfg = Watching(), FAST.model_copy(update={"steps": 2, "batch": 64, **changed})
    return ppo.train(cfg, run, toy_policy(), reward, toy_critic(1), PROMPTS, gold=gold), run


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("lora", [None, Lora(r=2)])
def test_the_first_ratio_is_one(temperature, lora):
    """Sampler and trainer agree, at every temperature; so policy and reference do at first."""
    _, run = trained(temperature=temperature, lora=lora)
    for numbers in run.lines:
        assert numbers["val/ratio_first"] == pytest.approx(1, abs=1e-4)
        assert 0 <= numbers["val/ratio_first_off"] < 1e-4
    kl = [numbers["objective/kl"] for numbers in run.lines]
    assert kl[0] == pytest.approx(0, abs=1e-5)
    assert abs(kl[1]) > 1e-3


def test_what_is_only_watched_is_not_learned_from():
    policy, _ = trained()
    other, run = trained(gold=lambda said: [float(len(r.response_ids)) for r in said])
    assert other.fingerprint == policy.fingerprint
    for numbers in run.lines:
        assert numbers["eval/true"] == pytest.approx(numbers["completions/mean_length"])


def test_an_answer_without_a_verdict_is_not_learned_from():
    """It is dropped and counted; what is left is a step of its own."""

    def shy(rollouts):
        return [Invalid("no verdict"), *sweet(rollouts[1:])]

    policy, run = trained(shy)
    assert run.ledger.counts() == {"trained": 126, "dropped: no verdict": 2}
    assert policy.fingerprint != trained()[0].fingerprint
    start, cfg = toy_policy(), FAST.model_copy(update={"steps": 1, "batch": 64})
    said = start.sample([(0,)] * 64, longest=LONGEST, seed=0, names=[f"0.{i}" for i in range(64)])
    rows, _ = ppo.experience(cfg, said[1:], sweet(said[1:]), start, Critic.on(start).zeroed(), BETA)
    by_hand = start.trainable(lr=cfg.lr, optimizer=cfg.optimizer)
    critic = Critic.on(start).zeroed().trainable(lr=cfg.lr_critic, optimizer=cfg.optimizer)
    by_hand.kept = critic.kept = True
    ppo.optimise(cfg, by_hand, critic, rows, [r.id for r in said[1:]], 1.0, key(0, "minibatches 0"))
    assert trained(shy, steps=1)[0].fingerprint == by_hand.fingerprint


def test_the_price_of_kl_follows_the_kl():
    rule = AdaptiveKL(beta=0.2, target=0.01, horizon=640)
    _, run = trained(kl=rule, steps=3)
    price = [numbers["objective/kl_coef"] for numbers in run.lines]
    assert price[0] == 0.2
    for step in (0, 1):
        want = rule.next(price[step], run.lines[step]["objective/kl"], 64)
        assert price[step + 1] == pytest.approx(want, rel=1e-9)
    assert price[1] == pytest.approx(0.2 * (1 - 0.2 * 64 / 640)), "no KL yet: cheaper"
    assert price[2] > price[1]


def test_the_price_of_kl_is_paid_once():
    """Undiscounted, λ = 1, V = 0: an answer's first return is its score less β times its KL."""
    policy, other = toy_policy(0), toy_policy(7)
    said = policy.sample([(0,)] * 64, longest=LONGEST, seed=3)
    scores = sweet(said)
    rows, seen = ppo.experience(FAST, said, scores, other, toy_critic(1).zeroed(), BETA)
    kl_B = ((rows.logp_BT - other.logp(rows.tokens)) * rows.tokens.mask_BT).sum(1)
    assert torch.allclose(rows.return_BT[:, 1], torch.tensor(scores) - BETA * kl_B, atol=1e-4)
    assert seen["objective/rlhf_reward"] == pytest.approx(
        float((torch.tensor(scores) - BETA * kl_B).mean()), abs=1e-4
    )


@pytest.mark.parametrize(
    ("rule", "want"), [(None, 3.0), (Absolute(-1.0), -1.0), (Relative(-1.0), 2.0)]
)
def test_missing_eos(rule, want):
    policy = toy_policy()
    cut = next(r for r in policy.sample([(0,)] * 64, longest=1, seed=0) if r.finish == "length")
    done = next(r for r in policy.sample([(0,)] * 64, longest=3, seed=0) if r.finish == "stop")
    assert ended(rule, [cut, done], [3.0, 3.0]) == [want, 3.0]


def test_stop_kl_ends_a_steps_passes_early():
    _, run = trained(steps=1, epochs=8, lr=0.1, clip=Clip(stop_kl=0.01))
    assert run.lines[0]["policy/updates"] < 16
    _, run = trained(steps=1, epochs=8, lr=0.1)
    assert run.lines[0]["policy/updates"] == 16


@pytest.mark.parametrize("by", ["token", "sequence"])
@pytest.mark.parametrize("part", ["improve", "foresee"])
def test_gradients_do_not_depend_on_the_cut(part, by):
    """Micro-batches and order change no gradient (float64)."""
    with float64():
        start = toy_policy(0, dtype=torch.float64)
        critic = toy_critic(1, dtype=torch.float64)
        said = start.sample([(0,), (0, 4), (0, 5, 3)] * 5, longest=LONGEST, seed=1)
        other = toy_policy(3, dtype=torch.float64)
        rows, _ = ppo.experience(FAST, said, sweet(said), other, critic, 0.1)
        improve = partial(ppo.improve, eps=0.2, temperature=1.0)
        foresee = partial(ppo.foresee, eps=0.2)
        asked = (start, improve) if part == "improve" else (critic, foresee)
        first = None
        for micro, index in cuts(len(rows)):
            few = rows.take(index)
            got = gradient(asked[0], few, weigh(few.tokens.mask_BT, by), asked[1], micro)
            first = got if first is None else first
            assert (got - first).abs().max() < 1e-12
        assert first.abs().max() > 1e-3


def test_padding_changes_nothing():
    short, long = (0, 4), (0, 5, 3, 2, 2)
    policy = toy_policy()
    alone = policy.logp(pad([short], [(2, 1)]))
    beside = policy.logp(pad([short, long], [(2, 1), (3, 3, 1)]))
    assert torch.allclose(alone[0], beside[0, : alone.shape[1]], atol=1e-6)
