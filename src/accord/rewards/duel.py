"""A judge who sees two answers side by side."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from accord.errors import BadData
from accord.records import Conversation, Invalid
from accord.rewards.base import Score


@dataclass(frozen=True, slots=True)
class Duel:
    """Two answers to one prompt, in the order in which they are shown."""

    prompt: str
    first: str
    second: str
    reference: str = ""
    """an answer known to be right, where there is one, for the judge alone"""
    talk: Conversation = ()
    """the prompt message by message: its pictures, and facts that judges are told"""


class PairJudge(Protocol):
    """Anything that compares two answers.  A failure is `Invalid(reason)`, never a number."""

    def __call__(self, duels: Sequence[Duel], /) -> list[Score]:
        """The probability that the first is better, for each in order: 1, 0, ½ for a tie, or any
        number between.
        """
        ...


def both_ways(
    judge: PairJudge, duels: Sequence[Duel], *, seed: int = 0
) -> list[tuple[Score, Score]]:
    """Of each: the verdict as it stands, and with the two answers exchanged; what is no probability
    is Invalid.  All are asked in an order by chance: no judge sees the two ways side by side.
    """
    asked = [
        way for one in duels for way in (one, replace(one, first=one.second, second=one.first))
    ]
    order = list(range(len(asked)))
    random.Random(f"duels/{seed}").shuffle(order)
    given = judge([asked[at] for at in order]) if asked else []
    if len(given) != len(asked):
        raise BadData(f"the judge gave {len(given)} verdicts on {len(asked)} pairs of answers")
    said = dict(zip(order, map(probability, given), strict=True))
    return [(said[at], said[at + 1]) for at in range(0, len(asked), 2)]


def probability(verdict: Score) -> Score:
    """A verdict, if it is one; else why it is none."""
    if isinstance(verdict, Invalid):
        return verdict
    if verdict != verdict:
        return Invalid("not a number")
    return verdict if 0 <= verdict <= 1 else Invalid(f"{verdict:g} is no probability")
