"""Rows of compared answers with what a reference says of them, and how a policy fares on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from accord.data.comparisons import Spelled, lots
from accord.data.rows import Choices, Rows, choices
from accord.engine.reference import Reference
from accord.engine.roles import Policy
from accord.errors import BadData
from accord.maths.answers import Answered, Direct, duels
from accord.maths.unpaired import AOT, others
from accord.records import Ids

LONE = "no other prompt of the step has a pair"


@dataclass(frozen=True)
class Preferred(Rows):
    """Answers, what the reference says of them, and the order people put them in."""

    answers: Choices
    ref_BK: Tensor
    rank_BK: Tensor
    p_first_B: Tensor
    extra_BE: Tensor


def suits(loss: Direct, rows: Sequence[Spelled]) -> None:
    """BadData where the loss cannot use such rows at all."""
    most, least = (each((len(c.ranks) for c in rows), default=2) for each in (max, min))
    kind = type(loss).__name__
    if loss.pairs != "unpaired" and least < 2:
        raise BadData(f"{kind} compares answers, and these rows have one each: loss=KTO, or BCO")
    if isinstance(loss, AOT) and most > 2:
        raise BadData(f"{kind} compares two answers, and there are rows with {most}")


def displaced(numbers: Mapping[str, float]) -> str:
    """A warning where preferred answers have become less likely too (Razin et al. 2024)."""
    # less than is shown is rounding, or the noise of a few steps
    if numbers.get("chosen", 0.0) > -0.05 or numbers.get("accuracies", 0.0) <= 0.5:
        return ""
    return (
        f"likelihood displacement: preferred answers held out are now {-numbers['chosen']:.1f} "
        "nats less likely than under the reference, the others even less; a lower learning rate, "
        "a higher beta, or loss=RPO (it also imitates) keeps them"
    )


def told_by(reference: Policy, rows: Sequence[Spelled], loss: Direct) -> Reference:
    """What the loss must know of the reference: nothing, for some."""
    return refer(reference, rows) if loss.needs_reference else [(0.0,) * len(c.ranks) for c in rows]


def refer(reference: Policy, rows: Sequence[Spelled]) -> list[tuple[float, ...]]:
    """log ρ of every answer, nats."""
    told: list[tuple[float, ...]] = []
    for few in lots(rows):
        logp_BK = reference.compare(answers_of(few)).tolist()
        told += [tuple(logp[: len(c.ranks)]) for logp, c in zip(logp_BK, few, strict=True)]
    return told


def lone(loss: Direct, rows: Sequence[Spelled]) -> bool:
    """Whether nothing can be learned, for the loss compares prompts and all rows have the same."""
    return loss.needs_mismatch and len({row.prompt_ids for row in rows}) < 2


def mismatched(
    few: Sequence[Spelled], among: Sequence[Spelled], context: int
) -> list[tuple[Ids, ...]]:
    """For each row the answers to another prompt, all of them, whatever their rank; each cut to
    what the model can read behind the row's own prompt.

    Where all rows have one prompt, the first of `among` that has another lends its answers; BadData
    where there is none.
    """
    prompts = [c.prompt_ids for c in few]
    alone = len(set(prompts)) == 1
    more = next(([c] for c in among if c.prompt_ids != prompts[0]), []) if alone else []
    rows = [*few, *more]
    try:
        whose = others([c.prompt_ids for c in rows])[: len(few)]
    except ValueError as error:
        raise BadData(str(error)) from None
    rooms = [context - len(p) for p in prompts]
    return [
        tuple(ids[:room] for ids in rows[i].response_ids)
        for i, room in zip(whose, rooms, strict=True)
    ]


def lay(few: Sequence[Spelled], ref: Reference) -> Preferred:
    """Comparisons as rows; absent answers and soft labels are marked, not guessed."""
    answers = answers_of(few)
    B, K = answers.length_BK.shape
    return Preferred(
        answers,
        torch.tensor([[*said, *[0.0] * (K - len(said))] for said in ref]),
        torch.tensor([[*c.ranks, *[K] * (K - len(c.ranks))] for c in few]),
        torch.tensor([float("nan") if c.p_first is None else c.p_first for c in few]),
        torch.zeros(B, 0),
    )


def measure(policy: Policy, held_out: Sequence[Spelled], ref: Reference) -> dict[str, float]:
    """How often log π/ρ agrees with held-out comparisons, and by how much (nats); whether the
    preferred answers became likelier (`chosen` above 0) or only less unlikely than the others.

    Of rows that all have one answer, every good one is compared with every bad one.
    """
    rows = [(c, said) for c, said in zip(held_out, ref, strict=True) if len(c.ranks) > 1]
    if held_out and not rows:
        return _rated(policy, held_out, ref)
    told: dict[str, list[Tensor]] = {"accuracies": [], "margins": [], "chosen": [], "rejected": []}
    for lot in lots(rows):
        few = lay([c for c, _ in lot], [said for _, said in lot])
        said = answered(few, policy.compare(few.answers).cpu())
        watch = duels(said).loss(torch.zeros(())).watch
        for name, numbers in told.items():
            numbers.append(watch[f"rewards/{name}"])
    return {name: float(torch.cat(each).mean()) for name, each in told.items() if each}


def _rated(policy: Policy, held_out: Sequence[Spelled], ref: Reference) -> dict[str, float]:
    a = []
    for lot in lots(list(zip(held_out, ref, strict=True))):
        few = lay([c for c, _ in lot], [said for _, said in lot])
        a.append(answered(few, policy.compare(few.answers).cpu()).a_BK[:, 0])
    a_N, good_N = torch.cat(a), torch.tensor([c.ranks[0] == 0 for c in held_out])
    sides = {"chosen": a_N[good_N], "rejected": a_N[~good_N]}
    told = {name: float(each.mean()) for name, each in sides.items() if len(each)}
    if len(told) == 2:
        gap_NM = sides["chosen"][:, None] - sides["rejected"]
        told["accuracies"] = float((1 + gap_NM.sign()).mean() / 2)
        told["margins"] = told["chosen"] - told["rejected"]
    return told


def answers_of(few: Sequence[Spelled]) -> Choices:
    """All answers, each prompt once."""
    return choices([c.prompt_ids for c in few], [c.response_ids for c in few])


def answered(rows: Preferred, logp_BK: Tensor) -> Answered:
    """What a loss is called with."""
    own_BK = rows.answers.length_BK - rows.answers.shared_B[:, None]
    ref_BK = rows.ref_BK.to(logp_BK.dtype)
    mask_BK, ranks = rows.answers.mask_BK, rows.rank_BK
    return Answered(logp_BK, ref_BK, own_BK, mask_BK, ranks, rows.p_first_B, rows.extra_BE)
