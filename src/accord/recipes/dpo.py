"""Direct preference optimisation (Rafailov et al. 2023), and its family by their losses.

log ρ(y | x) of every answer, once                      ρ: the reference, the model begun with
for each batch of comparisons (x, y₁ … y_K, an order on them):
    log π(y | x) of every answer, the prompt read once
    minimise  -log σ(β (log π/ρ(y⁺) - log π/ρ(y⁻)))        or another loss of the same rows
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Self

from pydantic import model_validator

from accord.config import Settings
from accord.config.limits import Above0, Count, Share
from accord.data.comparisons import Spelled
from accord.data.rows import choices
from accord.data.stream import Stream
from accord.engine.reference import Reference
from accord.engine.roles import Policy
from accord.engine.steps import Optimizer
from accord.maths.answers import Direct
from accord.maths.control import Constant, Cosine, Linear
from accord.maths.direct import Single
from accord.maths.losses import Loss
from accord.maths.pairwise import DPO
from accord.maths.unpaired import settle
from accord.maths.weights import even
from accord.models.heads import Speaker
from accord.models.lora import Lora
from accord.recipes import common
from accord.recipes.blend import blended
from accord.recipes.method import Method
from accord.recipes.preferred import (
    Preferred,
    answered,
    lay,
    measure,
    mismatched,
    refer,
    told_by,
)
from accord.store.run import Run

METHODS = (
    Method(
        "DPO and family",
        "dpo",
        "preference classification",
        "offline",
        ("reference", "pairs"),
        "Rafailov et al. 2023",
    ),
    Method(
        "SimPO, ORPO, CPO",
        "dpo loss=SimPO",
        "preference classification",
        "offline",
        ("pairs",),
        "Meng et al. 2024",
    ),
    Method(
        "KTO, BCO",
        "dpo kind=ratings loss=KTO",
        "unpaired preferences",
        "offline",
        ("reference",),
        "Ethayarajh et al. 2024",
    ),
)


class Preference(Settings):
    """A policy learned from comparisons at once: no reward model, no sampling."""

    loss: Single = DPO()
    """what is minimised over the answers to one prompt"""
    mix: str = ""
    """more losses, each with its weight, added to it: mix=0.2*BCO,1*NLL"""
    epochs: Above0 = 1.0
    """passes over the comparisons"""
    batch: Count = 64
    """comparisons (prompts) per optimizer step"""
    longest: Count = 1024
    """tokens of prompt and answer together; longer ones are dropped and counted, never cut"""
    held_out: Share = 0.05
    """share of prompts kept aside to measure on"""
    measure_every: Count = 50
    """steps between two looks at the held-out comparisons"""
    lr: float = 1e-6
    """learning rate at its highest; with lora ten times as much"""
    schedule: Constant | Linear | Cosine = Linear(warmup=0.1)
    """how the learning rate changes from step to step"""
    optimizer: Optimizer = Optimizer()
    """how gradients become steps"""
    lora: Lora | None = None
    """train an adapter instead of the whole model"""

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.objective.needs_mismatch and self.batch < 2:
            raise ValueError("KTO compares with answers to other prompts: batch must be at least 2")
        return self

    @property
    def objective(self) -> Direct:
        """The loss, with what is mixed into it."""
        return blended(self.loss, self.mix)


def train(
    cfg: Preference,
    run: Run,
    start: Policy,
    compared: Sequence[Spelled],
    held_out: Sequence[Spelled] = (),
    *,
    reference: tuple[Reference, Reference] | None = None,
    seed: int = 0,
) -> Policy:
    """The policy that agrees with the comparisons, kept near `start`.

    `reference` is what `refer` says of `compared` and of `held_out`, if it is known already.
    """
    how: dict[str, Any] = {"optimizer": cfg.optimizer, "lora": cfg.lora, "seed": seed}
    policy = run.keep("policy", start.trainable(lr=cfg.lr, **how))
    loss = cfg.objective
    ref, ref_held = reference or (told_by(start, compared, loss), refer(start, held_out))
    start.rest()
    stream = Stream(common.Named(compared), cfg.batch, seed)
    total = stream.steps(cfg.epochs)
    for step in run.steps(cfg, total):
        few = common.enter(run, stream, step)
        rows, factor = lay(few, [ref[i] for i in stream.places(step)]), cfg.schedule(step, total)
        rows = see(loss, rows, few, policy, start, compared)
        prefers, names = partial(prefer, loss=loss), [c.id for c in few]
        told = policy.update(rows, even(len(rows)), prefers, lr=cfg.lr * factor, names=names)
        seen = settle(told)
        if held_out and (step % cfg.measure_every == 0 or step == total - 1):
            seen |= {f"eval/{k}": v for k, v in measure(policy, held_out, ref_held).items()}
        run.log(step, **seen, lr=cfg.lr * factor, epoch=stream.epoch(step))
    return policy


def see(
    loss: Direct,
    rows: Preferred,
    few: Sequence[Spelled],
    policy: Policy,
    reference: Policy,
    among: Sequence[Spelled] = (),
) -> Preferred:
    """The same rows, with what the loss must know of the whole step before it is cut.

    `among` lends answers to another prompt where the step has none.
    """
    if not loss.width:
        return rows
    mismatch_N = None
    if loss.needs_mismatch:
        foreign = mismatched(few, among, policy.context)
        asked = choices([c.prompt_ids for c in few], foreign)
        a_BK = policy.compare(asked) - reference.compare(asked)
        mismatch_N = a_BK[asked.mask_BK.to(a_BK.device)].cpu()
    logp_BK = policy.compare(rows.answers).cpu() if loss.needs_batch else rows.ref_BK
    return replace(rows, extra_BE=loss.columns(answered(rows, logp_BK), mismatch_N))


def prefer(model: Speaker, rows: Preferred, *, loss: Any) -> Loss:
    """What the model says of every answer, then the loss."""
    made: Loss = loss(answered(rows, model.compare(rows.answers)))
    return made
