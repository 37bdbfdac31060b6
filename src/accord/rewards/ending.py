"""What becomes of the score of an answer that was cut, because it did not end itself."""

from collections.abc import Sequence
from dataclasses import dataclass

from accord.records import Rollout


@dataclass(frozen=True)
class Absolute:
    """An answer that did not end itself scores `value`, whatever it said (Ziegler et al. 2019)."""

    value: float = -1.0
    """what it scores"""

    def __call__(self, score: float) -> float:
        """The new score of an answer without an end."""
        return self.value


@dataclass(frozen=True)
class Relative:
    """An answer that did not end itself has `value` added to its score (Sun et al. 2023)."""

    value: float = -1.0
    """what is added to its score"""

    def __call__(self, score: float) -> float:
        """The new score of an answer without an end."""
        return score + self.value


def ended(
    rule: Absolute | Relative | None, rollouts: Sequence[Rollout], scores: Sequence[float]
) -> list[float]:
    """The scores after the rule; None leaves them as they are."""
    if rule is None:
        return list(scores)
    pairs = zip(rollouts, scores, strict=True)
    return [score if said.finish == "stop" else rule(score) for said, score in pairs]
