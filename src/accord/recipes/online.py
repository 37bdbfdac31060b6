"""On-line preference optimisation: the policy's own answers are compared while it learns.

for each step:
    y₁ … y_n ~ π(· | x),  s = r(x, y)              n answers to each prompt of the step
    the best against the worst, or all by rank     what scores alike is no pair
    minimise the loss of `dpo` on them             Guo et al. 2024 (OAIF)
    ρ ← a π + (1-a) ρ, every k steps               if asked for (TR-DPO); a = 1: iterative DPO
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Self

import torch
from pydantic import Field, model_validator

from accord.config import Settings
from accord.config.limits import Above0, Count
from accord.data.comparisons import Spelled
from accord.data.stream import Stream
from accord.engine.draw import Sampling, key
from accord.engine.reference import Reference
from accord.engine.roles import Policy
from accord.engine.steps import Optimizer
from accord.engine.trailing import Refresh, Trailing
from accord.maths.answers import Direct
from accord.maths.control import Constant, Cosine, Linear
from accord.maths.direct import Single
from accord.maths.pairwise import DPO
from accord.maths.unpaired import AOT, settle
from accord.maths.weights import even
from accord.models.lora import Lora
from accord.recipes import common
from accord.recipes.blend import blended
from accord.recipes.dpo import prefer, see
from accord.recipes.method import Method
from accord.recipes.pairing import Labels, Pairs, group, observe
from accord.recipes.preferred import LONE, lay, lone, refer
from accord.rewards.base import Reward
from accord.rewards.ending import Absolute, Relative, Sentence
from accord.store.run import Run

METHODS = (
    Method(
        "on-line DPO",
        "online",
        "preference classification",
        "on-policy",
        ("reward", "reference", "pairs", "sampling"),
        "Guo et al. 2024",
    ),
    Method(
        "iterative DPO",
        "online refresh=Refresh refresh.every=1 refresh.share=1",
        "preference classification",
        "growing batch",
        ("reward", "reference", "pairs", "sampling"),
        "Xu et al. 2023",
    ),
)


class Online(Settings):
    """A policy learned from comparisons of its own answers, made as it goes."""

    loss: Single = DPO()
    """what is minimised over the answers to one prompt"""
    mix: str = ""
    """more losses, each with its weight, added to it: mix=0.2*BCO,1*NLL"""
    steps: Count = 60
    """times the policy answers a batch of prompts and learns from it"""
    batch: Count = 32
    """prompts per step"""
    n: int = Field(2, ge=2)
    """answers to each prompt"""
    pairs: Pairs = "best-worst"
    """which answers to a prompt become a row: two, or all in the order of their scores"""
    labels: Labels = "hard"
    """hard: the higher score is better; soft: so likely as σ of the difference, which is what the
    score of a reward model means"""
    epochs: Count = 1
    """passes over each step's comparisons"""
    minibatches: Count = 1
    """optimizer steps per pass"""
    longest: Count = 128
    """the most tokens an answer may have"""
    temperature: Above0 = 1.0
    """of sampling; the loss compares log-probabilities at 1"""
    missing_eos: Absolute | Relative | Sentence | None = None
    """what becomes of the score of an answer that was cut at `longest`, or lacks a mark"""
    refresh: Refresh | None = None
    """how the reference goes after the policy; none: it stays the model begun with"""
    lr: Above0 = 1e-6
    """learning rate at its highest; with lora ten times as much"""
    schedule: Constant | Linear | Cosine = Linear(warmup=0.1)
    """how the learning rate changes from step to step"""
    optimizer: Optimizer = Optimizer()
    """how gradients become steps"""
    lora: Lora | None = None
    """train an adapter instead of the whole model"""

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.labels == "soft" and self.pairs != "best-worst":
            raise ValueError("labels=soft is of two answers: pairs=best-worst")
        if self.objective.needs_mismatch and self.batch < 2 * self.minibatches:
            raise ValueError(
                "KTO compares with answers to other prompts: batch must be at least 2, and as much "
                "for each of minibatches"
            )
        if isinstance(self.loss, AOT) and self.pairs == "ranking" and self.n > 2:
            raise ValueError("loss=AOT compares two answers: pairs=best-worst")
        return self

    @property
    def objective(self) -> Direct:
        """The loss, with what is mixed into it."""
        return blended(self.loss, self.mix)


