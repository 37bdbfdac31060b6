"""Labels from the log-probabilities of options (Bai et al. 2022, section 4.1)."""

import math


def preferred(logp_first: float, logp_second: float) -> float:
    """q = p(first) / (p(first) + p(second)); both in nats, each of a whole continuation."""
    gap = logp_first - logp_second
    if math.isnan(gap):
        raise ValueError("neither option has any probability")
    if gap >= 0:
        return 1 / (1 + math.exp(-gap))
    small = math.exp(gap)
    return small / (1 + small)


def clamped(q: float, low: float, high: float) -> float:
    """q within [low, high]: what a judge is sure of after a chain of thought is nearly always too
    sure.
    """
    return min(max(q, low), high)


def unswapped(q_as_is: float, q_swapped: float) -> float:
    """(q_AB + 1 - q_BA) / 2: what a judge prefers by place alone falls out."""
    return (q_as_is + 1 - q_swapped) / 2


def by_place(q_as_is: float, q_swapped: float) -> float:
    """How much more likely a judge finds the answer that is shown first: 0 is even-handed."""
    return (q_as_is + q_swapped - 1) / 2
