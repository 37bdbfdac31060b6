"""Policy gradients without a critic: REINFORCE, RLOO, GRPO, Dr. GRPO, REINFORCE++, GSPO, DAPO.

for each step:
    x₁ … x_P ~ prompts,  y₁ … y_G ~ π(· | x) each,  s = r(x, y)
    Â = baseline(s - β Σ log π/ρ)            or of s alone, with a price of KL in the loss
    for K epochs, for each minibatch:
        minimise  Σ w · [ -min(ratio · Â, clip(ratio, 1 - ε, 1 + ε') Â)  +  β k(π, ρ) ]

Baseline, ratio, range, weights w and the place of KL are settings: a method is a preset.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from accord.config.limits import Above0, Count
from accord.data.rows import Grouped, Rows
from accord.data.stream import Stream
from accord.engine.draw import key
from accord.engine.roles import Policy
from accord.engine.steps import Optimizer
from accord.maths import divergence
from accord.maths.control import Constant, Cosine, Linear
from accord.maths.losses import Loss
from accord.maths.surrogate import LossKL, RewardKL, Surrogate, Truncated
from accord.maths.weights import Unit, weigh
from accord.models.heads import Speaker
from accord.models.lora import Lora
from accord.recipes import common
from accord.recipes.groups import NO_SIGNAL, Ahead, Asker, Batch, Groups, lay, table
from accord.recipes.method import POLICY, Method, Need
from accord.rewards.base import Reward
from accord.store.run import Run

_KL: tuple[Need, ...] = ("reward", "reference", "sampling")
_NONE: tuple[Need, ...] = ("reward", "sampling")
METHODS = (
    Method("RLOO", "grpo --preset rloo", *POLICY, _KL, "Ahmadian et al. 2024"),
    Method("GRPO", "grpo --preset grpo", *POLICY, _KL, "Shao et al. 2024"),
    Method("REINFORCE++", "grpo --preset reinforce++", *POLICY, _KL, "Hu et al. 2025"),
    Method("Dr. GRPO", "grpo --preset dr-grpo", *POLICY, _NONE, "Liu et al. 2025"),
    Method("GSPO", "grpo --preset gspo", *POLICY, _NONE, "Zheng et al. 2025"),
    Method("DAPO", "grpo --preset dapo", *POLICY, _NONE, "Yu et al. 2025"),
)


class GRPO(Groups):
    """Learn from several answers to each prompt, compared with each other; no critic."""

    steps: Count = 60
    """times the policy answers a batch of prompts and learns from it"""
    weigh_by: Unit = "sequence"
    """what counts alike: every token (DAPO), every answer (GRPO), or, with a constant denominator
    (answers times longest), no bias by length (Dr. GRPO)"""
    loss: Surrogate = Surrogate()
    """the ratio, of a token or of an answer, and how far it may move the objective"""
    kl: RewardKL | LossKL | None = LossKL()
    """the price of KL, in the reward or in the loss; none: no reference is asked"""
    stale: Truncated | None = None
    """weigh each answer by how likely it is now; none: the ratio is to the policy that sampled"""
    epochs: Count = 1
    """passes over each step's answers"""
    lr: Above0 = 1e-5
    """learning rate"""
    schedule: Constant | Linear | Cosine = Linear()
    """how the learning rate changes from step to step"""
    optimizer: Optimizer = Optimizer(betas=(0.9, 0.999))
    """how gradients become steps"""
    lora: Lora | None = None
    """train an adapter instead of the whole model"""


@dataclass(frozen=True)
class Experience(Rows):
    """What a step is learned from; column t speaks of answer token t."""

    tokens: Grouped
    old_BT: Tensor
    """log π that the ratio is taken to"""
    ref_BT: Tensor
    adv_BT: Tensor


def train(
    cfg: GRPO,
    run: Run,
    start: Policy,
    reward: Reward,
    prompts: Sequence[common.Asked],
    *,
    seed: int = 0,
    gold: Reward | None = None,
) -> Policy:
    """The policy that `reward` prefers, kept near `start`; `gold` is only watched."""
    how: dict[str, Any] = {"optimizer": cfg.optimizer, "lora": cfg.lora, "seed": seed}
    policy = run.keep("policy", start.trainable(lr=cfg.lr, **how))
    ahead, stream = run.keep("ahead", Ahead()), Stream(prompts, cfg.batch, seed)
    asker = Asker(cfg, run, policy, reward, gold, seed)
    for step in run.steps(cfg, cfg.steps):
        while ahead.next <= min(step + cfg.lag, cfg.steps - 1):
            ahead.put(*asker.collect(stream, ahead.next, ahead.place))
        batch, factor = ahead.take(), cfg.schedule(step, cfg.steps)
        rows, seen = experience(cfg, batch, policy, start)
        names, dice = [r.id for r in batch.known], key(seed, f"minibatches {step}")
        seen |= optimise(cfg, policy, rows, names, lr=cfg.lr * factor, dice=dice)
        run.ledger.dropped(step, batch.dropped)
        run.ledger.trained(step, [name for name in names if name not in batch.dropped])
        run.sample(step, batch.shown)
        told = batch.seen | seen | {"policy/micro_tokens": policy.micro_tokens}
        run.log(step, **told, lr=cfg.lr * factor, episode=(step + 1) * cfg.batch * cfg.group)
    return policy


