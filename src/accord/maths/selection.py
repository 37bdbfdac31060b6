"""Which answers are imitated: rewards brought to [0, 1], thresholds on them, and the best of n.

ReST (Gulcehre et al. 2023), its filters of section 3 and appendix, and RAFT (Dong et al. 2023).
`reward_N` are the rewards of N answers and `source_N` the prompt of each, by number.
"""

import itertools
import math
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor

# --- scales: frozen on the first answers, before any threshold is ---


@dataclass(frozen=True)
class Range:
    """(r - low) / (high - low), cut to [0, 1]."""

    low: float | None = None
    """the reward that becomes 0; none: the lowest of the first Grow"""
    high: float | None = None
    """the reward that becomes 1; none: the highest of the first Grow"""

    def __post_init__(self) -> None:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low={self.low:g} must be below high={self.high:g}")

    def frozen(self, raw_N: Tensor) -> "Range":
        """The same with numbers; ValueError where these rewards give none."""
        low = float(raw_N.min()) if self.low is None else self.low
        high = float(raw_N.max()) if self.high is None else self.high
        if low >= high:
            raise ValueError(
                f"the {len(raw_N)} rewards lie between {float(raw_N.min()):g} and "
                f"{float(raw_N.max()):g}, and low={low:g} is not below high={high:g}: they give no "
                "scale; say scale.low and scale.high, or take a reward that tells answers apart"
            )
        return Range(low, high)

    def __call__(self, raw_N: Tensor) -> Tensor:
        """Scaled, float64."""
        if self.low is None or self.high is None:
            raise TypeError("this scale has no numbers yet: .frozen(rewards)")
        return ((raw_N.double() - self.low) / (self.high - self.low)).clamp(0, 1)


@dataclass(frozen=True)
class Sigmoid:
    """σ((r - centre) / width): rewards without limits, none of them cut."""

    centre: float | None = None
    """the reward that becomes ½; none: the mean of the first Grow"""
    width: float | None = None
    """how far from it 0.73 is; none: the standard deviation of the first Grow"""

    def __post_init__(self) -> None:
        if self.width is not None and self.width <= 0:
            raise ValueError(f"width={self.width:g} must be above 0")

    def frozen(self, raw_N: Tensor) -> "Sigmoid":
        """The same with numbers; ValueError where these rewards give none."""
        centre = float(raw_N.double().mean()) if self.centre is None else self.centre
        width = float(raw_N.double().std(correction=0)) if self.width is None else self.width
        if width <= 0:
            raise ValueError(
                f"all {len(raw_N)} rewards are {float(raw_N[0]):g}: they give no scale; say "
                "scale.width, or take a reward that tells answers apart"
            )
        return Sigmoid(centre, width)

    def __call__(self, raw_N: Tensor) -> Tensor:
        """Scaled, float64."""
        if self.centre is None or self.width is None:
            raise TypeError("this scale has no numbers yet: .frozen(rewards)")
        return ((raw_N.double() - self.centre) / self.width).sigmoid()


Scale = Range | Sigmoid


# --- filters: one of their steps for each Improve ---


class Kept(NamedTuple):
    """What a filter lets through."""

    mask_N: Tensor
    threshold_N: Tensor
    """what each answer's reward was held against"""


def rising(low: float, high: float, **numbers: tuple[float, ...]) -> None:
    """ValueError unless each has one number or more, which rise, from `low` to `high`."""
    for name, at in numbers.items():
        climbs = all(a < b for a, b in itertools.pairwise(at))
        if not at or not climbs or min(at) < low or max(at) > high:
            raise ValueError(f"{name}={at}: one number or more that rise, from {low:g} to {high:g}")


@dataclass(frozen=True)
class Steps:
    """A filter whose numbers, one for each Improve, are `at`."""

    at: tuple[float, ...]
    ranks: ClassVar[bool] = False
    """only the order of rewards counts: they are taken off the scale, which cuts some to its ends
    and makes them equal"""

    @property
    def steps(self) -> int:
        """I: how many Improves there are in a Grow."""
        return len(self.at)

    def only(self, i: int) -> Self:
        """The filter of Improve i alone; they count from 1."""
        return replace(self, at=(self.at[i - 1],))


@dataclass(frozen=True)
class Fixed(Steps):
    """R > τ: Gulcehre et al. 2023, section 3; τ is the same for all prompts."""

    at: tuple[float, ...] = (0.7, 0.8, 0.9, 0.95)
    """τ of each Improve, rising, from 0 to 1; the paper takes some of 0, 0.7, 0.8, 0.9, 0.95,
    0.99"""

    def __post_init__(self) -> None:
        rising(0, 1, at=self.at)

    def __call__(self, reward_N: Tensor, source_N: Tensor) -> Kept:
        """By its first threshold."""
        threshold_N = torch.full_like(reward_N, self.at[0])
        return Kept(reward_N > threshold_N, threshold_N)


