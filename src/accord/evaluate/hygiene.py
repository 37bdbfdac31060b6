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
from accord.evaluate.winrate import number
from accord.maths.agreement import alike, kappa
from accord.maths.intervals import Estimate, bootstrap, quantile, wilson
from accord.records import Comparison, Invalid
from accord.rewards.base import Score
from accord.rewards.duel import Duel, PairJudge

BINS = 10
DRAWS = 500
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

    @property
    def key(self) -> tuple[str, frozenset[str]]:
        """The pair, whichever way round it stands."""
        return self.prompt, frozenset((self.first, self.second))


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


def shown(few: Sequence[Case], same: int) -> list[Duel]:
    """What a judge is asked: each pair both ways, then answers beside themselves."""
    alone = list(dict.fromkeys((case.prompt, case.first) for case in few))[:same]
    return [d for case in few for d in _both(case)] + [Duel(p, a, a) for p, a in alone]


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
    duels = shown(few, same)
    order = list(range(len(duels)))
    random.Random(f"duels/{seed}").shuffle(order)  # no judge sees the two ways side by side
    said: list[Score] = [Invalid("")] * len(duels)
    for at, verdict in zip(order, judge([duels[at] for at in order]), strict=True):
        p = number(verdict)
        sound = p is not None and 0 <= p <= 1
        said[at] = p if sound else _why(verdict)  # type: ignore[assignment]
    seen, lost = [], Counter[str]()
    for case, one, other in zip(few, said[0::2], said[1::2], strict=False):
        bad = next((s for s in (one, other) if isinstance(s, Invalid)), None)
        if bad is not None:
            lost[bad.reason] += 1
        else:
            seen.append(Seen(case, (one + 1 - other) / 2, one + other - 1))  # type: ignore[operator]
    if not seen:
        told = f": {lost.most_common(1)[0][0]}" if lost else ""
        raise BadData(f"none of {len(few)} pairs could be judged{told}")
    twins = [p for p in said[2 * len(few) :] if not isinstance(p, Invalid)]
    return _told(seen, lost, every, twins, own, seed)


def _told(
    seen: Sequence[Seen],
    lost: Counter[str],
    every: Sequence[Case],
    twins: Sequence[float],
    own: Collection[tuple[str, str]],
    seed: int,
) -> Hygiene:
    decided = [one for one in seen if one.case.side]
    unlike = [one for one in decided if len(one.case.first) != len(one.case.second)]
    mine = [pair for one in decided if (pair := _own(one, own)) is not None]
    error, bins = _calibrated(decided)
    return Hygiene(
        seen,
        dict(lost.most_common()),
        _mean([(one, _right(one)) for one in decided], seed),
        _kappa(seen, seed),
        _people(every),
        _mean([(one, (1 + _lean(one)) / 2) for one in seen], seed),
        _mean([(one, float(abs(one.lean) <= abs(2 * one.q - 1))) for one in seen], seed),
        _mean([(one, _longer(one, one.side)) for one in unlike], seed),
        _mean([(one, _longer(one, one.case.side)) for one in unlike], seed),
        _mean(
            [(one, _longer(one, one.side) - _longer(one, one.case.side)) for one in unlike], seed
        ),
        _estimate(twins, seed),
        _mean(mine, seed),
        error,
        bins,
    )


def _both(case: Case) -> tuple[Duel, Duel]:
    return (
        Duel(case.prompt, case.first, case.second),
        Duel(case.prompt, case.second, case.first),
    )


def _why(verdict: Score) -> Invalid:
    return verdict if isinstance(verdict, Invalid) else Invalid(f"{verdict} is no probability")


def _side(p: float) -> int:
    return (p > 0.5) - (p < 0.5)


def _right(one: Seen) -> float:
    return (1 + one.side * one.case.side) / 2


def _lean(one: Seen) -> float:
    """-1, 0 or 1: of the two ways round, how many more the one shown first won, halved."""
    ab, ba = one.q + one.lean / 2, 1 - one.q + one.lean / 2
    return (_side(ab) + _side(ba)) / 2


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


def _mean(rows: Sequence[tuple[Seen, float]], seed: int) -> Estimate | None:
    """Mean over prompts."""
    return _estimate([fmean(few) for few in _by_prompt(rows)], seed)


def _estimate(means: Sequence[float], seed: int) -> Estimate | None:
    """Of shares that are all alike Wilson's interval: no draw would tell how sure that is."""
    if not means:
        return None
    value = fmean(means)
    if len({*means}) == 1 and 0 <= value <= 1:
        return Estimate(value, *wilson(value, len(means)))
    return Estimate(value, *bootstrap(means, seed=seed))


def _kappa(seen: Sequence[Seen], seed: int) -> Estimate | None:
    """Both ways round count: no answer is the first by nature."""
    by_prompt: dict[str, list[Seen]] = defaultdict(list)
    for one in seen:
        by_prompt[one.case.prompt].append(one)
    groups = list(by_prompt.values())

    def of(drawn: Sequence[Sequence[Seen]]) -> float | None:
        pairs: Counter[tuple[int, int]] = Counter()
        for few in drawn:
            for one in few:
                pairs[one.case.side, one.side] += 1
                pairs[-one.case.side, -one.side] += 1
        return kappa(pairs)

    if (value := of(groups)) is None:
        return None
    rng = random.Random(f"kappa/{seed}")
    drawn = (of(rng.choices(groups, k=len(groups))) for _ in range(DRAWS))
    again = sorted(k for k in drawn if k is not None)
    return Estimate(value, quantile(again, 0.025), quantile(again, 0.975))


def _people(every: Sequence[Case]) -> float | None:
    """How often two people said the same of one pair."""
    said: dict[tuple[str, frozenset[str]], list[int]] = defaultdict(list)
    for case in every:
        said[case.key].append(case.side if case.first <= case.second else -case.side)
    return alike(Counter(tuple(sorted(few)) for few in said.values() if len(few) > 1))


def _calibrated(decided: Sequence[Seen]) -> tuple[float | None, list[tuple[float, float, int]]]:
    if not decided:
        return None, []
    bins: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for one in decided:
        sure = max(one.q, 1 - one.q)
        bins[min(BINS - 1, int((2 * sure - 1) * BINS))].append((sure, _right(one)))
    rows = [
        (fmean(sure for sure, _ in few), fmean(right for _, right in few), len(few))
        for _, few in sorted(bins.items())
    ]
    error = sum(n * abs(sure - right) for sure, right, n in rows) / len(decided)
    return error, rows
