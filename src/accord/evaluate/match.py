"""Whose answers are better, and how sure that is: by scores, or by a judge who sees both."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from accord.errors import BadData
from accord.evaluate.winrate import FEW, number
from accord.maths.intervals import Estimate, bootstrap, estimate, proportion, wilson
from accord.records import Conversation, Invalid
from accord.rewards.base import Score
from accord.rewards.duel import Duel, PairJudge, both_ways

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
        return _judged([self.points[place] for place in prompts], said, seed)


def by_judge(
    prompts: Sequence[str],
    before: Sequence[Sequence[str]],
    after: Sequence[Sequence[str]],
    judge: PairJudge,
    *,
    references: Sequence[str] = (),
    talks: Sequence[Conversation] = (),
    seed: int = 0,
) -> Judged:
    """Each pair is shown twice, in either order; where the two verdicts differ, it is a tie (Zheng
    et al. 2023, section 3.4).  A pair of which either verdict cannot be read is invalid.

    Identical answers are a tie without asking.  `references` are right answers to each prompt, for
    the judge alone; `talks` are the prompts message by message, with their pictures and facts.
    """
    asked: dict[tuple[int, int], Duel] = {}
    points: list[list[Score]] = [[0.5] * len(few) for few in after]
    for i, (prompt, olds, news) in enumerate(zip(prompts, before, after, strict=True)):
        for k, (old, new) in enumerate(zip(olds, news, strict=True)):
            if old != new:
                right = references[i] if references else ""
                talk = talks[i] if talks else ()
                asked[i, k] = Duel(prompt, old, new, right, talk)
    said = dict(zip(asked, both_ways(judge, [*asked.values()], seed=seed), strict=True))
    for (i, k), few in said.items():
        points[i][k] = _both(*few)
    return _judged(points, said, seed)


def _judged(points: Many, said: Mapping[tuple[int, int], tuple[Score, Score]], seed: int) -> Judged:
    sides = _sides([*said.values()])
    return Judged(rated(points, seed=seed), _first(sides), _steady(sides), points, said)


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


def _sides(said: Sequence[tuple[Score, Score]]) -> list[tuple[int, int]]:
    """Of the pairs that were judged both ways: they are one witness, not two."""
    pairs = [(number(a), number(b)) for a, b in said]
    return [(_side(a), _side(b)) for a, b in pairs if a is not None and b is not None]


def _first(sides: Sequence[tuple[int, int]]) -> Estimate | None:
    return estimate([(2 + a + b) / 4 for a, b in sides]) if sides else None


def _steady(sides: Sequence[tuple[int, int]]) -> Estimate | None:
    same = [a == -b for a, b in sides]
    return proportion(sum(same), len(same)) if same else None


def _lost(points: Many) -> list[Score]:
    return [p for few in points for p in few if number(p) is None]
