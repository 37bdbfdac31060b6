"""Language models as judges: which of two answers is better, and how good one is.

q = p(A) / (p(A) + p(B)) from the log-probabilities of the whole options (Bai et al. 2022, 2.2 of
constitutional AI); a grade is its mean over the probabilities of all grades (Liu et al. 2023,
G-Eval, eq. 1); or either is read out of what the judge writes (Zheng et al. 2023, MT-Bench).
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from accord.engine.draw import Sampling
from accord.engine.llm import LLM, Ask, Spoken, thought
from accord.records import Conversation, Invalid, Rollout
from accord.rewards.base import Score, weighed
from accord.rewards.duel import Duel
from accord.rewards.judge import verdict, wording
from accord.rewards.judge.card import Judging, judging, listened
from accord.rewards.reader import Reader, Said

T = TypeVar("T")
Read = Callable[[str], Score]


class Opinion:
    """One who is asked, by a card."""

    def __init__(self, llm: LLM, card: Judging):
        self.llm, self.card = llm, card.fits()

    @property
    def which(self) -> str:
        """Who judges, and all that decides the verdict."""
        return f"judge {self.llm.which} {self.card.name}"

    def chosen(
        self, asked: Sequence[Conversation], opened: str, options: Sequence[str]
    ) -> list[tuple[float, ...] | Invalid]:
        """The probability of each option among all, for each question; after a chain of thought
        where the card says so.
        """
        if not self.card.think:
            asks = [Ask(one, opened, self.card.seed) for one in asked]
            return [*map(_odds, self.llm.weigh(asks, [options] * len(asks)) if asks else [])]
        card = self.card

        def then(place: int, chain: str) -> Ask:
            opened = f"{wording.THINK}{chain}{wording.CONCLUDE}"
            return Ask(asked[place // card.n], opened, card.seed)

        how = Sampling(card.temperature)
        asks = self._asks(asked, wording.THINK)
        found = thought(self.llm, asks, options, then, longest=card.longest, how=how)
        return [_mean(few) for few in _by([*map(_odds, found)], card.n)]

    def read(self, asked: Sequence[Conversation], by: Read, form: str = "") -> list[Score]:
        """What is read out of what it writes: of several, the mean of those that can be read."""
        said = self.written(asked, "", form)
        given = [one if isinstance(one, Invalid) else by(one.text) for one in said]
        return [_average(few) for few in _by(given, self.card.n)]

    def written(
        self, asked: Sequence[Conversation], opened: str = "", form: str = ""
    ) -> list[Spoken | Invalid]:
        """n texts to each question, side by side; `form` is what a server is to hold them to."""
        card, asks = self.card, self._asks(asked, opened, form)
        return self.llm.say(asks, longest=card.longest, how=Sampling(card.temperature))

    def _asks(self, asked: Sequence[Conversation], opened: str, form: str = "") -> list[Ask]:
        """n of each question, with dice of their own."""
        n, seed = self.card.n, self.card.seed
        return [Ask(one, opened, seed * n + k, form) for one in asked for k in range(n)]


class LLMJudge(Opinion):
    """Which of two answers is better, as they are shown.  Whoever asks shows both orders."""

    def __call__(self, duels: Sequence[Duel]) -> list[Score]:
        """The probability that the first is better, for each."""
        how, counts = self.card.verdict, self.card.counts
        asked = [
            wording.seen(wording.two(d.prompt, d.first, d.second, counts, how, d.reference), d.talk)
            for d in duels
        ]
        if how == "odds":
            odds = self.chosen(asked, wording.OPENED["pair"], wording.PAIR)
            return [one if isinstance(one, Invalid) else one[0] for one in odds]
        form = wording.form("pair", self.card.response_format)
        return self.read(asked, verdict.parsed if how == "text" else verdict.better, form)


class Grader(Opinion):
    """How good one answer is: a `Reward`.  A grade from 1 to `most`, or the weights of all criteria
    that are met, as a share of those above 0.
    """

    def __init__(self, llm: LLM, card: Judging, reader: Reader):
        super().__init__(llm, card)
        self.reader = reader
        self._criteria = [weighed(word) for word in card.criteria]

    def __call__(self, rollouts: Sequence[Rollout]) -> list[Score]:
        """One score per rollout."""
        said = self.reader(rollouts)
        return self._met(said) if self.card.criteria else self._graded(said)

    def _graded(self, said: Sequence[Said]) -> list[Score]:
        card, most = self.card, self.card.most
        asked = [
            wording.seen(wording.grade(s.prompt, s.answer, card.counts, card.verdict, most), s.talk)
            for s in said
        ]
        if card.verdict == "odds":
            options = [f" {n}" for n in range(1, most + 1)]
            odds = self.chosen(asked, wording.OPENED["grade"], options)
            return [
                one if isinstance(one, Invalid) else sum(n * p for n, p in enumerate(one, 1))
                for one in odds
            ]
        by = verdict.graded if card.verdict == "text" else verdict.rated
        form = wording.form("grade", card.response_format, most)
        return self.read(asked, lambda text: by(text, most), form)

    def _met(self, said: Sequence[Said]) -> list[Score]:
        card = self.card
        asked = [
            wording.seen(wording.yes(one.prompt, one.answer, question, card.verdict), one.talk)
            for one in said
            for _, question in self._criteria
        ]
        given: list[Score]
        if card.verdict == "odds":
            odds = self.chosen(asked, wording.OPENED["yes"], wording.YES)
            given = [one if isinstance(one, Invalid) else one[0] for one in odds]
        else:
            by = verdict.decided if card.verdict == "text" else verdict.answered
            given = self.read(asked, by, wording.form("yes", card.response_format))
        return [self._sum(few) for few in _by(given, len(card.criteria))]

    def _sum(self, few: Sequence[Score]) -> Score:
        total = 0.0
        for (weight, question), given in zip(self._criteria, few, strict=True):
            if isinstance(given, Invalid):
                return Invalid(f"{question!r}: {given.reason}")
            total += weight * given
        return total / (sum(max(0.0, weight) for weight, _ in self._criteria) or 1.0)


def opinion(word: str, keep: Path | None, tell: Callable[[str], None] = lambda _: None) -> Opinion:
    """One who is asked in words that are not its card's: a benchmark's."""
    card = judging(word)
    return Opinion(listened(card, keep, tell), card)


def pair_judge(
    word: str, keep: Path | None, tell: Callable[[str], None] = lambda _: None
) -> LLMJudge:
    """The judge of two answers that a word names: a card (YAML), a model or a server."""
    card = judging(word)
    return LLMJudge(listened(card, keep, tell), card)


def grader(
    word: str, reader: Reader, keep: Path | None, tell: Callable[[str], None] = lambda _: None
) -> Grader:
    """The reward that a card names."""
    card = judging(word)
    return Grader(listened(card, keep, tell), card, reader)


def _odds(logp: tuple[float, ...] | Invalid) -> tuple[float, ...] | Invalid:
    """Each option's probability among all."""
    if isinstance(logp, Invalid):
        return logp
    top = max(logp)
    if not math.isfinite(top):
        return Invalid(f"no option has a probability: {list(logp)}")
    odds = [math.exp(one - top) for one in logp]
    return tuple(one / sum(odds) for one in odds)


def _mean(few: Sequence[tuple[float, ...] | Invalid]) -> tuple[float, ...] | Invalid:
    good = [one for one in few if not isinstance(one, Invalid)]
    return tuple(map(fmean, zip(*good, strict=True))) if good else few[0]


def _average(few: Sequence[Score]) -> Score:
    good = [one for one in few if not isinstance(one, Invalid)]
    return fmean(good) if good else few[0]


def _by(flat: Sequence[T], n: int) -> list[Sequence[T]]:
    return [flat[at : at + n] for at in range(0, len(flat), n)]
