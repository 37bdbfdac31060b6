"""Which of two answers keeps a principle better, by the log-probabilities of the options."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from accord.config import Settings
from accord.config.limits import Count, Share
from accord.data.constitution import Constitution, Question
from accord.data.principled import OPTIONS, Put, concluded, dice, to_choose, until
from accord.engine.draw import Sampling
from accord.engine.llm import LLM, Ask, thought
from accord.maths.feedback import by_place, clamped, preferred, unswapped
from accord.records import Conversation, Invalid

EVEN = 1e-9
"""a difference that is none"""
LEVELLED = 0.1
"""share of labels made even by their limits that is worth a warning"""


@dataclass(frozen=True)
class Thought:
    """A chain of thought before the choice; what comes of it is held near even (section 4.1)."""

    n: int = 1
    """chains for each question and order; their votes are averaged"""
    low: float = 0.4
    """no vote is below"""
    high: float = 0.6
    """and none above"""
    longest: int = 256
    """the most tokens of a chain"""
    temperature: float = 1.0
    """of chains; 0: the likeliest token each time, and n chains alike"""

    def __post_init__(self) -> None:
        if self.n < 1 or self.longest < 1 or self.temperature < 0:
            raise ValueError("n and longest must be 1 or more, temperature 0 or more")
        if not 0 <= self.low <= 0.5 <= self.high <= 1:
            raise ValueError("0 <= low <= 0.5 <= high <= 1")


class Feedback(Settings):
    """Labels of comparisons, by a model that reads principles."""

    principles: Count = 1
    """drawn for each pair, and their labels averaged; as many as there are, or more: all"""
    swap: bool = True
    """ask in both orders and average: what is preferred for its place alone falls out"""
    think: Thought | None = None
    """a chain of thought first; none: the option at once"""
    labels: Literal["soft", "hard"] = "soft"
    """hard: the likelier side as if it were certain, for comparison"""
    longest: Count = 256
    """the most tokens of an answer"""
    how: Sampling = Sampling()
    """how the two answers that are compared are drawn"""
    helpful: Share | None = None
    """share of people's comparisons among all that the preference model learns from, in which too
    many of either side are left out by chance; none: all of both"""


@dataclass(frozen=True, slots=True)
class Label:
    """What a model makes of one pair."""

    q: float
    """the probability that the first is better"""
    principles: tuple[str, ...]
    place: float | None
    """how much more likely it finds what is shown first; None where one order alone was asked"""
    seed: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt."""

    name: str
    """what dice are thrown by"""
    prompt: Conversation
    answers: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Vote:
    """One pair, one principle, one order."""

    pair: Pair
    by: Question
    swapped: bool
    seed: int

    def put(self, c: Constitution, think: bool) -> Put:
        """The question; its examples are the same in both orders."""
        one, two = self.pair.answers
        shown = (two, one) if self.swapped else (one, two)
        return to_choose(c, self.by, self.pair.prompt, shown, seed=self.seed, think=think)


def drawn(c: Constitution, n: int, seed: int, name: str) -> list[Question]:
    """n different principles, by chance, in the order in which they are written."""
    order = sorted(c.compare, key=lambda one: dice(seed, "compare", name, one.id))
    kept = {one.id for one in order[:n]}
    return [one for one in c.compare if one.id in kept]


def votes(cfg: Feedback, c: Constitution, pair: Pair, seed: int) -> list[Vote]:
    """All that is asked about one pair; the two orders of a principle side by side."""
    return [
        Vote(pair, by, swapped, dice(seed, "vote", pair.name, by.id))
        for by in drawn(c, cfg.principles, seed, pair.name)
        for swapped in ((False, True) if cfg.swap else (False,))
    ]


def asked(cfg: Feedback, c: Constitution, llm: LLM, every: Sequence[Vote]) -> list[float | Invalid]:
    """Of each vote: the probability of the answer that is shown first."""
    put = [vote.put(c, cfg.think is not None) for vote in every]
    if cfg.think is not None:
        return _thought(cfg.think, c, llm, every, put)
    asks = [Ask(*one, vote.seed) for one, vote in zip(put, every, strict=True)]
    return [_q(one) for one in llm.weigh(asks, [OPTIONS] * len(asks))]


def _thought(
    how: Thought, c: Constitution, llm: LLM, every: Sequence[Vote], put: Sequence[Put]
) -> list[float | Invalid]:
    """The mean over the chains of each vote, each within its limits."""
    asks = [
        Ask(*one, dice(vote.seed, "chain", k, vote.swapped))
        for one, vote in zip(put, every, strict=True)
        for k in range(how.n)
    ]

    def then(place: int, text: str) -> Ask:
        return Ask(*concluded(put[place // how.n], text), asks[place].seed)

    def read(text: str) -> str:
        return until(c, text)[0].strip()

    way = Sampling(how.temperature)
    weighed = thought(llm, asks, OPTIONS, then, longest=how.longest, how=way, read=read)
    told: list[float | Invalid] = [
        q if isinstance(q, Invalid) else clamped(q, how.low, how.high) for q in map(_q, weighed)
    ]
    return [_mean(told[i : i + how.n]) for i in range(0, len(told), how.n)]


def labelled(
    cfg: Feedback, every: Sequence[Vote], told: Sequence[float | Invalid]
) -> Label | Invalid:
    """One pair's votes as its label: the mean over the principles that could be asked."""
    step, rows, why = 2 if cfg.swap else 1, [], Invalid("no principle to compare by")
    places = []
    for n in range(0, len(every), step):
        few = [one for one in told[n : n + step] if not isinstance(one, Invalid)]
        if len(few) < step:
            why = next(one for one in told[n : n + step] if isinstance(one, Invalid))
            continue
        rows.append((every[n].by.id, unswapped(few[0], few[1]) if cfg.swap else few[0]))
        places += [by_place(few[0], few[1])] if cfg.swap else []
    if not rows:
        return why
    q = sum(one for _, one in rows) / len(rows)
    if cfg.labels == "hard":
        q = 0.5 if q == 0.5 else float(q > 0.5)
    place = sum(places) / len(places) if places else None
    return Label(q, tuple(one for one, _ in rows), place, every[0].seed)


def levelled(cfg: Feedback, labels: Sequence[Label]) -> str:
    """What the limits of a vote cost with a judge who leans; empty where that is little.

    Where both orders end at the same limit, their mean is even whatever the answers are.
    """
    if cfg.think is None or not cfg.swap:
        return ""
    ends = [end - 0.5 for end in (cfg.think.low, cfg.think.high) if end != 0.5]
    places = [one.place for one in labels if one.place is not None]
    lost = sum(any(abs(place - end) < EVEN for end in ends) for place in places)
    if lost <= LEVELLED * len(labels):
        return ""
    return (
        f"{lost} of {len(labels)} labels are even because both orders were held at the same limit: "
        "the judge leans to a place by more than compare.think.low and compare.think.high let it "
        "say of the answers; widen these, or compare.think=none"
    )


def _q(weighed: tuple[float, ...] | Invalid) -> float | Invalid:
    if isinstance(weighed, Invalid):
        return weighed
    try:
        return preferred(*weighed)
    except ValueError as error:
        return Invalid(str(error))


def _mean(few: Sequence[float | Invalid]) -> float | Invalid:
    """Of those that could be asked; Invalid where none could."""
    good = [one for one in few if not isinstance(one, Invalid)]
    return sum(good) / len(good) if good else few[0]
