"""Direct preference optimisation (Rafailov et al. 2023), and its family by their losses.

log ρ(y | x) of every answer, once                      ρ: the reference, the model begun with
for each batch of comparisons (x, y₁ … y_K, an order on them):
    log π(y | x) of every answer, the prompt read once
    minimise  -log σ(β (log π/ρ(y⁺) - log π/ρ(y⁻)))        or another loss of the same rows
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from accord.config import Settings
from accord.config.limits import Above0, Count, Share
from accord.data.comparisons import Spelled, lots
from accord.data.rows import Choices, Rows, choices
from accord.data.stream import Stream
from accord.engine.roles import Policy
from accord.engine.steps import Optimizer
from accord.maths.answers import Answered, Direct, duels
from accord.maths.control import Constant, Cosine, Linear
from accord.maths.direct import Single
from accord.maths.losses import Loss
from accord.maths.pairwise import DPO
from accord.maths.unpaired import others, settle
from accord.maths.weights import even
from accord.models.heads import Speaker
from accord.models.lora import Lora
from accord.recipes import common
from accord.recipes.blend import blended
from accord.store.run import Run

Reference = Sequence[Sequence[float]]
"""log ρ of each answer of each row, nats"""


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

    @property
    def objective(self) -> Direct:
        """The loss, with what is mixed into it."""
        return blended(self.loss, self.mix)


@dataclass(frozen=True)
class Preferred(Rows):
    """Answers, what the reference says of them, and the order people put them in."""

    answers: Choices
    ref_BK: Tensor
    rank_BK: Tensor
    p_first_B: Tensor
    extra_BE: Tensor


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
    ref, ref_held = reference or (refer(start, compared), refer(start, held_out))
    stream = Stream(common.Named(compared), cfg.batch, seed)
    total = stream.steps(cfg.epochs)
    for step in run.steps(cfg, total):
        few = common.enter(run, stream, step)
        rows, factor = lay(few, [ref[i] for i in stream.places(step)]), cfg.schedule(step, total)
        rows = see(loss, rows, few, policy, start)
        prefers, names = partial(prefer, loss=loss), [c.id for c in few]
        told = policy.update(rows, even(len(rows)), prefers, lr=cfg.lr * factor, names=names)
        seen = settle(told)
        if held_out and (step % cfg.measure_every == 0 or step == total - 1):
            seen |= {f"eval/{k}": v for k, v in measure(policy, held_out, ref_held).items()}
        run.log(step, **seen, lr=cfg.lr * factor, epoch=stream.epoch(step))
    return policy


def refer(reference: Policy, rows: Sequence[Spelled]) -> list[tuple[float, ...]]:
    """log ρ of every answer, nats."""
    told: list[tuple[float, ...]] = []
    for few in lots(rows):
        logp_BK = reference.compare(_answers(few)).tolist()
        told += [tuple(logp[: len(c.ranks)]) for logp, c in zip(logp_BK, few, strict=True)]
    return told


def lay(few: Sequence[Spelled], ref: Reference) -> Preferred:
    """Comparisons as rows; absent answers and soft labels are marked, not guessed."""
    answers = _answers(few)
    B, K = answers.length_BK.shape
    return Preferred(
        answers,
        torch.tensor([[*said, *[0.0] * (K - len(said))] for said in ref]),
        torch.tensor([[*c.ranks, *[K] * (K - len(c.ranks))] for c in few]),
        torch.tensor([float("nan") if c.p_first is None else c.p_first for c in few]),
        torch.zeros(B, 0),
    )


def see(
    loss: Direct, rows: Preferred, few: Sequence[Spelled], policy: Policy, reference: Policy
) -> Preferred:
    """The same rows, with what the loss must know of the whole step before it is cut."""
    if not loss.width:
        return rows
    mismatch_N = None
    if loss.needs_mismatch:
        whose = others([c.prompt_ids for c in few])
        foreign = [few[i].response_ids[:1] for i in whose]
        asked = choices([c.prompt_ids for c in few], foreign)
        mismatch_N = (policy.compare(asked) - reference.compare(asked))[:, 0].cpu()
    logp_BK = policy.compare(rows.answers).cpu() if loss.needs_batch else rows.ref_BK
    return replace(rows, extra_BE=loss.columns(_answered(rows, logp_BK), mismatch_N))


def prefer(model: Speaker, rows: Preferred, *, loss: Any) -> Loss:
    """What the model says of every answer, then the loss."""
    made: Loss = loss(_answered(rows, model.compare(rows.answers)))
    return made


def measure(policy: Policy, held_out: Sequence[Spelled], ref: Reference) -> dict[str, float]:
    """How often log π/ρ agrees with held-out comparisons, and by how much (nats); whether the
    preferred answers became likelier (`chosen` above 0) or only less unlikely than the others.
    """
    rows = [(c, said) for c, said in zip(held_out, ref, strict=True) if len(c.ranks) > 1]
    told: dict[str, list[Tensor]] = {"accuracies": [], "margins": [], "chosen": [], "rejected": []}
    for lot in lots(rows):
        few = lay([c for c, _ in lot], [said for _, said in lot])
        answered = _answered(few, policy.compare(few.answers).cpu())
        watch = duels(answered).loss(torch.zeros(())).watch
        for name, numbers in told.items():
            numbers.append(watch[f"rewards/{name}"])
    return {name: float(torch.cat(each).mean()) for name, each in told.items() if each}


def _answers(few: Sequence[Spelled]) -> Choices:
    return choices([c.prompt_ids for c in few], [c.response_ids for c in few])


def _answered(rows: Preferred, logp_BK: Tensor) -> Answered:
    own_BK = rows.answers.length_BK - rows.answers.shared_B[:, None]
    ref_BK = rows.ref_BK.to(logp_BK.dtype)
    mask_BK, ranks = rows.answers.mask_BK, rows.rank_BK
    return Answered(logp_BK, ref_BK, own_BK, mask_BK, ranks, rows.p_first_B, rows.extra_BE)
