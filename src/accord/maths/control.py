"""What changes from step to step: the price of KL, and the learning rate."""

import math
from dataclasses import dataclass
from typing import Literal

Estimate = Literal["k1", "k3", "positive"]
"""functions of maths/divergence.py: what a token is charged for, given both log-probabilities"""


@dataclass(frozen=True)
class FixedKL:
    """β stays."""

    beta: float = 0.05
    """price of one nat of KL from the reference"""
    by: Estimate = "k1"
    """estimate that is charged per token: k1, k3, or k1 where it is positive (LLaVA-RLHF)"""

    def __post_init__(self) -> None:
        if self.beta < 0:
            raise ValueError("beta must not be negative: KL would be rewarded")

    def next(self, beta: float, kl: float, n: int) -> float:
        """The same price, whatever the KL."""
        return beta


@dataclass(frozen=True)
class AdaptiveKL:
    """β ← β (1 + n/horizon · clip(KL/target - 1, -0.2, 0.2)): Ziegler et al. 2019, section 2.2.

    Their code's step, n/horizon, stands for the paper's constant K = 0.1.
    """

    beta: float = 0.15
    """price of one nat at the start"""
    target: float = 6.0
    """nats per answer to steer for"""
    horizon: float = 10_000.0
    """answers in which a KL far too high multiplies the price by about e^0.2"""
    by: Estimate = "k1"
    """estimate that is charged per token: k1, k3, or k1 where it is positive (LLaVA-RLHF)"""

    def __post_init__(self) -> None:
        if self.beta <= 0:
            raise ValueError("beta must be above 0: what it adapts is multiplied")
        if self.target <= 0 or self.horizon <= 0:
            raise ValueError("target and horizon must be above 0")

    def next(self, beta: float, kl: float, n: int) -> float:
        """The price after n answers with this KL: nats, SUMMED over tokens, mean over answers."""
        error = min(max(kl / self.target - 1, -0.2), 0.2)
        return beta * (1 + error * n / self.horizon)


@dataclass(frozen=True)
class Constant:
    """Warm up over w steps, (step + 1) / (w + 1); then stay at 1."""

    warmup: float = 0.0
    """steps on the way up, or, below 1, their share of all steps, rounded up; the first is not 0,
    the one after the last is 1"""

    def __post_init__(self) -> None:
        if self.warmup < 0 or (self.warmup > 1 and self.warmup != int(self.warmup)):
            raise ValueError("warmup must be a share below 1, or a whole number of steps from 0")

    def __call__(self, step: int, total: int) -> float:
        """What the learning rate of step 0 … total - 1 is multiplied by."""
        share = round(self.warmup * total, 6)  # 0.07 · 100 is a little more than 7
        up = math.ceil(share) if self.warmup < 1 else int(self.warmup)
        if step < up:
            return (step + 1) / (up + 1)
        return self.after((step - up) / (total - up))

    def after(self, x: float) -> float:
        """The factor once warm; x is the share of the remaining steps that is done, in [0, 1)."""
        return 1.0


@dataclass(frozen=True)
class Linear(Constant):
    """After the warm-up 1 - x, down towards 0; x is the share of the remaining steps done."""

    def after(self, x: float) -> float:
        """The factor once warm."""
        return 1 - x


@dataclass(frozen=True)
class Cosine(Constant):
    """After the warm-up f + (1 - f) (1 + cos πx) / 2: Loshchilov & Hutter 2017, eq. 5."""

    floor: float = 0.0
    """f: what the factor comes down to"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.floor <= 1:
            raise ValueError("floor must be from 0 to 1")

    def after(self, x: float) -> float:
        """The factor once warm."""
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * x)) / 2


Schedule = Constant | Linear | Cosine
