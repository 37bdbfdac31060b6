"""Losses that look beyond their own pair: at single answers, and at the rest of the batch.

What a row has to know of the others is a column, made by `columns` from one pass without a gradient
over all rows of an optimizer step; so no cut into micro-batches can change it.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from accord.maths.answers import Answered, Direct, above_0, doubt, duels
from accord.maths.losses import Loss


def extra(a: Answered, width: int) -> Tensor:
    """The columns of a loss; ValueError where they were forgotten."""
    if a.extra_BE is None or a.extra_BE.shape[1] != width:
        raise ValueError(f"this loss needs {width} numbers of the whole batch: call its `columns`")
    return a.extra_BE


def others(prompts: Sequence[Hashable]) -> list[int]:
    """For each row the nearest row before it, counted round, that has another prompt.

    Whose answers it is to be shown for KTO's z.  Raises ValueError where all prompts are the same.
    """
    B = len(prompts)
    if len(set(prompts)) < 2:
        raise ValueError(
            f"KTO compares with answers to other prompts, but all {B} rows of a step have the same "
            "one: a larger batch, or data with more prompts, is needed"
        )
    return [
        next(j for back in range(1, B) if prompts[j := (b - back) % B] != prompts[b])
        for b in range(B)
    ]


def _spread(a: Answered, good_BK: Tensor, bad_BK: Tensor) -> Tensor:
    """each_B: the one as far as an answer is good, the other as far as it is bad; row means."""
    p_BK = a.good_BK()
    each_BK = torch.where(a.mask_BK, p_BK * good_BK + (1 - p_BK) * bad_BK, 0.0)
    return each_BK.sum(1) / a.mask_BK.sum(1).clamp(min=1)


@torch.no_grad()
def _watch(a: Answered, beta: float, zero_B1: Tensor) -> dict[str, Tensor]:
    """As of pairs, but still to be divided by the shares: see `settle`."""
    reward_BK, p_BK = beta * a.a_BK, a.good_BK()
    none_BK = torch.zeros_like(reward_BK)
    logp_BK = torch.where(a.mask_BK, a.logp_BK, 0.0)
    right_BK = (1 + (2 * p_BK - 1) * (reward_BK - zero_B1).sign()) / 2
    return {
        "share/chosen": _spread(a, none_BK + 1, none_BK),
        "rewards/chosen": _spread(a, reward_BK, none_BK),
        "rewards/rejected": _spread(a, none_BK, reward_BK),
        "rewards/accuracies": _spread(a, right_BK, right_BK),
        "logps/chosen": _spread(a, logp_BK, none_BK),
        "logps/rejected": _spread(a, none_BK, logp_BK),
    }


def settle(seen: Mapping[str, float]) -> dict[str, float]:
    """What was watched of good and bad answers as the mean of each, and the margin between them.

    Sums over a step cannot be means before it is known how many were good.  Of none there is no
    mean, and then no number.  What has no `share/chosen` stays as it is.
    """
    share = seen.get("share/chosen")
    if share is None:
        return dict(seen)
    of = {"chosen": share, "rejected": 1 - share}
    told = dict(seen)
    for kind in ("rewards", "logps"):
        for side, part in of.items():
            total = told.pop(f"{kind}/{side}")
            if part > 1e-9:
                told[f"{kind}/{side}"] = total / part
    if {"rewards/chosen", "rewards/rejected"} <= told.keys():
        told["rewards/margins"] = told["rewards/chosen"] - told["rewards/rejected"]
    return told


@dataclass(frozen=True)
class KTO(Direct):
    """λ_D (1 - σ(β (a - z))) if good, λ_U (1 - σ(β (z - a))) if bad: Ethayarajh et al. 2024, eq. 7.

    z is max(0, mean of a over answers to OTHER prompts of the batch, good and bad ones alike),
    without a gradient: the point from which a gain is a gain.  A step needs at least two rows with
    different prompts.
    """

    pairs = "unpaired"
    needs_mismatch = True
    width = 1

    beta: float = 0.1
    """price of moving away from the reference"""
    desirable: float = 1.0
    """λ_D; with n_D good and n_U bad answers, λ_D n_D / (λ_U n_U) is to be from 1 to 3/2"""
    undesirable: float = 1.0
    """λ_U"""

    def __post_init__(self) -> None:
        above_0(beta=self.beta, desirable=self.desirable, undesirable=self.undesirable)

    @torch.no_grad()
    def columns(self, whole: Answered, mismatch_N: Tensor | None = None) -> Tensor:
        """z, the same in all rows.  Raises ValueError for a batch of one."""
        if mismatch_N is None or len(mismatch_N) == 0 or len(whole.mask_BK) < 2:
            raise ValueError(
                "KTO compares with answers to other prompts: batch must be at least 2, "
                "and the last batch too"
            )
        z = mismatch_N.mean().clamp(min=0).to(whole.logp_BK.dtype)
        return z.expand(len(whole.mask_BK), 1)

    def __call__(self, a: Answered) -> Loss:
        """Per row: the mean over its answers."""
        z_B1 = extra(a, 1)
        gain_BK = self.beta * (a.a_BK - z_B1)
        each_B = _spread(
            a, self.desirable * (-gain_BK).sigmoid(), self.undesirable * gain_BK.sigmoid()
        )
        return Loss(each_B, _watch(a, self.beta, self.beta * z_B1) | {"kl": z_B1[:, 0].detach()})


@dataclass(frozen=True)
class BCO(Direct):
    """-log σ(r - δ) if good, -log σ(δ - r) if bad, r = β a: Jung et al. 2024.

    δ is half the mean reward of good answers plus half that of bad ones, without a gradient, over
    the batch; the authors average it over time too.  Without the shift, a pair here is half of
    TRL's `bco_pair`, which adds its two answers.  Their density ratio for bad answers of other
    origin is not here.
    """

    pairs = "unpaired"
    width = 1

    beta: float = 0.1
    """price of moving away from the reference"""
    shift: bool = True
    """measure rewards from δ, not from 0"""

    def __post_init__(self) -> None:
        above_0(beta=self.beta)
        object.__setattr__(self, "needs_batch", self.shift)

    @torch.no_grad()
    def columns(self, whole: Answered, mismatch_N: Tensor | None = None) -> Tensor:
        """δ, the same in all rows; of a batch of one kind only, half of that kind's mean."""
        r_BK, good_BK = self.beta * whole.a_BK, whole.good_BK()
        bad_BK = torch.where(whole.mask_BK, 1 - good_BK, 0.0)
        halves = [(w * r_BK).sum() / w.sum().clamp(min=1e-9) / 2 for w in (good_BK, bad_BK)]
        return (self.shift * (halves[0] + halves[1])).expand(len(r_BK), 1)

    def __call__(self, a: Answered) -> Loss:
        """Per row, nats: the mean over its answers."""
        delta_B1 = extra(a, 1)
        r_BK = self.beta * a.a_BK - delta_B1
        each_B = _spread(a, -F.logsigmoid(r_BK), -F.logsigmoid(-r_BK))
        watch = _watch(a, self.beta, delta_B1) | {"shift": delta_B1[:, 0].detach()}
        return Loss(each_B, watch)