def train(
    cfg: Online,
    run: Run,
    start: Policy,
    reward: Reward,
    prompts: Sequence[common.Asked],
    *,
    seed: int = 0,
    gold: Reward | None = None,
) -> Policy:
    """The policy whose answers `reward` prefers to its other answers, kept near its reference.

    `gold` is watched, never learned from.
    """
    how: dict[str, Any] = {"lr": cfg.lr, "optimizer": cfg.optimizer, "lora": cfg.lora, "seed": seed}
    policy = run.keep("policy", start.trainable(**how))
    trail = None
    if cfg.refresh:
        trail = run.keep("reference", Trailing(policy, start.trainable(**how), cfg.refresh))
    reference = trail.now if trail else start
    stream, tempered = Stream(prompts, cfg.batch, seed), Sampling(cfg.temperature)
    for step in run.steps(cfg, cfg.steps):
        asked, factor = stream.at(step), cfg.schedule(step, cfg.steps)
        said = common.obtain(
            run, policy, asked, step, tempered, longest=cfg.longest, seed=seed, n=cfg.n
        )
        known, scores, dropped = common.judged(cfg.missing_eos, policy.speller, said, reward)
        groups = group(known, scores, cfg.pairs, cfg.labels)
        rows = [row for g in groups for row in g.rows]
        ref = refer(reference, [g.all for g in groups])
        seen = observe(groups, ref, known, scores, len(asked))
        dice = key(seed, f"minibatches {step}")
        few_ref = [told for g, said in zip(groups, ref, strict=True) for told in g.of(said)]
        seen |= optimise(cfg, policy, reference, rows, few_ref, factor, dice)
        if trail:
            trail.follow(step)
        dropped |= {name: why for g in groups for name, why in g.left.items()}
        if lone(cfg.objective, rows):
            dropped |= {name: LONE for g in groups for name in g.names if g.row} | dropped
        run.ledger.note(step, said, dropped)
        run.sample(step, common.excerpt(policy.speller, known, scores))
        seen |= common.watched(gold, said)
        run.log(step, **seen, lr=cfg.lr * factor, episode=(step + 1) * cfg.batch * cfg.n)
    return policy


def optimise(
    cfg: Online,
    policy: Policy,
    reference: Policy,
    rows: Sequence[Spelled],
    ref: Reference,
    factor: float,
    dice: int,
) -> dict[str, float]:
    """Passes over a step's comparisons; the means over their updates.  Without any, nothing."""
    seen: list[dict[str, float]] = []
    loss = cfg.objective
    if lone(loss, rows):
        return {}
    pieces = min(cfg.minibatches, len(rows) // 2) if loss.needs_mismatch else cfg.minibatches
    for index in chunks(len(rows), cfg.epochs, pieces, dice):
        few = [rows[i] for i in index]
        laid = see(loss, lay(few, [ref[i] for i in index]), few, policy, reference, rows)
        prefers, who = partial(prefer, loss=loss), [c.id for c in few]
        told = policy.update(laid, even(len(laid)), prefers, lr=cfg.lr * factor, names=who)
        seen.append(settle(told))
    names = dict.fromkeys(name for one in seen for name in one)
    return {name: common.means([one[name] for one in seen if name in one]) for name in names}


def chunks(count: int, epochs: int, pieces: int, dice: int) -> Iterator[list[int]]:
    """Places of `count` rows, shuffled anew in each epoch and cut into minibatches."""
    rng = torch.Generator().manual_seed(dice)
    for _ in range(epochs if count else 0):
        order = torch.randperm(count, generator=rng)
        yield from (part.tolist() for part in order.tensor_split(min(pieces, count)))
