"""How far a judge can be trusted: agreement with people, and its habits where it has some.

Each pair is shown both ways, q = (q_AB + 1 - q_BA) / 2.  All intervals are 95 %, by a bootstrap
over prompts (Efron 1979): pairs of one prompt are no independent witnesses.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from accord.errors import BadData
from accord.maths import agreement
from accord.maths.agreement import calibrated, kappa
from accord.maths.feedback import by_place, unswapped
from accord.maths.intervals import Estimate, estimate, redrawn
from accord.records import Comparison, Conversation, Invalid
from accord.rewards.duel import Duel, PairJudge, both_ways, probability

Render = Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Case:
    """Two answers to one prompt that somebody has judged."""

    prompt: str
    first: str
    second: str
    side: int
    """what people said: 1 the first, -1 the second, 0 neither"""
    id: str = ""
    talk: Conversation = ()
    """the prompt message by message, with its pictures"""

    @property
    def key(self) -> tuple[str, Conversation, frozenset[str]]:
        """The pair, whichever way round it stands."""
        return self.prompt, self.talk, frozenset((self.first, self.second))

    @property
    def duel(self) -> Duel:
        """As it is put to a judge."""
        return Duel(self.prompt, self.first, self.second, talk=self.talk)


@dataclass(frozen=True, slots=True)
class Seen:
    """A case, and what the judge made of it."""

    case: Case
    q: float
    """the probability that the first is better, both ways round together"""
    lean: float
    """how much likelier it found whatever was shown first: 0 is even-handed"""

    @property
    def side(self) -> int:
        """Its verdict."""
        return _side(self.q)


@dataclass(frozen=True)
class Hygiene:
    """What was found; None where nothing could be measured."""

    seen: Sequence[Seen]
    invalid: Mapping[str, int]
    """why pairs could not be judged, and how often"""
    agrees: Estimate | None
    """share of the pairs that people decided in which it decides alike, a tie being half"""
    kappa: Estimate | None
    """Cohen's κ with people, ties as a verdict of their own"""
    people: float | None
    """how often two people said the same of one pair"""
    first: Estimate | None
    """how often what is shown first is preferred; ½ is even-handed"""
    steady: Estimate | None
    """share of pairs whose verdict holds when the two change places"""
    longer: Estimate | None
    """how often the longer answer is preferred"""
    longer_by_people: Estimate | None
    """how often people prefer it"""
    longer_more: Estimate | None
    """the judge's share less the people's, pair by pair"""
    same: Estimate | None
    """how often the first of two identical answers is preferred; ½ is even-handed"""
    own_more: Estimate | None
    """how much more often than people it prefers its own answers"""
    error: float | None
    """expected calibration error of max(q, 1 - q) (Guo et al. 2017, eq. 5)"""
    bins: Sequence[tuple[float, float, int]]
    """(mean confidence, share right, pairs) of each tenth that has some"""


def cases(rows: Sequence[Comparison], render: Render) -> list[Case]:
    """Every two answers of every row, with what was said of them."""
    return [
        Case(
            render(row.prompt),
            row.responses[i],
            row.responses[j],
            (row.ranks[i] < row.ranks[j]) - (row.ranks[i] > row.ranks[j]),
            row.id,
            row.prompt,
        )
        for row in rows
        for i in range(len(row.responses))
        for j in range(i)
        if row.responses[i] != row.responses[j]
    ]


def some(every: Sequence[Case], most: int, seed: int) -> list[Case]:
    """At most so many, by chance; each pair once, by whoever judged it first."""
    once = list({case.key: case for case in reversed(every)}.values())[::-1]
    if len(once) <= most:
        return once
    kept = sorted(random.Random(f"hygiene/{seed}").sample(range(len(once)), most))
    return [once[i] for i in kept]


def twins(few: Sequence[Case], most: int) -> list[Duel]:
    """Answers beside themselves."""
    alone = list(dict.fromkeys((case.prompt, case.first, case.talk) for case in few))[:most]
    return [Duel(prompt, answer, answer, talk=talk) for prompt, answer, talk in alone]


