"""Three simulated annotators.  Wherever their judgements show, they are said to be simulated."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from accord.records import Comparison, Conversation


@dataclass(frozen=True)
class Annotator:
    """Someone who follows the rule most of the time."""

    name: str
    reliability: float
    """how often the rule decides; otherwise a coin does"""

    def judge(self, score_a: float, score_b: float, key: str) -> tuple[int, int]:
        """Places of two answers with these true scores, (0, 0) a tie; a pure function of `key`."""
        dice = random.Random(f"{self.name}/{key}")
        if dice.random() >= self.reliability:
            return dice.choice([(0, 1), (1, 0)])
        if score_a == score_b:
            return 0, 0
        return (0, 1) if score_a > score_b else (1, 0)


PANEL = (
    Annotator("simulated:ada", 0.95),
    Annotator("simulated:ben", 0.8),
    Annotator("simulated:cleo", 0.6),
)


@dataclass(frozen=True)
class Pair:
    """Two answers to one prompt, with what the rule truly thinks of them."""

    id: str
    prompt: Conversation
    answers: tuple[str, str]
    truth: tuple[float, float]


def judge(pairs: Sequence[Pair], panel: Sequence[Annotator] = PANEL) -> list[Comparison]:
    """Every pair before every annotator."""
    return [
        Comparison(
            pair.prompt,
            pair.answers,
            who.judge(*pair.truth, key=pair.id),
            judge=who.name,
            id=f"{pair.id}/{who.name}",
        )
        for pair in pairs
        for who in panel
    ]


@dataclass(frozen=True)
class Agreement:
    """How one annotator's judgements compare with the truth and with the others'."""

    name: str
    reliability: float | None
    """how often a simulated one lets the rule decide"""
    judgements: int
    ties: int
    with_truth: float | None
    """share of pairs the rule decides on which this annotator chose as the rule does"""
    with_others: float | None
    """share of equal verdicts among all pairs judged together with another annotator"""


def agreement(
    pairs: Sequence[Pair], comparisons: Sequence[Comparison], panel: Sequence[Annotator] = PANEL
) -> list[Agreement]:
    """The panel, looked at from outside."""
    verdict = {c.id: c.ranks for c in comparisons}
    seen = []
    for who in panel:
        mine = [verdict[f"{pair.id}/{who.name}"] for pair in pairs]
        decided = [
            ranks == ((0, 1) if pair.truth[0] > pair.truth[1] else (1, 0))
            for ranks, pair in zip(mine, pairs, strict=True)
            if pair.truth[0] != pair.truth[1]
        ]
        others = [
            ranks == verdict[f"{pair.id}/{other.name}"]
            for ranks, pair in zip(mine, pairs, strict=True)
            for other in panel
            if other != who
        ]
        ties = sum(ranks == (0, 0) for ranks in mine)
        seen.append(
            Agreement(who.name, who.reliability, len(mine), ties, _share(decided), _share(others))
        )
    return seen


def _share(yes: Sequence[bool]) -> float:
    return sum(yes) / len(yes) if yes else float("nan")
