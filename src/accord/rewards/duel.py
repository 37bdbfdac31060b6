"""A judge who sees two answers side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from accord.rewards.base import Score


@dataclass(frozen=True, slots=True)
class Duel:
    """Two answers to one prompt, in the order in which they are shown."""

    prompt: str
    first: str
    second: str
    reference: str = ""
    """an answer known to be right, where there is one, for the judge alone"""


class PairJudge(Protocol):
    """Anything that compares two answers.  A failure is `Invalid(reason)`, never a number."""

    def __call__(self, duels: Sequence[Duel], /) -> list[Score]:
        """The probability that the first is better, for each in order: 1, 0, ½ for a tie, or any
        number between.
        """
        ...
