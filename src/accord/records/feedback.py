"""What people and judges say about answers."""

from collections.abc import Iterator
from dataclasses import dataclass

from accord.records.conversation import Conversation


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A prompt and the answer someone would have liked to get."""

    prompt: Conversation
    response: str
    author: str = "human"
    id: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One act of judgement over two or more answers to one prompt.

    `ranks[i]` is the place of `responses[i]`: 0 is best, equal places are ties.
    """

    prompt: Conversation
    responses: tuple[str, ...]
    ranks: tuple[int, ...]
    judge: str = "human"
    strength: float | None = None
    """how much better, in the judge's own units: a margin for those losses that use one"""
    p_first: float | None = None
    """for two answers: the judge's probability that the first is better (a soft label)"""
    why: str = ""
    id: str = ""

    def __post_init__(self) -> None:
        if len(self.responses) < 2:
            raise ValueError(
                f"comparison {self.id!r} has {len(self.responses)} answers; it needs 2"
            )
        if len(self.ranks) != len(self.responses):
            raise ValueError(
                f"comparison {self.id!r} ranks {len(self.ranks)} of {len(self.responses)} answers"
            )
        if self.p_first is not None and (len(self.responses) != 2 or not 0 <= self.p_first <= 1):
            raise ValueError(f"comparison {self.id!r}: p_first is for two answers, within 0..1")

    @classmethod
    def pair(cls, prompt: Conversation, chosen: str, rejected: str, **more: object) -> "Comparison":
        """The common case: of these two, the first."""
        return cls(prompt, (chosen, rejected), (0, 1), **more)  # type: ignore[arg-type]

    @property
    def tie(self) -> bool:
        """No answer stands out above another."""
        return len(set(self.ranks)) == 1

    def pairs(self) -> Iterator[tuple[int, int]]:
        """(better, worse) for every two answers whose places differ."""
        for i, place in enumerate(self.ranks):
            for j, other in enumerate(self.ranks):
                if place < other:
                    yield i, j


@dataclass(frozen=True, slots=True)
class Rating:
    """One act of judgement over a single answer: good, or not."""

    prompt: Conversation
    response: str
    good: bool
    judge: str = "human"
    why: str = ""
    id: str = ""
