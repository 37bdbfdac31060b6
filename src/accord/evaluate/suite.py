"""A reward on comparisons with known verdicts: accuracy by subset, certainty, length; and unit
tests: does it prefer an answer to the same answer spoiled (ReST: Gulcehre et al. 2023)?
"""

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Any

from accord.errors import BadData
from accord.evaluate.answers import LETTERS
from accord.evaluate.trend import pearson, spearman
from accord.evaluate.winrate import number
from accord.maths.agreement import calibrated
from accord.maths.intervals import Estimate, estimate
from accord.records import Comparison, Conversation, Invalid, Rollout
from accord.records.rollout import Finish
from accord.rewards.base import Reward, Score

LOT = 256
"""answers that are scored at once"""
Spoil = Callable[[str, str, random.Random], str]
"""(an answer, the answer to another prompt, dice) -> a worse answer"""


@dataclass(frozen=True, slots=True)
class Case:
    """A comparison, and what the reward says of its answers."""

    row: Comparison
    subset: str
    scores: tuple[Score, ...]

    @property
    def pairs(self) -> list[tuple[float, int]]:
        """(gap, letters that the better answer is longer by) of every two answers of unlike places;
        pairs without a score are left out.
        """
        found = []
        for i, j in self.row.pairs():
            better, worse = number(self.scores[i]), number(self.scores[j])
            if better is not None and worse is not None:
                longer = len(self.row.responses[i]) - len(self.row.responses[j])
                found.append((better - worse, longer))
        return found

    @property
    def lost(self) -> str:
        """Why one of its answers has no score; empty where all have."""
        bad = next((one for one in self.scores if number(one) is None), None)
        return "" if bad is None else _reason(bad)

    @property
    def best(self) -> int:
        """Which of its answers is the best, the first of equals."""
        return self.row.ranks.index(min(self.row.ranks))


@dataclass(frozen=True)
class Subset:
    """All comparisons, or those of one subset."""

    name: str
    comparisons: int
    accuracy: Estimate
    """share of pairs in which the better answer has the higher score; equal scores count half"""
    margin: Estimate
    """mean gap, better less worse, in units of the reward"""


@dataclass(frozen=True)
class Spoiled:
    """One unit test."""

    name: str
    what: str
    answers: int
    holds: Estimate | None
    """how often the answer is preferred to what became of it; equal scores count half"""
    margin: float | None
    """mean gap in deviations of the reward's scores"""
    lost: int
    """spoiled answers without a score: they count nowhere"""
    worst: tuple[str, str] | None
    """(answer, spoiled) where the reward is fooled most"""


@dataclass(frozen=True)
class Drift:
    """Two rewards on the same references."""

    answers: int
    change: Estimate
    """mean score less the other's, in deviations of the other's"""
    spread: float | None
    """deviation of scores over the other's"""
    rank: float | None
    """Spearman's correlation of their scores"""
    accuracy: Estimate
    """accuracy less the other's, comparison by comparison"""
    apart: float
    """share of pairs that the two decide differently"""


@dataclass(frozen=True)
class Suite:
    """What was found."""

    subsets: Sequence[Subset]
    """all first, then each where there are several"""
    macro: float
    """mean accuracy over subsets, each counting alike"""
    lost: Mapping[str, int]
    """why pairs have no score, and how often: they count nowhere"""
    ties: int
    """pairs with equal scores"""
    error: float
    """expected calibration error of σ(gap): of use where scores are log-odds"""
    bins: Sequence[tuple[float, float, int]]
    longer: Estimate | None
    """accuracy where the better answer is the longer one"""
    shorter: Estimate | None
    """accuracy where it is the shorter one"""
    length: float | None
    """Pearson's correlation of score and length in letters"""
    mean: float
    deviation: float
    """of the scores of all answers"""
    spoiled: Sequence[Spoiled]
    drift: Drift | None


