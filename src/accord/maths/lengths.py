"""Win rates with the effect of length taken out, after Dubois et al. 2024 (arXiv 2404.04475).

P(the second wins) = σ(θ + φ tanh(Δ / s))     Δ: how much longer it is;  s: the deviation of Δ
rate at equal length = σ(θ)

A tie is half a win and half a loss.  Their further term, how hard each instruction is, is fitted to
the answers of many models and is not here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from accord.maths.intervals import CONFIDENCE, quantile, wilson

PRIOR = 1.0
"""φ is held by a normal prior of this precision: finite where length explains everything"""
STEPS = 40
FARTHEST = 2.0
"""the most that θ and φ move in a step of Newton's"""


@dataclass(frozen=True, slots=True)
class Controlled:
    """A win rate between answers of one length."""

    rate: float
    low: float
    high: float
    slope: float
    """φ: above 0 where the longer of two answers is liked more"""


def controlled(
    points: Sequence[Sequence[float | None]],
    gaps: Sequence[Sequence[float]],
    *,
    seed: int = 0,
    draws: int = 500,
) -> Controlled | None:
    """`points` (1 won, 0 lost, ½ tie, None not known) and `gaps` (Δ) of the pairs of each prompt.

    Prompts count alike, and are drawn again whole for the 95 % interval; where all pairs were won,
    or all lost, each draw says the same, and Wilson's of as many throws as prompts stands instead.
    None where nothing is known, or all gaps are the same and not 0: then nothing tells length from
    the rest.
    """
    known = [
        [(p, gap) for p, gap in zip(few, longer, strict=True) if p is not None]
        for few, longer in zip(points, gaps, strict=True)
    ]
    known = [few for few in known if few]
    if not known:
        return None
    point_N, gap_N = torch.tensor([x for few in known for x in few], dtype=torch.float64).T
    spread = gap_N.std(correction=0)
    if spread == 0 and gap_N[0] != 0:
        return None
    x_N = (gap_N / spread).tanh() if spread > 0 else torch.zeros_like(gap_N)
    whose_N = torch.tensor([i for i, few in enumerate(known) for _ in few])
    share_N = torch.tensor([1 / len(few) for few in known for _ in few], dtype=torch.float64)
    theta_R, phi_R = fit(point_N, x_N, share_N[None])
    rate, slope = float(theta_R.sigmoid()), float(phi_R)
    if bool((point_N == point_N[0]).all()) and point_N[0] in (0, 1):
        return Controlled(rate, *wilson(float(point_N[0]), len(known)), slope)
    rng = torch.Generator().manual_seed(seed)
    drawn_RP = torch.randint(len(known), (draws, len(known)), generator=rng)
    count_RP = torch.zeros(drawn_RP.shape, dtype=torch.float64)
    count_RP.scatter_add_(1, drawn_RP, torch.ones_like(count_RP))
    again_R, _ = fit(point_N, x_N, count_RP[:, whose_N] * share_N)
    rates = again_R.sigmoid().sort().values.tolist()
    tail = (1 - CONFIDENCE) / 2
    ends = quantile(rates, tail), quantile(rates, 1 - tail)
    return Controlled(rate, *ends, slope)


def fit(point_N: Tensor, x_N: Tensor, weight_RN: Tensor) -> tuple[Tensor, Tensor]:
    """(θ_R, φ_R) that minimise Σ weight · cross-entropy + ½ PRIOR φ², one pair for each row of
    weights; by Newton's method.
    """
    theta_R = weight_RN.new_zeros(len(weight_RN))
    phi_R = torch.zeros_like(theta_R)
    for _ in range(STEPS):
        p_RN = (theta_R[:, None] + phi_R[:, None] * x_N).sigmoid()
        off_RN = weight_RN * (p_RN - point_N)
        g_R, h_R = off_RN.sum(1), (off_RN * x_N).sum(1) + PRIOR * phi_R
        bend_RN = weight_RN * p_RN * (1 - p_RN)
        a_R = bend_RN.sum(1) + 1e-9  # θ has no end where all were won
        b_R, c_R = (bend_RN * x_N).sum(1), (bend_RN * x_N**2).sum(1) + PRIOR
        det_R = a_R * c_R - b_R**2
        step_R = (c_R * g_R - b_R * h_R) / det_R
        theta_R = theta_R - step_R.clamp(-FARTHEST, FARTHEST)
        turn_R = (a_R * h_R - b_R * g_R) / det_R
        phi_R = phi_R - turn_R.clamp(-FARTHEST, FARTHEST)
    return theta_R, phi_R