@dataclass(frozen=True)
class Percentile(Steps):
    """R ≥ the p-quantile of the answers to the same prompt: no prompt is left without data."""

    ranks: ClassVar[bool] = True

    at: tuple[float, ...] = (0.5, 0.75, 0.9)
    """p of each Improve, rising, from 0 to 1; the paper's gains end at 0.9"""

    def __post_init__(self) -> None:
        rising(0, 1, at=self.at)

    def __call__(self, reward_N: Tensor, source_N: Tensor) -> Kept:
        """By its first share; between two answers the quantile is interpolated."""
        order_N, start_S, count_S = _lined_up(reward_N, source_N)
        ranked_N = reward_N[order_N]
        place_S = self.at[0] * (count_S - 1).double()
        low_S = place_S.floor()
        below_S = ranked_N[start_S + low_S.long()]
        above_S = ranked_N[start_S + place_S.ceil().long()]
        quantile_S = below_S + (place_S - low_S).to(reward_N) * (above_S - below_S)
        threshold_N = torch.empty_like(reward_N)
        threshold_N[order_N] = quantile_S.repeat_interleave(count_S)
        return Kept(reward_N >= threshold_N, threshold_N)


@dataclass(frozen=True)
class Interpolated(Steps):
    """R ≥ γ max + (1-γ) mean of the answers to the same prompt: no prompt is left without data."""

    at: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75)
    """γ of each Improve, rising, from 0 to 1"""

    def __post_init__(self) -> None:
        rising(0, 1, at=self.at)

    def __call__(self, reward_N: Tensor, source_N: Tensor) -> Kept:
        """By its first γ."""
        order_N, start_S, count_S = _lined_up(reward_N, source_N)
        max_S = reward_N[order_N][start_S + count_S - 1]
        total_S = torch.zeros_like(max_S)
        place_N = torch.arange(len(count_S)).repeat_interleave(count_S)
        mean_S = total_S.index_add(0, place_N, reward_N[order_N]) / count_S
        # the mean of equal numbers may round to a little more than they are
        chosen_S = torch.minimum(mean_S + self.at[0] * (max_S - mean_S), max_S)
        threshold_N = torch.empty_like(reward_N)
        threshold_N[order_N] = chosen_S.repeat_interleave(count_S)
        return Kept(reward_N >= threshold_N, threshold_N)


@dataclass(frozen=True)
class Best:
    """The best answers to each prompt, of equals the first: RAFT (Dong et al. 2023), best-of-n."""

    count: int = 1
    """how many of them"""
    steps = 1
    ranks: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count={self.count} must be at least 1")

    def only(self, i: int) -> "Best":
        """There is one Improve."""
        return self

    def __call__(self, reward_N: Tensor, source_N: Tensor) -> Kept:
        """By rank within the prompt."""
        order_N, start_S, count_S = _lined_up(-reward_N, source_N)
        rank_N = torch.arange(len(order_N)) - start_S.repeat_interleave(count_S)
        mask_N = torch.empty(len(order_N), dtype=torch.bool)
        mask_N[order_N] = rank_N < self.count
        last_S = reward_N[order_N][start_S + count_S.clamp(max=self.count) - 1]
        threshold_N = torch.empty_like(reward_N)
        threshold_N[order_N] = last_S.repeat_interleave(count_S)
        return Kept(mask_N, threshold_N)


@dataclass(frozen=True)
class Everything:
    """No filter: I = 0, the policy imitates all that was grown."""

    steps = 1
    ranks: ClassVar[bool] = False

    def only(self, i: int) -> "Everything":
        """There is one Improve."""
        return self

    def __call__(self, reward_N: Tensor, source_N: Tensor) -> Kept:
        """All of them."""
        return Kept(torch.ones_like(reward_N, dtype=torch.bool), torch.zeros_like(reward_N))


Filter = Fixed | Percentile | Interpolated | Best | Everything


def _lined_up(reward_N: Tensor, source_N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(order_N, start_S, count_S): prompt by prompt, rewards rising, equals as they came."""
    order_N = reward_N.argsort(stable=True)
    order_N = order_N[source_N[order_N].argsort(stable=True)]
    _, count_S = torch.unique_consecutive(source_N[order_N], return_counts=True)
    return order_N, count_S.cumsum(0) - count_S, count_S


# --- what the best of n costs ---


def best_of_n_bound(n: int) -> float:
    """log n - (n-1)/n: the KL of the best of n from the policy, nats, if no two rewards are equal.

    With equal ones it is less (Beirami et al. 2024, theorem 1).
    """
    if n < 1:
        raise ValueError(f"the best of {n} answers")
    return math.log(n) - (n - 1) / n


def best_of_n_kl(share_K: Tensor, n: int) -> float:
    """The KL of the best of n from the policy, nats; of equals one by chance.

    `share_K` is the policy's probability of each reward, from the lowest to the highest.  With F
    its sums, the best of n has reward k with probability F_k^n - F_{k-1}^n.
    """
    upto_K = share_K.double().cumsum(0)
    upto_K = upto_K / upto_K[-1]
    before_K = torch.cat([upto_K.new_zeros(1), upto_K[:-1]])
    best_K, share_K = upto_K**n - before_K**n, upto_K - before_K
    return float(torch.special.xlogy(best_K, best_K / share_K.clamp(min=1e-300)).sum())
