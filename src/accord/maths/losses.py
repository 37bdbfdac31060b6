"""Losses as pure functions: one number per token, and what to watch.  Never a mean."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from accord.maths.divergence import k2


class Loss(NamedTuple):
    """How much each token, or row, hurts.  How much it counts is for maths/weights.py to say."""

    each: Tensor
    """[B, T] or [B]; its gradient is what is learned"""
    watch: dict[str, Tensor] = {}  # noqa: RUF012 - a default that nobody writes to
    """numbers to log, each of the shape of `each`, without a gradient; weighed and added like it"""


def nll(logp_BT: Tensor) -> Loss:
    """-log π(yₜ | x, y₍<t₎), nats: the negative log-likelihood (supervised fine-tuning)."""
    return Loss(-logp_BT)


def clip(logp_BT: Tensor, old_BT: Tensor, adv_BT: Tensor, *, eps: float) -> Loss:
    """-min(ρ Â, clip(ρ, 1-ε, 1+ε) Â),  ρ = π_θ / π_old: Schulman et al. 2017, eq. 7.

    Watch: `policy/clipfrac` is 1 where the clipped term counts, so that the gradient is zero;
    `policy/approxkl` is k2 of π_old to π_θ, nats; `policy/ratio` is ρ.
    """
    ratio_BT = (logp_BT - old_BT).exp()
    free_BT = -ratio_BT * adv_BT
    held_BT = -ratio_BT.clamp(1 - eps, 1 + eps) * adv_BT
    watch = {
        "policy/clipfrac": (held_BT > free_BT).to(ratio_BT.dtype),
        "policy/approxkl": k2(old_BT, logp_BT).detach(),
        "policy/ratio": ratio_BT.detach(),
    }
    return Loss(torch.maximum(free_BT, held_BT), watch)


def value(v_BT: Tensor, old_BT: Tensor, return_BT: Tensor, *, eps: float | None) -> Loss:
    """½ max((V - R)², (clip(V, V_old ± ε) - R)²): Engstrom et al. 2020, section 3.

    With eps None it is ½ (V - R)².  Watch: `val/clipfrac` is 1 where the clipped error counts, so
    that the gradient is zero; `val/error` is (V - R)²; `val/vpred` is V.
    """
    near_BT = v_BT if eps is None else old_BT + (v_BT - old_BT).clamp(-eps, eps)
    free_BT, held_BT = (v_BT - return_BT) ** 2, (near_BT - return_BT) ** 2
    watch = {
        "val/clipfrac": (held_BT > free_BT).to(v_BT.dtype),
        "val/error": free_BT.detach(),
        "val/vpred": v_BT.detach(),
    }
    return Loss(0.5 * torch.maximum(free_BT, held_BT), watch)


@dataclass(frozen=True)
class Clip:
    """How far the minibatches of one batch of answers may move what learns from it."""

    eps: float = 0.2
    """how far the ratio may move the objective"""
    eps_value: float | None = 0.2
    """how far a value may move per step; none: as far as it likes"""
    stop_kl: float | None = None
    """end a step's passes once the policy is this many nats per token from where it sampled"""

    def __post_init__(self) -> None:
        if any(x is not None and x <= 0 for x in (self.eps, self.eps_value, self.stop_kl)):
            raise ValueError("eps, eps_value and stop_kl must be above 0; the last two may be none")
