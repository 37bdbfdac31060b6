"""Whose answers are better, and how sure that is: by scores, or by a judge who sees both."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from accord.errors import BadData
from accord.evaluate.winrate import FEW, number
from accord.maths.intervals import Estimate, bootstrap, proportion, wilson
from accord.records import Invalid
from accord.rewards.base import Score
from accord.rewards.duel import Duel, PairJudge

Many = Sequence[Sequence[Score]]
"""scores of all answers to each prompt, prompt by prompt"""


@dataclass(frozen=True, slots=True)
class Rate:
    """How often the second of two answers to the same prompt is the better one."""

    prompts: int
    """with at least one pair that was judged"""
    wins: int
    ties: int
    losses: int
    invalid: int
    """pairs that could not be judged; they count for nobody"""
    rate: float
    """mean over prompts of the share of wins, a tie being half a win"""
    wilson: tuple[float, float]
    """95 % by Wilson 1927, of as many throws as prompts: too wide where there are ties"""
    drawn: tuple[float, float]
    """95 % by a bootstrap over prompts (Efron 1979): too narrow where prompts are few"""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """why pairs could not be judged, the most frequent first"""

    @property
    def pairs(self) -> int:
        """Pairs that were judged."""
        return self.wins + self.ties + self.losses

    @property
    def interval(self) -> tuple[float, float]:
        """The one to quote: Wilson's where prompts are few or nothing but wins or losses came out,
        else the bootstrap's.
        """
        alike = self.drawn[0] == self.drawn[1]
        plain = self.prompts == self.pairs and not self.ties
        return self.wilson if self.prompts < FEW or alike or plain else self.drawn

    @property
    def low(self) -> float:
        """Of the interval to quote."""
        return self.interval[0]

    @property
    def high(self) -> float:
        """Of the interval to quote."""
        return self.interval[1]


def rated(points: Many, *, seed: int = 0) -> Rate:
    """1 where the second won, 0 where it lost, ½ for a tie, Invalid where nobody knows.

    Prompts, not answers, are drawn again: answers to one prompt are no independent witnesses.
    BadData where nothing was judged.
    """
    valid = [[p for p in map(number, few) if p is not None] for few in points]
    why = Counter(p.reason if isinstance(p, Invalid) else "not a number" for p in _lost(points))
    means = [fmean(few) for few in valid if few]
    if not means:
        said = f": {why.most_common(1)[0][0]}" if why else ""
        raise BadData(f"none of {len(points)} prompts has a pair that could be judged{said}")
    every = [p for few in valid for p in few]
    wins, losses = every.count(1.0), every.count(0.0)
    rate = fmean(means)
    return Rate(
        prompts=len(means),
        wins=wins,
        ties=len(every) - wins - losses,
        losses=losses,
        invalid=sum(why.values()),
        rate=rate,
        wilson=wilson(rate, len(means)),
        drawn=bootstrap(means, seed=seed),
        reasons=dict(why.most_common()),
    )


def by_score(before: Many, after: Many, *, margin: float = 0.0, seed: int = 0) -> Rate:
    """Answer k against answer k of each prompt; no more than `margin` apart is a tie."""
    return rated(pointed(before, after, margin=margin), seed=seed)


def pointed(before: Many, after: Many, *, margin: float = 0.0) -> list[list[Score]]:
    """What `by_score` makes of each pair: 1 where the second won, 0 where it lost, ½ for a tie."""
    if [len(few) for few in before] != [len(few) for few in after]:
        raise BadData(
            "there are not as many answers on either side, prompt by prompt; score the same number"
        )
    points: list[list[Score]] = []
    for olds, news in zip(before, after, strict=True):
        points.append([])
        for old, new in zip(olds, news, strict=True):
            a, b = number(old), number(new)
            if a is None or b is None:
                bad = next(s for s, x in ((old, a), (new, b)) if x is None)
                points[-1].append(bad if isinstance(bad, Invalid) else Invalid("not a number"))
            else:
                points[-1].append(0.5 if abs(b - a) <= margin else float(b > a))
    return points


# --- a judge who sees both ---


@dataclass(frozen=True, slots=True)
class Judged:
    """What a judge made of two sets of answers, each pair shown both ways."""

    rate: Rate
    first: Estimate | None
    """how often the first shown was preferred, a tie being half: ½ where place plays no part"""
    steady: Estimate | None
    """share of pairs that came out alike both ways"""
    points: Many = ()
    """of each pair, as in `rated`"""
    said: Mapping[tuple[int, int], tuple[Score, Score]] = field(default_factory=dict)
    """(prompt, which of its pairs) -> the verdicts, the old shown first, then second"""

    def of(self, prompts: Sequence[int], *, seed: int = 0) -> "Judged":
        """The same of some prompts alone; BadData where none of them was judged."""
        places = {place: at for at, place in enumerate(prompts)}
        said = {(places[i], k): few for (i, k), few in self.said.items() if i in places}
        flat = [one for few in said.values() for one in few]
        points = [self.points[place] for place in prompts]
        return Judged(rated(points, seed=seed), _first(flat), _steady(flat), points, said)


def by_judge(
    prompts: Sequence[str],
    before: Sequence[Sequence[str]],
    after: Sequence[Sequence[str]],
    judge: PairJudge,
    *,
    references: Sequence[str] = (),
    seed: int = 0,
) -> Judged:
    """Each pair is shown twice, in either order; where the two verdicts differ, it is a tie (Zheng
    et al. 2023, section 3.4).  A pair of which either verdict cannot be read is invalid.

    Identical answers are a tie without asking.  `references` are right answers to each prompt, for
    the judge alone.
    """
    asked, places = [], []
    points: list[list[Score]] = [[0.5] * len(few) for few in after]
    for i, (prompt, olds, news) in enumerate(zip(prompts, before, after, strict=True)):
        for k, (old, new) in enumerate(zip(olds, news, strict=True)):
            if old != new:
                right = references[i] if references else ""
                asked += [Duel(prompt, old, new, right), Duel(prompt, new, old, right)]
                places.append((i, k))
    order = list(range(len(asked)))
    random.Random(f"duels/{seed}").shuffle(order)  # no judge sees the two ways side by side
    said: list[Score] = [Invalid("")] * len(asked)
    given = judge([asked[at] for at in order]) if asked else []
    if len(given) != len(asked):
        raise BadData(f"the judge gave {len(given)} verdicts on {len(asked)} pairs of answers")
    for at, verdict in zip(order, given, strict=True):
        said[at] = _share(verdict)
    for n, (i, k) in enumerate(places):
        points[i][k] = _both(said[2 * n], said[2 * n + 1])
    both = {place: (said[2 * n], said[2 * n + 1]) for n, place in enumerate(places)}
    return Judged(rated(points, seed=seed), _first(said), _steady(said), points, both)


def _share(verdict: Score) -> Score:
    p = number(verdict)
    if p is None:
        return verdict if isinstance(verdict, Invalid) else Invalid("not a number")
    return p if 0 <= p <= 1 else Invalid(f"{p:g} is no probability")


def _both(one: Score, other: Score) -> Score:
    """The point of the new answer, which was shown second, then first."""
    if isinstance(one, Invalid):
        return one
    if isinstance(other, Invalid):
        return other
    sides = {-_side(one), _side(other)}
    return 0.5 if len(sides) > 1 else (1 + sides.pop()) / 2


def _side(p: float) -> int:
    """1 for the first, -1 for the second, 0 for neither."""
    return (p > 0.5) - (p < 0.5)


def _sides(said: Sequence[Score]) -> list[tuple[int, int]]:
    """Of the pairs that were judged both ways: they are one witness, not two."""
    pairs = [(number(a), number(b)) for a, b in zip(said[::2], said[1::2], strict=True)]
    return [(_side(a), _side(b)) for a, b in pairs if a is not None and b is not None]


def _first(said: Sequence[Score]) -> Estimate | None:
    means = [(2 + a + b) / 4 for a, b in _sides(said)]
    if not means:
        return None
    rate = fmean(means)
    alike = len(set(means)) == 1  # equal numbers drawn again say nothing of their spread
    return Estimate(rate, *(wilson(rate, len(means)) if alike else bootstrap(means)))


def _steady(said: Sequence[Score]) -> Estimate | None:
    same = [a == -b for a, b in _sides(said)]
    return proportion(sum(same), len(same)) if same else None


def _lost(points: Many) -> list[Score]:
    return [p for few in points for p in few if number(p) is None]
