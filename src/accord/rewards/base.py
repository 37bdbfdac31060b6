"""The one protocol of judgement, and what happens when a judgement fails."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from accord.errors import BadData
from accord.records import Invalid, Rollout

Score = float | Invalid
NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\*(.+)")


class Reward(Protocol):
    """Anything that scores finished answers.  A failure is `Invalid(reason)`, never a number."""

    def __call__(self, rollouts: Sequence[Rollout], /) -> list[Score]:
        """One score per rollout, in order."""
        ...


def which(*rewards: Reward | None) -> tuple[str, ...]:
    """The names of those that have one, for what was made with them to say so."""
    names = (getattr(reward, "which", None) for reward in rewards)
    return tuple(name for name in names if name)


@dataclass(frozen=True)
class Sum:
    """Several rewards added up, each with its weight; invalid where one of them is."""

    parts: tuple[tuple[float, Reward], ...]

    @property
    def which(self) -> str:
        """Its weights and the names of its parts."""
        names = (next(iter(which(part)), type(part).__name__) for _, part in self.parts)
        return " + ".join(f"{w} × {n}" for (w, _), n in zip(self.parts, names, strict=True))

    def __call__(self, rollouts: Sequence[Rollout]) -> list[Score]:
        """One score per rollout."""
        given = [reward(rollouts) for _, reward in self.parts]
        return [self._add(scores) for scores in zip(*given, strict=True)]

    def _add(self, scores: tuple[Score, ...]) -> Score:
        total = 0.0
        for (weight, _), score in zip(self.parts, scores, strict=True):
            if isinstance(score, Invalid):
                return score
            total += weight * score
        return total


def valid(
    rollouts: Sequence[Rollout], scores: Sequence[Score], *, limit: float = 0.1
) -> tuple[list[Rollout], list[float], dict[str, str]]:
    """(rollouts, scores, dropped id -> reason): what can be learned from.

    A NaN is as invalid as a refusal.  Raises BadData when more than one, and more than `limit` of
    the scores, are invalid, or all: then the reward is broken, and going on would learn from
    whoever is left.
    """
    if len(scores) != len(rollouts):
        raise BadData(f"the reward returned {len(scores)} scores for {len(rollouts)} answers")
    kept, numbers, dropped = [], [], {}
    for rollout, score in zip(rollouts, scores, strict=True):
        if isinstance(score, Invalid):
            dropped[rollout.id] = score.reason
        elif not abs(score) < float("inf"):
            dropped[rollout.id] = f"the score is {score}"
        else:
            kept.append(rollout)
            numbers.append(float(score))
    allowed = max(1, limit * len(rollouts)) if limit else 0
    if len(dropped) > allowed or (dropped and not kept):
        (reason, count), *_ = Counter(dropped.values()).most_common(1)
        raise BadData(
            f"{len(dropped)} of {len(rollouts)} scores are invalid, most often ({count}) because: "
            f"{reason}. Mend the reward; nothing was learned from this step"
        )
    return kept, numbers, dropped


def weighed(word: str) -> tuple[float, str]:
    found = NUMBER.fullmatch(word)
    return (float(found[1]), found[2].strip()) if found else (1.0, word)
