"""How much better than expected.  Estimators of Âₜ; no gradient flows through any of them."""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class LeaveOneOut:
    """Âᵢ = rᵢ - mean of the OTHERS of its group: RLOO (Kool et al. 2019; Ahmadian et al. 2024)."""

    @torch.no_grad()
    def __call__(self, score_PG: Tensor) -> Tensor:
        """adv_PG.  Raises ValueError for groups of one, which have no others."""
        return _centred(score_PG) * (score_PG.shape[1] / (score_PG.shape[1] - 1))


@dataclass(frozen=True)
class GroupMean:
    """Âᵢ = (rᵢ - mean) / (std + 1e-4) over its group: GRPO (Shao et al. 2024, section 4.1.2)."""

    scale: bool = True
    """divide by the group's standard deviation (unbiased); false is Dr. GRPO (Liu et al. 2025)"""

    @torch.no_grad()
    def __call__(self, score_PG: Tensor) -> Tensor:
        """adv_PG.  Raises ValueError for groups of one, where all would be 0."""
        centred_PG = _centred(score_PG)
        if not self.scale:
            return centred_PG
        return centred_PG / (score_PG.std(1, keepdim=True, correction=1) + 1e-4)


@dataclass(frozen=True)
class BatchNorm:
    """Âᵢ = (aᵢ - mean) / std over the whole batch: REINFORCE++ (Hu et al. 2025)."""

    baseline: bool = False
    """a is the score less its group's mean ("REINFORCE++ w/ baseline"), not the score itself"""

    @torch.no_grad()
    def __call__(self, score_PG: Tensor) -> Tensor:
        """adv_PG.  Raises ValueError for groups of one when there is a baseline."""
        score_PG = _centred(score_PG) if self.baseline else score_PG
        return whiten(score_PG, torch.ones_like(score_PG, dtype=torch.bool))


GroupBaseline = LeaveOneOut | GroupMean | BatchNorm


def _centred(score_PG: Tensor) -> Tensor:
    if score_PG.shape[1] < 2:
        raise ValueError("a group baseline needs at least 2 answers to each prompt")
    return score_PG - score_PG.mean(1, keepdim=True)