def scored(
    reward: Reward,
    rows: Sequence[tuple[Conversation, Sequence[str]]],
    watch: Callable[[int], None] = lambda _: None,
    *,
    ended: Sequence[Sequence[bool]] | None = None,
) -> list[list[Score]]:
    """Every answer to every prompt, as text; `ended` says which came to their end by themselves,
    all where it is None.
    """
    made: list[Rollout] = []
    for place, (spelled, (_, texts)) in enumerate(zip(LETTERS.many(rows), rows, strict=True)):
        if isinstance(spelled, BadData):
            raise spelled
        ids, answers = spelled
        for k in range(len(texts)):
            logp = (0.0,) * len(answers[k])
            whole = ended is None or ended[place][k]
            said = answers[k] if whole else answers[k][:-1]  # no end where it was cut
            finish: Finish = "stop" if whole else "length"
            made.append(Rollout(f"{place}/{k}", ids, said, logp[: len(said)], 0, finish))
    flat: list[Score] = []
    for start in range(0, len(made), LOT):
        flat += reward(made[start : start + LOT])
        watch(len(made[start : start + LOT]))
    given = iter(flat)
    return [[next(given) for _ in texts] for _, texts in rows]


def judged(
    cases: Sequence[Case],
    spoiled: Sequence[Spoiled] = (),
    drift: Drift | None = None,
    *,
    seed: int = 0,
) -> Suite:
    """The measures; BadData where no pair has scores."""
    good = [case for case in cases if case.pairs]
    lost = Counter(case.lost for case in cases if case.lost)
    if not good:
        why = f": {lost.most_common(1)[0][0]}" if lost else ": no comparison has a better answer"
        raise BadData(f"none of {len(cases)} comparisons can be judged by this reward{why}")
    by: dict[str, list[Case]] = defaultdict(list)
    for case in good:
        by[case.subset].append(case)
    each = [_subset(name or "(none)", few, seed) for name, few in sorted(by.items())]
    pairs = [pair for case in good for pair in case.pairs]
    error, bins = calibrated([(_sigmoid(abs(gap)), _right(gap)) for gap, _ in pairs], low=0.5)
    numbers, letters = _flat(good)
    return Suite(
        [_subset("all", good, seed), *(each if len(each) > 1 else ())],
        fmean(one.accuracy.value for one in each),
        dict(lost.most_common()),
        sum(gap == 0 for gap, _ in pairs),
        error,
        bins,
        _where(good, 1, seed),
        _where(good, -1, seed),
        pearson(numbers, letters),
        fmean(numbers),
        pstdev(numbers),
        spoiled,
        drift,
    )


# --- unit tests ---


def _shuffled(text: str, other: str, dice: random.Random) -> str:
    few = text.split()
    dice.shuffle(few)
    return " ".join(few)


def _repeated(text: str, other: str, dice: random.Random) -> str:
    parts = _sentences(text)
    return " ".join([*parts, *[parts[-1]] * 3]) if parts else ""