def experience(
    cfg: GRPO, batch: Batch, policy: Policy, reference: Policy
) -> tuple[Experience | None, dict[str, float]]:
    """Price the KL, compare within groups, lay on tokens; and what was seen.  None where no answer
    is left to learn from; those that are not are noted in the batch.
    """
    if len(batch.known) < cfg.baseline.least:
        batch.leave_out(batch.groups, NO_SIGNAL)
        return None, {}
    tokens, said_BT = lay(batch.groups)
    mask_BT, (score_PG, real_PG) = tokens.mask_BT, table(batch.groups)
    old_BT = said_BT if cfg.stale is None else policy.logp(tokens, cfg.temperature).cpu()
    ref_BT, price_BT, seen = torch.zeros_like(old_BT), torch.zeros_like(old_BT), {}
    if cfg.kl is not None:
        ref_BT = reference.logp(tokens, cfg.temperature).cpu()
        kl_BT = divergence.k1(old_BT, ref_BT)
        batch.price(kl_BT.sum(1))
        seen = {"objective/kl": float(kl_BT.sum(1).mean()), "objective/kl_coef": cfg.kl.beta}
    if isinstance(cfg.kl, RewardKL):
        price_BT = cfg.kl.charge(old_BT, ref_BT, mask_BT)
        price_B = price_BT.gather(1, tokens.stem_B[:, None])[:, 0]
        seen["objective/non_score_reward"] = float(-price_B.mean())
        if cfg.kl.spread == "answer":
            score_PG = score_PG.masked_scatter(real_PG, score_PG[real_PG] - price_B)
            price_BT = torch.zeros_like(price_BT)
    adv_PG = cfg.baseline(cfg.shape.scale * score_PG, real_PG)
    adv_BT = torch.where(mask_BT, adv_PG[real_PG][:, None] - cfg.shape.scale * price_BT, 0.0)
    adv_BT = cfg.baseline.lay(adv_BT, mask_BT)
    if cfg.stale is not None:
        weight_BT = cfg.stale(old_BT, said_BT, mask_BT)
        seen["policy/stale_weight"] = float(weight_BT[mask_BT].mean())
        adv_BT = weight_BT * adv_BT
    seen["policy/staleness"] = policy.version - common.means([r.version for r in batch.known])
    rows = Experience(tokens, old_BT, ref_BT, adv_BT)
    rest_B = batch.settle(cfg, ~moves(cfg, rows))
    return rows.take(rest_B) if rest_B.any() else None, seen


def moves(cfg: GRPO, rows: Experience) -> Tensor:
    """moves_B: whether a row has a gradient at all; without an advantage, only where it pays KL."""
    pays = isinstance(cfg.kl, LossKL) and cfg.kl.beta > 0
    return (rows.adv_BT != 0).any(1) | pays


def optimise(
    cfg: GRPO,
    policy: Policy,
    rows: Experience | None,
    names: Sequence[str],
    *,
    lr: float,
    dice: int,
) -> dict[str, float]:
    """K epochs of minibatches; the means over them of what was watched.

    Rows without a gradient count in the denominators, but are not computed.
    """
    seen: list[dict[str, float]] = []
    improved = partial(improve, loss=cfg.loss, kl=cfg.kl, temperature=cfg.temperature)
    constant = {"longest": cfg.longest} if cfg.weigh_by == "constant" else {}
    for few in common.minibatches(rows, cfg.epochs, cfg.minibatches, seed=dice) if rows else ():
        few = few.take(few.tokens.row_B.argsort())  # side by side, so that a prompt is read once
        alive_B = moves(cfg, few)
        weight_BT = weigh(few.tokens.mask_BT, cfg.weigh_by, **constant)[alive_B]
        if not alive_B.any():
            continue
        told = policy.update(few.take(alive_B), weight_BT, improved, lr=lr, names=names)
        summed, whole = ("loss", "grad_norm"), float(weight_BT.sum())
        seen.append({k: v if k in summed else v / whole for k, v in told.items()})
    return common.told(seen) if seen else {"policy/updates": 0.0}


def improve(
    model: Speaker, rows: Experience, *, loss: Surrogate, kl: Any, temperature: float
) -> Loss:
    """The clipped surrogate, with the price of KL where it is in the loss."""
    said = model(rows.tokens, temperature)
    made = loss(said.logp_BT, rows.old_BT, rows.adv_BT, rows.tokens.mask_BT)
    made = kl.add(made, said.logp_BT, rows.ref_BT) if isinstance(kl, LossKL) else made
    return Loss(made.each, {**made.watch, "objective/entropy": said.entropy_BT})
