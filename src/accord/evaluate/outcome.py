"""Answers before and after, measured and held against each other."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from accord.errors import BadData
from accord.evaluate.trend import History, Parting, parting, pearson, recent, spearman
from accord.evaluate.winrate import WinRate, difference, number, winrate
from accord.maths import ngrams
from accord.maths.intervals import Estimate
from accord.rewards.base import Score

KL_LIMIT = 60.0
"""nats per answer beyond which a policy without a target is said to have strayed"""
KL_TIMES = 4.0
"""times its target"""
FEWEST_PAIRS = 10
"""pairs below which no verdict is given"""
DOUBTFUL = 0.1
"""share of invalid pairs beyond which no verdict is given"""
_WORD = re.compile(r"[\w'’]+")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a policy said to one prompt, and what was thought of it."""

    prompt: str
    text: str
    ended: bool
    """it ended itself; else it was cut at the limit"""
    length: int
    """tokens"""
    true: Score
    """by the rule that people follow, which training never sees"""
    learned: Score | None = None
    """by the reward model"""


@dataclass(frozen=True, slots=True)
class Summary:
    """A set of answers in numbers; what could not be measured is None."""

    count: int
    invalid: int
    """answers without a true score; no mean counts them"""
    true: float | None
    learned: float | None
    ended: float | None
    """share that ended themselves"""
    length: float | None
    """tokens, the mean"""
    distinct_1: float | None
    distinct_2: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What training changed."""

    before: Summary
    after: Summary
    wins: WinRate
    change: Estimate
    """of the true score, prompt by prompt"""
    learned_change: Estimate | None
    points: tuple[tuple[float, float], ...]
    """(true, learned) of every answer that has both, before then after"""
    split: int
    """how many of the points are from before"""
    pearson: float | None
    """between learned and true"""
    spearman: float | None
    kl: float | None
    """nats per answer from the start, at the end of training"""
    kl_target: float | None
    parting: Parting | None

    @property
    def kl_limit(self) -> float:
        """More than this is no longer near the start."""
        return KL_LIMIT if self.kl_target is None else KL_TIMES * self.kl_target

    @property
    def strayed(self) -> bool:
        """The policy left the neighbourhood of the one it started from."""
        return self.kl is not None and not self.kl <= self.kl_limit

    @property
    def doubt(self) -> Literal["", "few", "invalid"]:
        """Why the comparison of the ends supports no verdict, whatever its intervals say."""
        if self.wins.invalid > DOUBTFUL * (self.wins.count + self.wins.invalid):
            return "invalid"
        return "few" if self.wins.count < FEWEST_PAIRS else ""

    @property
    def overoptimised(self) -> bool:
        """The learned reward rose while the true rule fell, late in training or from end to end."""
        ends = self.learned_change is not None and self.learned_change.low > 0 > self.change.high
        return (ends and not self.doubt) or (self.parting is not None and self.parting.found)


def compare(
    before: Sequence[Answer],
    after: Sequence[Answer],
    history: History = (),
    *,
    kl: float | None = None,
    kl_target: float | None = None,
    seed: int = 0,
) -> Outcome:
    """Hold answers of two policies to the same prompts, in the same order, against each other.

    `history` is what the run logged (`objective/kl`, `objective/scores`, `eval/true`); `kl`, in
    nats per answer, is the mean over its last tenth unless given.  BadData where prompts differ.
    Variety is measured on as many words of the one as of the other, pair by pair: longer texts
    repeat more.
    """
    for b, a in zip(before, after, strict=False):
        if b.prompt != a.prompt:
            raise BadData(
                f"answers to different prompts cannot be compared: {b.prompt[:60]!r} before, "
                f"{a.prompt[:60]!r} after"
            )
    old, new = [b.true for b in before], [a.true for a in after]
    learned = [(b.learned, a.learned) for b, a in zip(before, after, strict=False)]
    both = [(b, a) for b, a in learned if b is not None and a is not None]
    known = [(b, a) for b, a in both if number(b) is not None and number(a) is not None]
    points, split = _points(before, after)
    short = _even(before, after)
    trues, judged = [p[0] for p in points], [p[1] for p in points]
    return Outcome(
        before=_varied(before, short[0]),
        after=_varied(after, short[1]),
        wins=winrate(old, new, seed=seed),
        change=difference(old, new, seed=seed),
        learned_change=difference(*zip(*known, strict=True), seed=seed) if known else None,
        points=points,
        split=split,
        pearson=pearson(trues, judged),
        spearman=spearman(trues, judged),
        kl=recent(history, "objective/kl") if kl is None else kl,
        kl_target=kl_target,
        parting=parting(history),
    )


def summary(answers: Sequence[Answer]) -> Summary:
    """The answers in numbers."""
    trues = [number(a.true) for a in answers]
    learned = [None if a.learned is None else number(a.learned) for a in answers]
    return Summary(
        count=len(answers),
        invalid=trues.count(None),
        true=_mean(trues),
        learned=_mean(learned),
        ended=_mean(float(a.ended) for a in answers),
        length=_mean(float(a.length) for a in answers),
        distinct_1=distinct([a.text for a in answers], 1),
        distinct_2=distinct([a.text for a in answers], 2),
    )


def distinct(texts: Sequence[str], n: int) -> float | None:
    """distinct-n of whole texts, in lower-case words."""
    return ngrams.distinct([words(text) for text in texts], n)


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return _WORD.findall(text.lower())


def _even(before: Sequence[Answer], after: Sequence[Answer]) -> tuple[list[str], list[str]]:
    """The texts of both sides, cut to equally many words pair by pair."""
    sides: tuple[list[str], list[str]] = [], []
    for pair in zip(before, after, strict=False):
        spoken = [_WORD.findall(answer.text) for answer in pair]
        shared = min(map(len, spoken))
        for side, said in zip(sides, spoken, strict=True):
            side.append(" ".join(said[:shared]))
    return sides


def _varied(answers: Sequence[Answer], texts: Sequence[str]) -> Summary:
    """The answers in numbers, their variety that of these texts."""
    one, two = distinct(texts, 1), distinct(texts, 2)
    return replace(summary(answers), distinct_1=one, distinct_2=two)


def _points(
    before: Sequence[Answer], after: Sequence[Answer]
) -> tuple[tuple[tuple[float, float], ...], int]:
    sides = []
    for answers in (before, after):
        side = []
        for answer in answers:
            true = number(answer.true)
            learned = None if answer.learned is None else number(answer.learned)
            if true is not None and learned is not None:
                side.append((true, learned))
        sides.append(side)
    return (*sides[0], *sides[1]), len(sides[0])


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return fmean(known) if known else None