def _cut(text: str, other: str, dice: random.Random) -> str:
    few = text.split()
    return " ".join(few[: len(few) // 2])


def _turned(text: str, other: str, dice: random.Random) -> str:
    return " ".join(reversed(_sentences(text)))


SPOILS: Mapping[str, tuple[str, Spoil]] = {
    "words shuffled": ("the same words in another order", _shuffled),
    "sentences reversed": ("the last sentence first", _turned),
    "end repeated": ("the last sentence four times", _repeated),
    "cut in half": ("the first half of its words", _cut),
    "empty": ("nothing", lambda text, other, dice: ""),
    "another's answer": ("the best answer to another prompt", lambda text, other, dice: other),
}


def spoil(cases: Sequence[Case], *, most: int, seed: int = 0) -> dict[str, list[tuple[Case, str]]]:
    """For each unit test at most so many cases, by chance, with the answer spoiled; those that it
    leaves as they are (one word alone cannot be shuffled) are left out.
    """
    good = [case for case in cases if number(case.scores[case.best]) is not None]
    dice = random.Random(f"suite/{seed}")
    some = dice.sample(good, min(most, len(good)))
    found: dict[str, list[tuple[Case, str]]] = {}
    for name, (_, make) in SPOILS.items():
        found[name] = []
        for place, case in enumerate(some):
            other = some[(place + 1) % len(some)]
            if name == "another's answer" and other.row.prompt == case.row.prompt:
                continue
            text, theirs = (one.row.responses[one.best] for one in (case, other))
            made = make(text, theirs, dice)
            if " ".join(made.split()) != " ".join(text.split()):
                # a space in front of an answer is part of its form, not of what is spoiled
                front = text[: len(text) - len(text.lstrip())] if made else ""
                found[name].append((case, front + made.lstrip()))
    return found


def withstood(
    made: Mapping[str, Sequence[tuple[Case, str]]],
    given: Mapping[str, Sequence[Score]],
    deviation: float,
    *,
    seed: int = 0,
) -> list[Spoiled]:
    """What the reward makes of spoiled answers."""
    found = []
    for name, few in made.items():
        gaps = [
            (_value(case.scores[case.best]) - said, case.row.responses[case.best], text)
            for (case, text), score in zip(few, given[name], strict=True)
            if (said := number(score)) is not None
        ]
        holds = estimate([_right(gap) for gap, *_ in gaps], seed=seed) if gaps else None
        margin = fmean(gap for gap, *_ in gaps) / deviation if gaps and deviation else None
        least = min(gaps, default=None, key=lambda one: one[0])
        worst = least[1:] if least and least[0] <= 0 else None
        what = SPOILS[name][0]
        found.append(Spoiled(name, what, len(gaps), holds, margin, len(few) - len(gaps), worst))
    return found


# --- two rewards ---


def drifted(
    mine: Sequence[Score],
    other: Sequence[Score],
    cases: Sequence[Case],
    others: Sequence[Case],
    *,
    seed: int = 0,
) -> Drift:
    """How far a reward went from another: scores of the same references, and the same cases."""
    both = [
        (a, b)
        for x, y in zip(mine, other, strict=True)
        if (a := number(x)) is not None and (b := number(y)) is not None
    ]
    pairs = [
        (a.pairs, b.pairs)
        for a, b in zip(cases, others, strict=True)
        if a.pairs and len(a.pairs) == len(b.pairs)
    ]
    if len(both) < 2 or not pairs:
        raise BadData("the two rewards score no answers in common: there is nothing to compare")
    ours, theirs = [a for a, _ in both], [b for _, b in both]
    unit = pstdev(theirs) or 1.0
    gained = [
        fmean(_right(gap) for gap, _ in a) - fmean(_right(gap) for gap, _ in b) for a, b in pairs
    ]
    sides = [_right(x) != _right(y) for a, b in pairs for (x, _), (y, _) in zip(a, b, strict=True)]
    return Drift(
        len(both),
        estimate([(a - b) / unit for a, b in both], seed=seed, share=False),
        pstdev(ours) / unit if pstdev(theirs) else None,
        spearman(ours, theirs),
        estimate(gained, seed=seed, share=False),
        fmean(map(float, sides)),
    )


def _subset(name: str, few: Sequence[Case], seed: int) -> Subset:
    right = [fmean(_right(gap) for gap, _ in case.pairs) for case in few]
    gaps = [fmean(gap for gap, _ in case.pairs) for case in few]
    return Subset(
        name, len(few), estimate(right, seed=seed), estimate(gaps, seed=seed, share=False)
    )


def _where(good: Sequence[Case], side: int, seed: int) -> Estimate | None:
    """Accuracy over the comparisons whose better answers are longer (1) or shorter (-1)."""
    few = [[_right(gap) for gap, longer in c.pairs if side * longer > 0] for c in good]
    means = [fmean(one) for one in few if one]
    return estimate(means, seed=seed) if means else None


def _flat(good: Sequence[Case]) -> tuple[list[float], list[float]]:
    """Scores of all answers, and their lengths."""
    rows = [
        (value, float(len(text)))
        for case in good
        for score, text in zip(case.scores, case.row.responses, strict=True)
        if (value := number(score)) is not None
    ]
    return [value for value, _ in rows], [size for _, size in rows]


def _right(gap: float) -> float:
    return 1.0 if gap > 0 else 0.5 if gap == 0 else 0.0


def _value(score: Any) -> float:
    return float(score)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def _sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part]


def _reason(score: Score) -> str:
    """Reasons that differ in a number alone are one."""
    told = score.reason if isinstance(score, Invalid) else "not a number"
    return re.sub(r"\d+", "N", told)