@dataclass(frozen=True)
class AOT(Direct):
    """-log σ(β (u₍ᵢ₎ - v₍ᵢ₎)) of two SORTED samples: Melnyk et al. 2024.

    Paired, u is log π(y⁺) - log π(y⁻) over the batch and v the same of the reference; unpaired, u
    is a⁺ and v is a⁻.  The whole distribution of u is to lie above that of v.  Sorted is the whole
    batch of an optimizer step.  Rows have two answers; ties and evenly split labels are left out.
    """

    needs_batch = True
    width = 2

    beta: float = 0.1
    """price of moving away from the reference"""
    paired: bool = True
    """compare margins of pairs; false: good answers with bad ones, whatever their prompts"""
    smooth: float = 0.0
    """share of labels taken to be wrong, as in CDPO"""

    def __post_init__(self) -> None:
        above_0(beta=self.beta)
        doubt(self.smooth)

    @torch.no_grad()
    def columns(self, whole: Answered, mismatch_N: Tensor | None = None) -> Tensor:
        """What stands across from each row's u, and from its v, once both are sorted."""
        u_B, v_B, real_B = self._samples(whole)
        across_B2 = u_B.new_zeros(len(u_B), 2)
        u_N, v_N = u_B[real_B], v_B[real_B]
        by_u_N, by_v_N = u_N.argsort(stable=True), v_N.argsort(stable=True)
        across_N2 = u_N.new_empty(len(u_N), 2)
        across_N2[by_u_N, 0] = v_N[by_v_N]
        across_N2[by_v_N, 1] = u_N[by_u_N]
        across_B2[real_B] = across_N2
        return across_B2

    def __call__(self, a: Answered) -> Loss:
        """Per row, nats.  Paired, it is the term of the row's u.  Unpaired, the row has a part in
        two terms, so its value is half of their sum, but its gradient that of all of it.
        """
        u_B, v_B, real_B = self._samples(a)
        across_B2 = extra(a, 2).detach()
        each_B = self._term(u_B - across_B2[:, 0])
        if not self.paired:
            sum_B = each_B + self._term(across_B2[:, 1] - v_B)
            each_B = sum_B - sum_B.detach() / 2
        each_B = torch.where(real_B, each_B, 0.0)
        return Loss(each_B, duels(a).loss(each_B.new_zeros(()), self.beta).watch)

    def _term(self, gap_B: Tensor) -> Tensor:
        z_B = self.beta * gap_B
        return -(1 - self.smooth) * F.logsigmoid(z_B) - self.smooth * F.logsigmoid(-z_B)

    def _samples(self, a: Answered) -> tuple[Tensor, Tensor, Tensor]:
        """(u, v, which rows have them)."""
        if a.mask_BK.shape[1] != 2:
            raise ValueError("AOT compares two answers to each prompt; take rankings apart first")
        d = duels(a)
        # of the two ways round, the one that most judges hold
        k_B1 = (d.weight_BN[:, 1:] > 0.5).long()
        real_B = (d.weight_BN > 0.5).any(1)

        def one(x_BN: Tensor) -> Tensor:
            return x_BN.gather(1, k_B1)[:, 0]

        win, lose = d.win, d.lose
        if self.paired:
            return one(win.logp_BN - lose.logp_BN), one(win.ref_BN - lose.ref_BN), real_B
        return one(win.a_BN), one(lose.a_BN), real_B
