"""How much better than expected.  Estimators of Âₜ; no gradient flows through any of them."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor


@torch.no_grad()
def gae(
    reward_BT: Tensor,
    value_BT: Tensor,
    mask_BT: Tensor,
    *,
    gamma: float,
    lam: float,
    bootstrap_B: Tensor | None = None,
) -> Tensor:
    """Âₜ = δₜ + γλ Âₜ₊₁,   δₜ = rₜ + γ V(sₜ₊₁) - V(sₜ): Schulman et al. 2016, eq. 16.

    The value after the last token is 0, or `bootstrap_B` where a time limit cut the episode.
    Tokens outside the mask are stepped over, as if not there, and get 0.  The return is Â + V.
    """
    adv_BT = torch.zeros_like(value_BT)
    next_adv_B = torch.zeros_like(value_BT[:, 0])
    next_value_B = next_adv_B if bootstrap_B is None else bootstrap_B
    for t in reversed(range(value_BT.shape[1])):
        real_B, value_B = mask_BT[:, t], value_BT[:, t]
        delta_B = reward_BT[:, t] + gamma * next_value_B - value_B
        next_adv_B = torch.where(real_B, delta_B + gamma * lam * next_adv_B, next_adv_B)
        next_value_B = torch.where(real_B, value_B, next_value_B)
        adv_BT[:, t] = torch.where(real_B, next_adv_B, 0.0)
    return adv_BT


@dataclass(frozen=True)
class GAE:
    """The exponential mean of all n-step advantages: Schulman et al. 2016, eq. 16."""

    gamma: float = 1.0
    """discount"""
    lam: float = 0.95
    """weight of longer looks ahead: 0 trusts the values, 1 the rewards"""

    def __post_init__(self) -> None:
        if not (0 <= self.gamma <= 1 and 0 <= self.lam <= 1):
            raise ValueError("gamma and lam must be from 0 to 1")

    def __call__(
        self,
        reward_BT: Tensor,
        value_BT: Tensor,
        mask_BT: Tensor,
        bootstrap_B: Tensor | None = None,
    ) -> Tensor:
        """adv_BT; the return is adv + value.  `bootstrap_B`: the value after a row's last token."""
        return gae(
            reward_BT, value_BT, mask_BT, gamma=self.gamma, lam=self.lam, bootstrap_B=bootstrap_B
        )


@torch.no_grad()
def whiten(x_BT: Tensor, mask_BT: Tensor, *, shift_mean: bool = True) -> Tensor:
    """(x - mean) / √(var + 1e-8) over the mask, zero elsewhere; population variance.

    Huang, Liu & von Werra 2023, "The N Implementation Details of RLHF with PPO", after the code of
    Ziegler et al. 2019.  Without `shift_mean` the mean is added back: rewards keep their level.
    """
    real_N = x_BT[mask_BT]
    mean = real_N.mean()
    white_BT = (x_BT - mean) * (((real_N - mean) ** 2).mean() + 1e-8).rsqrt()
    return torch.where(mask_BT, white_BT if shift_mean else white_BT + mean, 0.0)


