"""Who wins, and how sure that is: paired scores of two policies on the same prompts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from accord.errors import BadData
from accord.maths.intervals import Estimate, bootstrap, wilson
from accord.records import Invalid
from accord.rewards.base import Score

FEW = 30
"""values below which a bootstrap interval is noticeably too narrow"""


@dataclass(frozen=True, slots=True)
class WinRate:
    """How often the second of two answers to the same prompt is the better one."""

    wins: int
    ties: int
    losses: int
    invalid: int
    """prompts of which one answer could not be scored; they count for nobody"""
    rate: float
    """share of wins among all valid pairs, a tie being half a win"""
    low: float
    high: float

    @property
    def count(self) -> int:
        """Pairs that could be compared."""
        return self.wins + self.ties + self.losses


def winrate(
    before: Sequence[Score], after: Sequence[Score], *, margin: float = 0.0, seed: int = 0
) -> WinRate:
    """`after` against `before`, prompt by prompt; scores no more than `margin` apart are a tie.

    The interval (95 %) is Wilson's where nothing is tied or prompts are few, else a paired
    bootstrap over prompts.
    BadData where no prompt has two scores.
    """
    gaps = _gaps(before, after)
    points = [0.5 if abs(gap) <= margin else float(gap > 0) for gap in gaps]
    wins, ties = points.count(1.0), points.count(0.5)
    rate = fmean(points)
    alike = len(set(points)) == 1  # drawing again from equal numbers says nothing of their spread
    drawn = ties and not alike and len(points) >= FEW
    low, high = bootstrap(points, seed=seed) if drawn else wilson(rate, len(points))
    invalid = len(before) - len(gaps)
    return WinRate(wins, ties, len(gaps) - wins - ties, invalid, rate, low, high)


def difference(before: Sequence[Score], after: Sequence[Score], *, seed: int = 0) -> Estimate:
    """Mean of after - before over the prompts with two scores, with its bootstrap interval."""
    gaps = _gaps(before, after)
    return Estimate(fmean(gaps), *bootstrap(gaps, seed=seed))


def number(score: Score) -> float | None:
    """The score, or None where there is none: invalid, NaN or infinite."""
    return None if isinstance(score, Invalid) or not math.isfinite(score) else float(score)


def _gaps(before: Sequence[Score], after: Sequence[Score]) -> list[float]:
    if len(before) != len(after):
        raise BadData(
            f"{len(before)} scores before and {len(after)} after cannot be paired; "
            "score one answer to each prompt, in the same order"
        )
    pairs = [(number(b), number(a)) for b, a in zip(before, after, strict=True)]
    gaps = [a - b for b, a in pairs if a is not None and b is not None]
    if not gaps:
        raise BadData(f"none of {len(before)} prompts has two valid scores; nothing to compare")
    return gaps
