"""KL(π ‖ ρ), nats: three estimates from the log-probs of what π said, and the exact one.

With d = log π(y) - log ρ(y) and y ~ π, k1 and k3 are unbiased; k2 and k3 are never negative.
Schulman 2020, "Approximating KL divergence".  Given one number per token they estimate the KL of
each next-token distribution; the KL of whole answers is the sum over tokens, never the mean.
"""

import torch
from torch import Tensor


def k1(logp: Tensor, ref: Tensor) -> Tensor:
    """d: unbiased, noisy, negative for some samples (a negative MEAN is an alarm; do not clamp)."""
    return logp - ref


def k2(logp: Tensor, ref: Tensor) -> Tensor:
    """½ d²: biased; its gradient is an unbiased one of the KL when `logp` carries it."""
    return 0.5 * (logp - ref) ** 2


def k3(logp: Tensor, ref: Tensor) -> Tensor:
    """e⁻ᵈ - 1 + d: unbiased, never negative; GRPO's penalty (Shao et al. 2024, eq. 4)."""
    d = logp - ref
    return torch.expm1(-d) + d


def positive(logp: Tensor, ref: Tensor) -> Tensor:
    """max(d, 0): what the code of LLaVA-RLHF (Sun et al. 2023) charges; biased upwards."""
    return (logp - ref).clamp(min=0)


def exact(logp_BTV: Tensor, ref_BTV: Tensor) -> Tensor:
    """Σ_v π(v) (log π(v) - log ρ(v)), per position: kl_BT.

    Both are log-probs that sum to 1 over V.  Where π(v) = 0 the term is 0, whatever ρ(v) is; where
    only ρ(v) = 0 it is infinite.
    """
    d_BTV = torch.where(logp_BTV == -torch.inf, 0.0, logp_BTV - ref_BTV)
    return (logp_BTV.exp() * d_BTV).sum(-1)