class Baseline:
    """What an answer's score is compared with.  Two moments, and the first is all that most need:

    of scores, group by group, before they are laid on tokens (`__call__`); and of what lies on the
    tokens of the whole batch then, the price of KL included (`lay`).
    """

    groups: ClassVar[bool] = True
    """whether answers are compared within their group: one whose scores are equal teaches nothing,
    and one of a single answer is refused"""
    least: ClassVar[int] = 1
    """answers with a score that a step needs, or nothing is learned from it"""

    @torch.no_grad()
    def __call__(self, score_PG: Tensor, real_PG: Tensor | None = None) -> Tensor:
        """adv_PG, zero where an answer is not real.  ValueError for a group that is too small."""
        raise NotImplementedError

    def lay(self, adv_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """adv_BT of the whole batch, as it is learned from."""
        return adv_BT


@dataclass(frozen=True)
class LeaveOneOut(Baseline):
    """Âᵢ = rᵢ - mean of the OTHERS of its group: RLOO (Kool et al. 2019; Ahmadian et al. 2024)."""

    @torch.no_grad()
    def __call__(self, score_PG: Tensor, real_PG: Tensor | None = None) -> Tensor:
        """adv_PG.  Raises ValueError for groups of one, which have no others."""
        centred_PG, count_P1 = _centred(score_PG, real_PG)
        return centred_PG * (count_P1 / (count_P1 - 1).clamp(min=1))


@dataclass(frozen=True)
class GroupMean(Baseline):
    """Âᵢ = (rᵢ - mean) / (std + 1e-4) over its group: GRPO (Shao et al. 2024, section 4.1.2)."""

    scale: bool = True
    """divide by the group's standard deviation (unbiased); false is Dr. GRPO (Liu et al. 2025)"""

    @torch.no_grad()
    def __call__(self, score_PG: Tensor, real_PG: Tensor | None = None) -> Tensor:
        """adv_PG.  Raises ValueError for groups of one, where all would be 0."""
        centred_PG, count_P1 = _centred(score_PG, real_PG)
        if not self.scale:
            return centred_PG
        square_P1 = (centred_PG**2).sum(1, keepdim=True)
        return centred_PG / ((square_P1 / (count_P1 - 1).clamp(min=1)).sqrt() + 1e-4)


@dataclass(frozen=True)
class BatchMean(Baseline):
    """Âᵢ = rᵢ - mean of all OTHER answers of the batch: REINFORCE with a baseline (Williams 1992).

    Leaving its own score out keeps the gradient unbiased; it needs no second answer to a prompt.
    """

    groups: ClassVar[bool] = False
    least: ClassVar[int] = 2

    @torch.no_grad()
    def __call__(self, score_PG: Tensor, real_PG: Tensor | None = None) -> Tensor:
        """adv_PG.  Raises ValueError where there is but one answer."""
        real_PG = _all(score_PG) if real_PG is None else real_PG
        if (count := int(real_PG.sum())) < 2:
            raise ValueError("the mean of a batch needs at least 2 answers in it")
        mean = score_PG[real_PG].mean()
        return torch.where(real_PG, (score_PG - mean) * (count / (count - 1)), 0.0)


@dataclass(frozen=True)
class BatchNorm(Baseline):
    """Â = (a - mean) / std over all TOKENS of the batch: REINFORCE++ (Hu et al. 2025, eq. 10).

    a is what lies on a token: the answer's score, less the KL that is charged from there on.
    """

    baseline: bool = False
    """the score is first taken less its group's mean ("REINFORCE++ w/ baseline")"""

    @property
    def groups(self) -> bool:  # type: ignore[override]
        """Only with a baseline."""
        return self.baseline

    @torch.no_grad()
    def __call__(self, score_PG: Tensor, real_PG: Tensor | None = None) -> Tensor:
        """a_PG, which `lay` whitens.  ValueError for groups of one when there is a baseline."""
        if self.baseline:
            return _centred(score_PG, real_PG)[0]
        return score_PG if real_PG is None else torch.where(real_PG, score_PG, 0.0)

    def lay(self, adv_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Whitened over the tokens."""
        return whiten(adv_BT, mask_BT)


def flat(score_PG: Tensor, real_PG: Tensor) -> Tensor:
    """flat_P: no two real answers of the group have different scores."""
    most_P = torch.where(real_PG, score_PG, -torch.inf).amax(1)
    return most_P <= torch.where(real_PG, score_PG, torch.inf).amin(1)


def _centred(score_PG: Tensor, real_PG: Tensor | None) -> tuple[Tensor, Tensor]:
    """Scores less their group's mean, exactly zero in a flat group; and how many each has.

    A group that lost all but one of its answers is a flat one.
    """
    if score_PG.shape[1] < 2:
        raise ValueError("a group baseline needs at least 2 answers to each prompt")
    real_PG = _all(score_PG) if real_PG is None else real_PG
    count_P1 = real_PG.sum(1, keepdim=True).to(score_PG.dtype)
    sum_P1 = torch.where(real_PG, score_PG, 0.0).sum(1, keepdim=True)
    known_PG = real_PG & ~flat(score_PG, real_PG)[:, None]
    mean_P1 = sum_P1 / count_P1.clamp(min=1)
    return torch.where(known_PG, score_PG - mean_P1, 0.0), count_P1


def _all(score_PG: Tensor) -> Tensor:
    return torch.ones_like(score_PG, dtype=torch.bool)
