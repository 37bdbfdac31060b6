"""What a policy gradient without a critic minimises: the ratio, its range, the price of KL.

Every option is data; GRPO, RLOO, GSPO and DAPO are values of them, not branches of a trainer.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from accord.maths import divergence
from accord.maths.losses import Loss

Level = Literal["token", "sequence"]


@dataclass(frozen=True)
class Surrogate:
    """-min(ρ Â, clip(ρ, 1 - low, 1 + high) Â),  ρ = π_θ / π_old: Schulman et al. 2017, eq. 7."""

    ratio: Level = "token"
    """token: of each token (GRPO); sequence: the geometric mean of its answer (GSPO, eq. 7)"""
    low: float | None = 0.2
    """how far below 1 the ratio may move the objective; none: as far as it likes"""
    high: float | None = 0.2
    """how far above 1 (DAPO, Yu et al. 2025, eq. 10: 0.28); none: as far as it likes"""
    dual: float | None = None
    """c: where Â < 0, at most -c Â (Ye et al. 2020, eq. 5: 3): no answer is fled from too fast"""

    def __post_init__(self) -> None:
        if any(x is not None and x <= 0 for x in (self.low, self.high)):
            raise ValueError("low and high must be above 0; none: no limit")
        if self.dual is not None and self.dual <= 1 + (self.high or 0):
            raise ValueError("dual must be above 1 + high, or it would be the limit of both")

    def __call__(self, logp_BT: Tensor, old_BT: Tensor, adv_BT: Tensor, mask_BT: Tensor) -> Loss:
        """One number per token; with ratio=sequence all tokens of an answer have the same one.

        Watch: `policy/clipfrac` is 1 where the gradient is zero for the clip, and `…_low`,
        `…_high` say on which side; `policy/approxkl` is k2 of π_old to π_θ, nats per token;
        `policy/ratio` is ρ, and `policy/ratio_var` (ρ - 1)².
        """
        log_BT = torch.where(mask_BT, logp_BT - old_BT, 0.0)
        if self.ratio == "sequence":
            log_BT = mean_BT(log_BT, mask_BT)
        ratio_BT = log_BT.exp()
        least = None if self.low is None else 1 - self.low
        most = None if self.high is None else 1 + self.high
        limited = least is not None or most is not None
        near_BT = ratio_BT.clamp(least, most) if limited else ratio_BT
        free_BT, held_BT = -ratio_BT * adv_BT, -near_BT * adv_BT
        each_BT, still_BT = torch.maximum(free_BT, held_BT), held_BT > free_BT
        if self.dual is not None:
            worst_BT = -self.dual * adv_BT
            still_BT = still_BT | ((adv_BT < 0) & (each_BT > worst_BT))
            each_BT = torch.where(adv_BT < 0, torch.minimum(each_BT, worst_BT), each_BT)
        kind = ratio_BT.dtype
        watch = {
            "policy/clipfrac": still_BT.to(kind),
            "policy/clipfrac_low": (still_BT & (ratio_BT < 1)).to(kind),
            "policy/clipfrac_high": (still_BT & (ratio_BT > 1)).to(kind),
            "policy/approxkl": divergence.k2(old_BT, logp_BT).detach(),
            "policy/ratio": ratio_BT.detach(),
            "policy/ratio_var": (ratio_BT.detach() - 1) ** 2,
        }
        return Loss(each_BT, watch)


def mean_BT(x_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """The mean over each answer's tokens, on all of its columns."""
    sum_B1 = torch.where(mask_BT, x_BT, 0.0).sum(1, keepdim=True)
    return (sum_B1 / mask_BT.sum(1, keepdim=True).clamp(min=1)).expand_as(x_BT)


@dataclass(frozen=True)
class RewardKL:
    """KL is a price: β Σ k is taken from what an answer is worth.  No gradient flows through it."""

    beta: float = 0.05
    """price of one nat of KL from the reference; 0: it is only watched"""
    by: Literal["k1", "k3"] = "k1"
    """the estimate that is charged per token"""
    spread: Literal["answer", "token"] = "answer"
    """answer: all of it from the score, before the baseline (RLOO); token: each token pays for
    itself and what comes after it, after the baseline (REINFORCE++, Hu et al. 2025, eq. 8)"""

    def __post_init__(self) -> None:
        _not_negative(self.beta)

    @torch.no_grad()
    def charge(self, logp_BT: Tensor, ref_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """price_BT: what is still to be paid from each token on; that of the first is the whole."""
        k_BT = torch.where(mask_BT, getattr(divergence, self.by)(logp_BT, ref_BT), 0.0)
        return torch.where(mask_BT, self.beta * k_BT.flip(1).cumsum(1).flip(1), 0.0)


@dataclass(frozen=True)
class LossKL:
    """KL is a term of the loss: + β k(π_θ, ρ) on every token, with a gradient of its own."""

    beta: float = 0.04
    """what a nat weighs beside an advantage; 0: it is only watched"""
    by: Literal["k2", "k3"] = "k3"
    """k3: Shao et al. 2024, eq. 4; k2: its gradient is an unbiased one of the KL"""

    def __post_init__(self) -> None:
        _not_negative(self.beta)

    def add(self, loss: Loss, logp_BT: Tensor, ref_BT: Tensor) -> Loss:
        """The loss with the price in it; `policy/kl` is the estimate, nats per token."""
        k_BT: Tensor = getattr(divergence, self.by)(logp_BT, ref_BT)
        return Loss(loss.each + self.beta * k_BT, {**loss.watch, "policy/kl": k_BT.detach()})


@dataclass(frozen=True)
class Truncated:
    """Â ← min(π_now / μ, most) Â, where μ sampled the answer and π_now is the policy a step begins
    with: truncated importance sampling (Espeholt et al. 2018; with ρ = π_θ / π_now the decoupled
    objective of Hilton et al. 2021, eq. 5).
    """

    most: float = 2.0
    """the highest weight"""
    ratio: Level = "token"
    """of each token; or one weight for an answer, the product over its tokens"""

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError("most must be at least 1: a fresh answer has weight 1")

    @torch.no_grad()
    def __call__(self, now_BT: Tensor, old_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """weight_BT, zero outside the mask."""
        log_BT = torch.where(mask_BT, now_BT - old_BT, 0.0)
        if self.ratio == "sequence":
            log_BT = log_BT.sum(1, keepdim=True).expand_as(log_BT)
        return torch.where(mask_BT, log_BT.exp().clamp(max=self.most), 0.0)


def _not_negative(beta: float) -> None:
    if beta < 0:
        raise ValueError("beta must not be negative: KL would be rewarded")
