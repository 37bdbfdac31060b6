"""Which of two segments of behaviour somebody prefers, by the rewards of their steps."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from accord.maths.losses import Loss


def prefer(reward_BKTE: Tensor, q_B: Tensor, *, noise: float) -> Loss:
    """-q log p - (1-q) log(1-p),  p = (1-ε) σ(Σₜ r₁ₜ - Σₜ r₂ₜ) + ε/2.

    Christiano et al. 2017, eq. 1, with the error rate of their section 2.2.3: with probability ε a
    judge answers by the toss of a coin, however large the difference.  K is the two segments, E the
    members of an ensemble, q the probability, by its label, that the first is preferred (½:
    neither).  Per comparison and member, nats.  Watch: how often the members side with the label;
    ties, and undecided labels, by half.
    """
    gap_BE, share = _gap(reward_BKTE), math.log1p(-noise)
    coin = torch.tensor(noise / 2, dtype=gap_BE.dtype).log()
    first_BE = torch.logaddexp(share + F.logsigmoid(gap_BE), coin)
    second_BE = torch.logaddexp(share + F.logsigmoid(-gap_BE), coin)
    q_B1 = q_B[:, None].to(gap_BE.dtype)
    side_BE = (2 * q_B1 - 1).sign() * gap_BE.detach().sign()
    watch = {"rewards/accuracies": (1 + side_BE) / 2}
    return Loss(-q_B1 * first_BE - (1 - q_B1) * second_BE, watch)


@torch.no_grad()
def disagreement(reward_BKTE: Tensor) -> Tensor:
    """Var over the members of σ(Σₜ r₁ₜ - Σₜ r₂ₜ), per pair: Christiano et al. 2017, sec. 2.2.4."""
    return _gap(reward_BKTE).sigmoid().var(1, correction=0)


def _gap(reward_BKTE: Tensor) -> Tensor:
    """gap_BE: what the first segment brings more than the second."""
    first_BE, second_BE = reward_BKTE.sum(2).unbind(1)
    return first_BE - second_BE
