"""Losses on the scores of answers to one prompt that somebody compared.

One row is one prompt with all its answers, so what is averaged over pairs is averaged within a row
(Ouyang et al. 2022, section 3.5: spread over a batch, the pairs of one prompt make a reward model
overfit in a single epoch).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from accord.maths.losses import Loss


class Compared(NamedTuple):
    """Scores of K answers to each of B prompts, and what was said about them."""

    score_BK: Tensor
    mask_BK: Tensor
    """True where there is an answer; what stands elsewhere, in any column, is never looked at"""
    rank_BK: Tensor
    """places: 0 is best, equal places are ties"""
    strength_B: Tensor
    """how much better, in units of the score (a margin); NaN where nobody said"""
    p_first_B: Tensor
    """of two answers, the first: the probability that it is better; NaN where the ranks speak"""


class Pairs(NamedTuple):
    """The N = K(K-1)/2 pairs i < j of every row."""

    gap_BN: Tensor
    """sᵢ - sⱼ; finite, but without meaning, where one of the two is not there"""
    sum_BN: Tensor
    """sᵢ + sⱼ, likewise"""
    q_BN: Tensor
    """the probability that i is better, by its label: 1, 0, or ½ for a tie; or a soft label"""
    tie_BN: Tensor
    """True where the ranks say: neither is better"""
    real_BN: Tensor
    """True where both answers are there"""

    def mean(self, x_BN: Tensor) -> Tensor:
        """x_B: the mean over the real pairs of each row."""
        total_B = torch.where(self.real_BN, x_BN, 0.0).sum(1)
        return total_B / self.real_BN.sum(1).clamp(min=1)

    def watch(self) -> dict[str, Tensor]:
        """How often the scores agree with the labels, and by how much: per row, over those pairs
        where one side is better.  Equal scores agree by half; so does a row without such pairs.
        """
        side_BN = torch.where(self.real_BN, 2 * self.q_BN - 1, 0.0).sign()
        margin_BN = side_BN * self.gap_BN.detach()
        decided_B = side_BN.abs().sum(1).clamp(min=1)
        return {
            "rewards/accuracies": (1 + margin_BN.sign().sum(1) / decided_B) / 2,
            "rewards/margins": margin_BN.sum(1) / decided_B,
        }


def pairs(c: Compared) -> Pairs:
    """Every two answers of each row, with their label."""
    K = c.score_BK.shape[1]
    i_N, j_N = torch.triu_indices(K, K, 1, device=c.score_BK.device)
    score_BK = torch.where(c.mask_BK, c.score_BK, 0.0)
    before_BN, after_BN = c.rank_BK[:, i_N], c.rank_BK[:, j_N]
    hard_BN = (1 + (after_BN - before_BN).sign().to(score_BK.dtype)) / 2
    soft_B1 = c.p_first_B[:, None].to(score_BK.dtype)
    real_BN = c.mask_BK[:, i_N] & c.mask_BK[:, j_N]
    return Pairs(
        score_BK[:, i_N] - score_BK[:, j_N],
        score_BK[:, i_N] + score_BK[:, j_N],
        torch.where(soft_B1.isnan(), hard_BN, soft_B1),
        (before_BN == after_BN) & soft_B1.isnan(),
        real_BN,
    )


@dataclass(frozen=True)
class BradleyTerry:
    """-log σ(r⁺ - r⁻), mean over all pairs of a prompt: Ouyang et al. 2022, eq. 1.

    Bradley & Terry 1952.  With q the probability that the first is better (½ for a tie: Christiano
    et al. 2017, section 2.2.3) it is -q log σ(z) - (1-q) log σ(-z), z = r₁ - r₂ - (2q-1) m, where
    m is the margin of Touvron et al. 2023 (Llama 2), eq. 2.
    """

    margin: bool = False
    """ask for a gap as wide as the judge's strength, where one was said"""
    centre: float = 0.0
    """price of (r₁ + r₂)², which keeps scores near 0 (Eisenstein et al. 2023); 0.01 is usual"""
    smooth: float = 0.0
    """share of labels taken to be wrong (Mitchell 2023): q becomes (1-ε) q + ε (1-q)"""

    def __post_init__(self) -> None:
        if self.centre < 0:
            raise ValueError("centre must not be negative: scores would be driven away from 0")
        if not 0 <= self.smooth < 0.5:
            raise ValueError("smooth must be from 0 to below 0.5: half wrong says nothing at all")

    def __call__(self, c: Compared) -> Loss:
        """Per row, nats."""
        p = pairs(c)
        z_BN, q_BN = p.gap_BN, p.q_BN + self.smooth * (1 - 2 * p.q_BN)
        if self.margin:
            z_BN = z_BN - (2 * p.q_BN - 1) * c.strength_B.to(z_BN.dtype).nan_to_num(0.0)[:, None]
        each_BN = -q_BN * F.logsigmoid(z_BN) - (1 - q_BN) * F.logsigmoid(-z_BN)
        return Loss(p.mean(each_BN + self.centre * p.sum_BN**2), p.watch())


