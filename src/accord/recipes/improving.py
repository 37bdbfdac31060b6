"""Improve: imitate the answers that pass a filter, while that raises the reward."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from accord.config import Settings
from accord.config.limits import Above0, Count
from accord.data.rows import align, pad
from accord.data.stream import Stream
from accord.engine.best import Best
from accord.engine.draw import Sampling
from accord.engine.roles import Policy
from accord.engine.steps import Optimizer
from accord.maths import divergence
from accord.maths.control import Constant, Cosine, Linear
from accord.maths.selection import Best as BestOf
from accord.maths.selection import Everything, Filter, Fixed, Interpolated, Percentile, Scale
from accord.maths.weights import weigh
from accord.models.lora import Lora
from accord.recipes import common, sft
from accord.recipes.growing import Grow
from accord.recipes.harvest import Passing
from accord.rewards.base import Reward
from accord.store.run import Run


class Improve(Settings):
    """Imitate the answers that pass a filter, while that raises the reward."""

    keep: Fixed | Percentile | Interpolated | BestOf | Everything = Fixed()
    """which answers are imitated; it has a number for each Improve of a Grow"""
    epochs: Above0 = 1.0
    """the most passes over what is kept"""
    batch: Count = 32
    """answers per optimizer step"""
    weigh_by: Literal["token", "sequence"] = "token"
    """every token counts alike, or every answer"""
    measure_every: Count = 20
    """steps between two looks at the reward of answers to prompts kept aside"""
    measure_n: Count = 1
    """answers to each of them at a look"""
    patience: Count = 2
    """looks in a row without a better reward that end an Improve; its best weights are kept"""
    lr: Above0 = 2e-5
    """learning rate of the first Improve of a Grow at its highest"""
    slower: Above0 = 0.5
    """what it is multiplied by from one Improve to the next"""
    schedule: Constant | Linear | Cosine = Constant()
    """how the learning rate changes from step to step"""
    optimizer: Optimizer = Optimizer()
    """how gradients become steps"""
    lora: Lora | None = None
    """train an adapter instead of the whole model"""

    def at(self, i: int) -> "Improve":
        """The settings of Improve i alone; they count from 1."""
        keep: Filter = self.keep.only(i)
        return self.model_copy(update={"keep": keep, "lr": self.lr * self.slower ** (i - 1)})


@dataclass(frozen=True)
class Look:
    """What a policy answers to prompts kept aside, and what that is worth."""

    how: Grow
    """answers are sampled and scored as in Grow"""
    n: int
    """to each prompt"""
    asked: Sequence[common.Asked]
    start: Policy
    """what KL is measured from"""
    scale: Scale
    reward: Reward
    gold: Reward | None = None
    """what is only watched"""

    def __call__(self, policy: Policy) -> dict[str, float]:
        """Means over all answers; the same dice at every look.  KL is k1, nats per answer."""
        how = self.how
        said = policy.sample(
            [one.ids for one in self.asked],
            n=self.n,
            longest=how.longest,
            seed=-1,  # no seed of Grow: nothing here was learned from
            how=Sampling(how.temperature),
        )
        _, scores, _ = common.judged(how.missing_eos, policy.speller, said, self.reward)
        raw_N = torch.tensor(scores, dtype=torch.float64)
        tokens = pad([r.prompt_ids for r in said], [r.response_ids for r in said])
        logp_BT = align([r.logp for r in said], tokens.mask_BT)
        ref_BT = self.start.logp(tokens, how.temperature).cpu()
        return {
            "eval/reward": float(self.scale(raw_N).mean()),
            "eval/raw": float(raw_N.mean()),
            "eval/kl": float(divergence.k1(logp_BT, ref_BT).sum(1).mean()),
            "eval/length": common.means([len(r.response_ids) for r in said]),
            "eval/cut": common.means([r.finish == "length" for r in said]),
            **common.watched(self.gold, said),
        }


def improve(
    cfg: Improve,
    policy: Policy,
    few: Passing,
    look: Look | None,
    run: Run,
    *,
    seed: int = 0,
) -> tuple[Policy, dict[str, float]]:
    """The policy that imitates what passed, at its best step; and what was measured."""
    how: dict[str, Any] = {"optimizer": cfg.optimizer, "lora": cfg.lora, "seed": seed}
    learner = run.keep("policy", policy.trainable(lr=cfg.lr, **how))
    best = run.keep("best", Best(learner, cfg.patience)) if look else None
    stream = Stream(few.rows, cfg.batch, seed)
    total = stream.steps(cfg.epochs)
    for step in run.steps(cfg, total):
        seen: dict[str, float] = {}
        if look and best and step == 0:
            seen = {key.replace("eval/", "before/"): v for key, v in look(learner).items()}
            best.see(seen["before/reward"])
        rows, lr = common.enter(run, stream, step), cfg.lr * cfg.schedule(step, total)
        tokens, names = sft.lay(rows), [row.id for row in rows]
        weight = weigh(tokens.mask_BT, cfg.weigh_by)
        seen |= learner.update(tokens, weight, sft.imitate, lr=lr, names=names)
        if look and best and ((step + 1) % cfg.measure_every == 0 or step == total - 1):
            seen |= look(learner)
            best.see(seen["eval/reward"])
            run.enough(step) if best.over else None
        run.log(step, **seen, lr=lr, epoch=stream.epoch(step))
    if best is None:
        return learner, few.numbers
    first = run.history[0]
    told, mark = (run.history[best.updates - 1], "eval/") if best.updates else (first, "before/")
    at_best = {f"eval/{k.removeprefix(mark)}": v for k, v in told.items() if k.startswith(mark)}
    at_best["before/reward"] = first["before/reward"]
    return best.settle(), few.numbers | at_best | {"updates": float(best.updates)}
