"""What reward can be had at which distance: the best there is, and how a proxy of it is overdone.

A point of the plane is (KL, reward); KL is of whole answers from the start, nats, and d = √KL.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Form = Literal["bon", "rl"]


def optimum(ref_N: Tensor, reward_N: Tensor, beta: float) -> tuple[float, float]:
    """(E[r], KL) of π* = ρ exp(r/β) / Z over N answers that can be listed; ρ sums to 1.

    Rafailov et al. 2023, eq. 4.  No policy has more reward at this KL: π* maximises E[r] - β KL,
    whose greatest value is β log Z.
    """
    tilted_N = ref_N.log() + reward_N / beta
    log_z = tilted_N.logsumexp(0)
    best_N = (tilted_N - log_z).exp()
    reward = float((best_N * reward_N).sum())
    return reward, reward / beta - float(log_z)


@dataclass(frozen=True, slots=True)
class Law:
    """The true reward over d, beside the start's: Gao et al. 2022, "Scaling laws for reward model
    overoptimization", section 3.

    bon: R = d (α - β d), of best-of-n; rl: R = d (α - β log d), of reinforcement learning.
    """

    form: Form
    alpha: float
    """how steeply it rises at first"""
    beta: float
    """how soon that is used up; at most 0 where nothing is overdone yet"""
    explained: float
    """share of the reward's squares that the law accounts for: 1 is a perfect fit"""

    def __call__(self, d: float) -> float:
        """R at a distance d = √KL."""
        return d * (self.alpha - self.beta * _bend(self.form, d))

    @property
    def peak(self) -> tuple[float, float] | None:
        """(d, R) where the true reward is highest; None where the law never turns."""
        if self.beta <= 0 or self.alpha <= 0:
            return None
        if self.form == "bon":
            d = self.alpha / (2 * self.beta)
            return d, self(d)
        if (power := self.alpha / self.beta - 1) > 300:  # further than any policy goes
            return None
        return math.exp(power), self(math.exp(power))


def law(d: Sequence[float], reward: Sequence[float], form: Form) -> Law:
    """The law of least squares through (d, R); R is the true reward less that of the start.

    ValueError where fewer than three distances above 0 are told apart: two would always fit.
    """
    points = [(x, y) for x, y in zip(d, reward, strict=True) if x > 0]
    if len({x for x, _ in points}) < 3:
        raise ValueError("a law of over-optimisation wants three distances above 0, or more")
    a = [x for x, _ in points]
    b = [-x * _bend(form, x) for x, _ in points]
    y = [reward for _, reward in points]
    aa, ab, bb = _dot(a, a), _dot(a, b), _dot(b, b)
    ay, by = _dot(a, y), _dot(b, y)
    det = aa * bb - ab * ab
    alpha, beta = (bb * ay - ab * by) / det, (aa * by - ab * ay) / det
    rest = [r - alpha * p - beta * q for p, q, r in zip(a, b, y, strict=True)]
    whole = _dot(y, y)
    return Law(form, alpha, beta, 1 - _dot(rest, rest) / whole if whole else 1.0)


def _bend(form: Form, d: float) -> float:
    if form == "bon":
        return d
    return math.log(d) if d > 0 else 0.0  # d log d is 0 at 0


def _dot(x: Sequence[float], y: Sequence[float]) -> float:
    return math.fsum(p * q for p, q in zip(x, y, strict=True))
