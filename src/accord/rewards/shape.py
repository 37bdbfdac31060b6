"""What becomes of a score before it is learned from."""

from collections.abc import Sequence
from dataclasses import dataclass

from accord.records import Rollout


@dataclass(frozen=True)
class Shape:
    """s ← clip(s + price · tokens, ±limit); with the price of KL it is then multiplied by scale."""

    per_token: float = 0.0
    """added to the score for every token of the answer (LLaVA-RLHF, Sun et al. 2023: -10/896)"""
    limit: float | None = None
    """scores further from 0 are brought to it; none: never"""
    scale: float = 1.0
    """what rewards, score and KL alike, are multiplied by before GAE (LLaVA-RLHF: 10)"""

    def __post_init__(self) -> None:
        if self.scale <= 0 or (self.limit is not None and self.limit <= 0):
            raise ValueError("scale and limit must be above 0")

    def __call__(self, rollouts: Sequence[Rollout], scores: Sequence[float]) -> list[float]:
        """The scores, not yet multiplied."""
        far = float("inf") if self.limit is None else self.limit
        pairs = zip(rollouts, scores, strict=True)
        told = (score + self.per_token * len(said.response_ids) for said, score in pairs)
        return [min(max(score, -far), far) for score in told]