@dataclass(frozen=True)
class BestOfK:
    """-log softmax(r₁ … r_K) of the best: Ziegler et al. 2019, eq. 1.

    Those who share the best place share the target; of two answers it is BradleyTerry.
    """

    def __call__(self, c: Compared) -> Loss:
        """Per row, nats."""
        score_BK = c.score_BK.masked_fill(~c.mask_BK, torch.finfo(c.score_BK.dtype).min)
        rank_BK = c.rank_BK.masked_fill(~c.mask_BK, torch.iinfo(c.rank_BK.dtype).max)
        best_BK = ((rank_BK == rank_BK.amin(1, keepdim=True)) & c.mask_BK).to(score_BK.dtype)
        target_BK = best_BK / best_BK.sum(1, keepdim=True).clamp(min=1)
        soft_B = c.p_first_B.to(score_BK.dtype)
        soft_B2 = torch.stack([soft_B, 1 - soft_B], 1)
        target_BK[:, :2] = torch.where(soft_B2.isnan(), target_BK[:, :2], soft_B2)
        logp_BK = torch.where(c.mask_BK, score_BK.log_softmax(1), 0.0)
        return Loss(-(target_BK * logp_BK).sum(1), pairs(c).watch())


@dataclass(frozen=True)
class Davidson:
    """P(i ≻ j) = e^{d/2} / Z,  P(tie) = ν / Z,  Z = e^{d/2} + ν + e^{-d/2},  d = rᵢ - rⱼ.

    Davidson 1970: Bradley-Terry for judges who may say "equal".  The loss is -log P of what was
    said, mean over all pairs of a prompt; a soft label divides it between the two sides.
    """

    nu: float = 1.0
    """how readily two answers are called equal: alike, they are so in ν of ν + 2 cases"""

    def __post_init__(self) -> None:
        if self.nu <= 0:
            raise ValueError("nu must be above 0; without ties choose BradleyTerry")

    def __call__(self, c: Compared) -> Loss:
        """Per row, nats."""
        p = pairs(c)
        half_BN = p.gap_BN / 2
        even_BN = torch.full_like(half_BN, math.log(self.nu))
        total_BN = torch.stack([half_BN, even_BN, -half_BN]).logsumexp(0)
        said_BN = torch.where(p.tie_BN, even_BN, (2 * p.q_BN - 1) * half_BN)
        return Loss(p.mean(total_BN - said_BN), p.watch())


@dataclass(frozen=True)
class RaoKupper:
    """P(i ≻ j) = σ(d - η),  P(tie) = (e^{2η} - 1) σ(d - η) σ(-d - η),  d = rᵢ - rⱼ, η = log θ.

    Rao & Kupper 1967: a judge says "equal" unless the gap, with its noise, is wider than η.  The
    loss is -log P of what was said, mean over all pairs of a prompt; a soft label divides it
    between the two sides.
    """

    theta: float = 2.0
    """how readily two answers are called equal: alike, they are so in θ-1 of θ+1 cases"""

    def __post_init__(self) -> None:
        if self.theta <= 1:
            raise ValueError("theta must be above 1; without ties choose BradleyTerry")

    def __call__(self, c: Compared) -> Loss:
        """Per row, nats."""
        p, eta = pairs(c), math.log(self.theta)
        first_BN, second_BN = F.logsigmoid(p.gap_BN - eta), F.logsigmoid(-p.gap_BN - eta)
        decided_BN = p.q_BN * first_BN + (1 - p.q_BN) * second_BN
        even_BN = math.log(self.theta**2 - 1) + first_BN + second_BN
        return Loss(p.mean(-torch.where(p.tie_BN, even_BN, decided_BN)), p.watch())


Preference = BradleyTerry | BestOfK | Davidson | RaoKupper