def examined(
    judge: PairJudge,
    every: Sequence[Case],
    few: Sequence[Case],
    *,
    same: int = 20,
    own: Collection[tuple[str, str]] = (),
    seed: int = 0,
) -> Hygiene:
    """The judge on these `few` pairs; `every` is what people said in all, for how far they agree.

    `own` are (prompt, answer) of the judge itself.  BadData where nothing could be judged.
    """
    duels = [case.duel for case in few]
    seen, lost = [], Counter[str]()
    for case, (one, other) in zip(few, both_ways(judge, duels, seed=seed), strict=True):
        if isinstance(one, Invalid) or isinstance(other, Invalid):
            lost[next(s.reason for s in (one, other) if isinstance(s, Invalid))] += 1
        else:
            seen.append(Seen(case, unswapped(one, other), 2 * by_place(one, other)))
    if not seen:
        told = f": {lost.most_common(1)[0][0]}" if lost else ""
        raise BadData(f"none of {len(few)} pairs could be judged{told}")
    alike = [p for p in map(probability, judge(twins(few, same))) if not isinstance(p, Invalid)]
    return _told(seen, lost, every, alike, own, seed)


def _told(
    seen: Sequence[Seen],
    lost: Counter[str],
    every: Sequence[Case],
    alike: Sequence[float],
    own: Collection[tuple[str, str]],
    seed: int,
) -> Hygiene:
    decided = [one for one in seen if one.case.side]
    unlike = [one for one in decided if len(one.case.first) != len(one.case.second)]
    more = [(one, _longer(one, one.side) - _longer(one, one.case.side)) for one in unlike]
    mine = [pair for one in decided if (pair := _own(one, own)) is not None]
    sure = [(max(one.q, 1 - one.q), _right(one)) for one in decided]
    error, bins = calibrated(sure, low=0.5) if sure else (None, [])
    return Hygiene(
        seen,
        dict(lost.most_common()),
        _mean([(one, _right(one)) for one in decided], seed),
        _kappa(seen, seed),
        _people(every),
        _mean([(one, (1 + _lean(one)) / 2) for one in seen], seed),
        _mean([(one, float(sum(_sides(one)) == 0)) for one in seen], seed),
        _mean([(one, _longer(one, one.side)) for one in unlike], seed),
        _mean([(one, _longer(one, one.case.side)) for one in unlike], seed),
        _mean(more, seed, share=False),
        estimate(alike, seed=seed) if alike else None,
        _mean(mine, seed, share=False),
        error,
        bins,
    )


def _side(p: float) -> int:
    return (p > 0.5) - (p < 0.5)


def _right(one: Seen) -> float:
    return (1 + one.side * one.case.side) / 2


def _lean(one: Seen) -> float:
    """-1 to 1: of the two ways round, how many more the one shown first won, halved."""
    return sum(_sides(one)) / 2


def _sides(one: Seen) -> tuple[int, int]:
    """For whom each way round is: 1 the one shown first, -1 the second, 0 neither."""
    return _side(one.q + one.lean / 2), _side(1 - one.q + one.lean / 2)


def _longer(one: Seen, side: int) -> float:
    """1 where the longer answer is preferred, ½ for a tie."""
    way = 1 if len(one.case.first) > len(one.case.second) else -1
    return (1 + side * way) / 2


def _own(one: Seen, own: Collection[tuple[str, str]]) -> tuple[Seen, float] | None:
    """How much more than people it likes its own answer, where just one of the two is."""
    first, second = (
        (one.case.prompt, text.strip()) in own for text in (one.case.first, one.case.second)
    )
    if first == second:
        return None
    way = 1 if first else -1
    return one, way * (one.side - one.case.side) / 2


def _by_prompt(rows: Sequence[tuple[Seen, float]]) -> list[list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for one, value in rows:
        found[one.case.prompt].append(value)
    return list(found.values())


def _mean(rows: Sequence[tuple[Seen, float]], seed: int, *, share: bool = True) -> Estimate | None:
    """Mean over prompts."""
    means = [fmean(few) for few in _by_prompt(rows)]
    return estimate(means, seed=seed, share=share) if means else None


def _kappa(seen: Sequence[Seen], seed: int) -> Estimate | None:
    """Both ways round count: no answer is the first by nature."""
    groups: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for one in seen:
        groups[one.case.prompt].append((one.case.side, one.side))

    def of(units: Mapping[tuple[tuple[int, int], ...], int]) -> float | None:
        pairs: Counter[tuple[int, int]] = Counter()
        for few, count in units.items():
            for a, b in few:
                pairs[a, b] += count
                pairs[-a, -b] += count
        return kappa(pairs)

    units = Counter(tuple(few) for few in groups.values())
    value, ends = of(units), redrawn(units, of, seed=seed)
    return None if value is None or ends is None else Estimate(value, *ends)


def _people(every: Sequence[Case]) -> float | None:
    """How often two people said the same of one pair."""
    said: dict[tuple[str, Conversation, frozenset[str]], list[int]] = defaultdict(list)
    for case in every:
        said[case.key].append(case.side if case.first <= case.second else -case.side)
    return agreement.alike(Counter(tuple(sorted(few)) for few in said.values() if len(few) > 1))
