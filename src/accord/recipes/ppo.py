"""PPO for language models (Schulman et al. 2017; Ziegler et al. 2019; Ouyang et al. 2022).

for each step:
    x ~ prompts,  y ~ π(· | x),  s = r(x, y)
    rₜ = β (log ρ - log π)(yₜ)  +  s where t is the last token          ρ: the reference
    Â = GAE(r, V),  R = Â + V
    for K epochs, for each minibatch:
        π:  minimise  -min(ratio · Â, clip(ratio, 1 ± ε) Â) - γ log π(text),  Â whitened
        V:  minimise  ½ max((V - R)², (clip(V, V_old ± ε_v) - R)²)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from accord.config.limits import Above0, Count, Part
from accord.data.rows import Rows, Tokens, align, pad
from accord.data.stream import Stream
from accord.engine.draw import Sampling, key
from accord.engine.roles import Critic, Policy
from accord.engine.steps import Optimizer
from accord.maths import losses
from accord.maths.advantages import GAE
from accord.maths.control import AdaptiveKL, Constant, Cosine, FixedKL, Linear
from accord.maths.weights import weigh
from accord.models.heads import Judge, Speaker
from accord.models.lora import Lora
from accord.recipes import common
from accord.recipes.method import POLICY, Method
from accord.recipes.mixing import Beside, Mixed, Mixer, Ptx, apart
from accord.records import Rollout
from accord.rewards.base import Reward
from accord.rewards.ending import Absolute, Questions, Relative, Sentence
from accord.rewards.shape import Shape
from accord.store.run import Run

METHODS = (
    Method("PPO", "ppo", *POLICY, ("reward", "reference", "sampling", "value"), "Ouyang 2022"),
)


class PPO(common.Passes):
    """Proximal policy optimisation against a reward, with a KL price and a critic."""

    steps: Count = 60
    """times the policy answers a batch of prompts and learns from it"""
    longest: Count = 128
    """the most tokens an answer may have"""
    temperature: Above0 = 1.0
    """of sampling; all log-probabilities are taken at it"""
    kl: FixedKL | AdaptiveKL = FixedKL(0.05)
    """price of a nat of KL from the reference"""
    missing_eos: Absolute | Relative | Sentence | Questions | None = None
    """what becomes of the score of an answer that was cut at `longest`, or lacks a mark"""
    shape: Shape = Shape()
    """what else becomes of a score: a price of length, a limit, a scale"""
    whiten: Literal["advantages", "rewards", "both", "none"] = "advantages"
    """what is brought to mean 0 and variance 1 over the batch (rewards keep their mean)"""
    gae: GAE = GAE()
    """how an answer's reward is shared among its tokens"""
    clip: losses.Clip = losses.Clip()
    """how far the passes of one step may go"""
    ptx: Ptx | None = None
    """text to be remembered beside (PPO-ptx); the command's ptx_data says which"""
    average: Part | None = None
    """return a running mean of the policy with this decay per step, instead of its last step"""
    critic: Literal["reward", "trunk", "zero"] = "reward"
    """start of the value function: the reward model; with a head at zero its trunk; the policy"""
    lr: Above0 = 1e-5
    """learning rate of the policy"""
    lr_critic: Above0 = 2e-5
    """learning rate of the value function"""
    schedule: Constant | Linear | Cosine = Linear()
    """how the learning rates change from step to step"""
    optimizer: Optimizer = Optimizer(betas=(0.9, 0.999), eps=1e-5)
    """how gradients become steps"""
    lora: Lora | None = None
    """train adapters on a shared trunk instead of whole models"""


@dataclass(frozen=True)
class Experience(Rows):
    """What a step is learned from; column t speaks of answer token t."""

    tokens: Tokens
    logp_BT: Tensor
    value_BT: Tensor
    adv_BT: Tensor
    return_BT: Tensor
    kl_B: Tensor


def train(
    cfg: PPO,
    run: Run,
    start: Policy,
    reward: Reward,
    critic: Critic,
    prompts: Sequence[common.Asked] | Mixed[common.Asked, Any],
    *,
    seed: int = 0,
    gold: Reward | None = None,
) -> Policy:
    """The policy that `reward` prefers, kept near `start`.

    `critic` is what the value function starts from.  `gold` is watched, never learned from: where
    it falls while `reward` rises, the reward is being hacked.
    """
    how: dict[str, Any] = {"optimizer": cfg.optimizer, "lora": cfg.lora, "seed": seed}
    policy = run.keep("policy", start.trainable(lr=cfg.lr, **how))
    foreseer = common.foreseer(cfg.critic, start, critic)
    critic = run.keep("critic", foreseer.trainable(lr=cfg.lr_critic, **how))
    price = run.keep("kl", common.KLPrice(cfg.kl))
    average = common.averaged(run, policy, cfg.average)
    given, tempered = apart(prompts), Sampling(cfg.temperature)
    stream = Stream(given.prompts, cfg.batch, seed)
    mixer = Mixer(cfg.ptx, given.texts, cfg.batch, (cfg.epochs, cfg.minibatches), seed)
    for step in run.steps(cfg, cfg.steps):
        asked, factor = stream.at(step), cfg.schedule(step, cfg.steps)
        said = common.obtain(run, policy, asked, step, tempered, longest=cfg.longest, seed=seed)
        rollouts, scores, dropped = common.judged(cfg.missing_eos, policy.speller, said, reward)
        worth = cfg.shape(rollouts, scores)
        rows, seen = experience(cfg, rollouts, worth, start, critic, price.beta)
        dice, text = key(seed, f"minibatches {step}"), partial(mixer.at, step)
        seen |= optimise(cfg, policy, critic, rows, [r.id for r in rollouts], factor, dice, text)
        seen |= common.watched(gold, said) | common.cut(policy, critic)
        price.learn(seen["objective/kl"], len(rollouts))
        average.learn()
        run.ledger.note(step, said, dropped)
        run.sample(step, common.excerpt(policy.speller, rollouts, scores, rows.kl_B.tolist()))
        run.log(step, **seen, lr=cfg.lr * factor, episode=(step + 1) * cfg.batch)
    return average.settle()


def experience(
    cfg: PPO,
    rollouts: Sequence[Rollout],
    scores: Sequence[float],
    reference: Policy,
    critic: Critic,
    beta: float,
) -> tuple[Experience, dict[str, float]]:
    """Price the KL, put the score on the last token, look back with GAE; and what was seen."""
    tokens = pad([r.prompt_ids for r in rollouts], [r.response_ids for r in rollouts])
    mask_BT, score_B1 = tokens.mask_BT, torch.tensor(scores)[:, None]
    logp_BT = align([r.logp for r in rollouts], mask_BT)
    ref_BT = reference.logp(tokens, cfg.temperature).cpu()
    kl_BT, price_BT = common.charged(cfg.kl, beta, logp_BT, ref_BT)
    reward_BT = cfg.shape.scale * (-price_BT).scatter_add(1, tokens.last_B[:, None], score_B1)
    reward_BT = common.whitened(cfg.whiten, "rewards", reward_BT, mask_BT)
    value_BT = critic.value(tokens).cpu()
    adv_BT = cfg.gae(reward_BT, value_BT, mask_BT)
    return_BT = (adv_BT + value_BT) * mask_BT
    adv_BT = common.whitened(cfg.whiten, "advantages", adv_BT, mask_BT)
    seen = common.objective(rollouts, score_B1[:, 0], kl_BT.sum(1), price_BT.sum(1), beta)
    seen["val/returns_var"] = float(return_BT[mask_BT].var(correction=0))
    return Experience(tokens, logp_BT, value_BT, adv_BT, return_BT, kl_BT.sum(1)), seen


def optimise(
    cfg: PPO,
    policy: Policy,
    critic: Critic,
    rows: Experience,
    names: Sequence[str],
    factor: float,
    dice: int,
    beside: Beside = lambda update: (),
) -> dict[str, float]:
    """K epochs of minibatches, both parts; the means over them of what was watched."""
    seen: list[dict[str, float]] = []
    improved = partial(improve, eps=cfg.clip.eps, temperature=cfg.temperature)
    foreseen = partial(foresee, eps=cfg.clip.eps_value)
    for few in common.minibatches(rows, cfg.epochs, cfg.minibatches, seed=dice):
        weight, text = weigh(few.tokens.mask_BT), beside(len(seen))
        new = policy.update(few, weight, improved, lr=cfg.lr * factor, names=names, beside=text)
        old = critic.update(few, weight, foreseen, lr=cfg.lr_critic * factor, names=names)
        seen.append(common.both(new, old))
        if cfg.clip.stop_kl is not None and new["policy/approxkl"] > cfg.clip.stop_kl:
            break
    return common.told(seen)


def improve(model: Speaker, rows: Experience, *, eps: float, temperature: float) -> losses.Loss:
    """The clipped surrogate."""
    said = model(rows.tokens, temperature)
    loss = losses.clip(said.logp_BT, rows.logp_BT, rows.adv_BT, eps=eps)
    off_BT = (loss.watch["policy/ratio"] - 1) ** 2
    watch = {"policy/ratio_var": off_BT, "objective/entropy": said.entropy_BT}
    return losses.Loss(loss.each, {**loss.watch, **watch})


def foresee(model: Judge, rows: Experience, *, eps: float | None) -> losses.Loss:
    """The clipped value loss."""
    return losses.value(model(rows.tokens), rows.value_BT, rows.return_BT, eps=eps)
