"""Multiple choice by the log-probabilities of whole options: no text has to be read.

Right is an option that is the likeliest as the continuation (Askell et al. 2021, HHH); of options
equally likely each counts its share.  Normalised, log p is divided by the option's bytes, so that a
long one is not less likely for being long (Gao et al., lm-evaluation-harness, acc_norm).
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from accord.data.choices import LETTERS, Choice
from accord.engine.llm import LLM, Ask
from accord.errors import BadData
from accord.maths.agreement import calibrated, mcnemar
from accord.maths.intervals import Estimate, estimate
from accord.records import Invalid, ask

Form = Literal["texts", "letters"]


@dataclass(frozen=True)
class Put:
    """How questions are put."""

    form: Form = "texts"
    """texts: each option's own words follow the question; letters: the options are listed, and a
    letter follows.  A file whose options are letters already is put as it stands"""
    opened: str = ""
    """what the answer is opened with; letters have "The answer is:" where nothing is said"""
    between: str = " "
    """what stands before an option that begins with no space"""


@dataclass(frozen=True, slots=True)
class Answered:
    """One question, and how likely each of its options is."""

    choice: Choice
    logp: tuple[float, ...]
    """nats, of each option as a whole"""
    sizes: tuple[int, ...]
    """bytes of each option as it was scored"""
    placed: bool
    """options are letters, each in its place"""

    def hit(self, normalised: bool = False) -> float:
        """1 where a right option is the likeliest; of equals, the share that is right."""
        best = self.best(normalised)
        return len(best & self.choice.right) / len(best)

    def best(self, normalised: bool = False) -> frozenset[int]:
        """The likeliest options: one, or several where equal."""
        given = self.scores(normalised)
        return frozenset(k for k, score in enumerate(given) if score == max(given))

    def scores(self, normalised: bool) -> list[float]:
        """log p of each, or log p per byte."""
        if not normalised:
            return list(self.logp)
        return [logp / size for logp, size in zip(self.logp, self.sizes, strict=True)]

    @property
    def odds(self) -> list[float]:
        """The probability of each option among all."""
        top = max(self.logp)
        raw = [math.exp(one - top) for one in self.logp]
        return [one / sum(raw) for one in raw]


@dataclass(frozen=True)
class Group:
    """All questions, or those of one kind."""

    name: str
    questions: int
    accuracy: Estimate
    normalised: Estimate
    """accuracy by log p per byte"""
    right: Estimate
    """mean probability of the right options among all"""
    chance: float
    """accuracy of guessing"""


@dataclass(frozen=True)
class Paired:
    """A model beside another, question by question."""

    questions: int
    """that both could be asked"""
    change: Estimate
    """accuracy less the other's"""
    only: int
    """questions that it alone answers rightly"""
    only_other: int
    p: float
    """McNemar's exact test: how likely so uneven a split is by chance"""


@dataclass(frozen=True)
class Chosen:
    """What was found."""

    groups: Sequence[Group]
    """all questions first, then each kind where there are several"""
    ties: int
    """questions of which two options or more are equally likely"""
    lost: Mapping[str, int]
    """why questions could not be asked, and how often: they count nowhere"""
    error: float
    """expected calibration error of the likeliest option (Guo et al. 2017, eq. 5)"""
    bins: Sequence[tuple[float, float, int]]
    """(mean certainty, share right, questions) of each tenth that has some"""
    places: Sequence[tuple[float, float]]
    """of each place in which a letter stands: how often it is chosen, and how often it is right;
    none where options are texts
    """
    rows: Sequence[Answered | Invalid]
    """of each question of the file"""


def put(choice: Choice, how: Put) -> tuple[Ask, tuple[str, ...]]:
    """What is asked, and what may follow."""
    if choice.lettered:
        options, prompt, opened = choice.options, choice.prompt, how.opened
    elif how.form == "letters":
        if len(choice.options) > len(LETTERS):
            raise BadData(f"{choice.id}: {len(choice.options)} options, and 26 letters: form=texts")
        names = LETTERS[: len(choice.options)]
        listed = "".join(
            f"\n ({name}) {option.strip()}"
            for name, option in zip(names, choice.options, strict=True)
        )
        prompt = f"{choice.prompt.rstrip()}\n\nOptions:{listed}\n\n"
        options = tuple(f"({name})" for name in names)
        opened = how.opened or "The answer is:"
    else:
        prompt, opened, options = choice.prompt, how.opened, choice.options
    spaced = tuple(text if text[0].isspace() else how.between + text for text in options)
    if (opened or prompt)[-1].isspace():  # one space is enough
        spaced = tuple(text.removeprefix(" ") for text in spaced)
    return Ask(ask(prompt), opened), spaced


def answered(llm: LLM, choices: Sequence[Choice], how: Put = Put()) -> list[Answered | Invalid]:
    """Every question put to a model; Invalid where it could not be asked."""
    asks = [put(one, how) for one in choices]
    given = llm.weigh([one for one, _ in asks], [options for _, options in asks])
    found: list[Answered | Invalid] = []
    for one, logp, (_, options) in zip(choices, given, asks, strict=True):
        if isinstance(logp, Invalid):
            found.append(logp)
        elif not all(map(math.isfinite, logp)):
            found.append(Invalid(f"log p of its options is {list(logp)}"))
        else:
            sizes = tuple(len(option.encode()) for option in options)
            placed = one.lettered or how.form == "letters"
            found.append(Answered(one, tuple(logp), sizes, placed))
    return found


def chosen(
    rows: Sequence[Answered | Invalid], *, normalised: bool = False, seed: int = 0
) -> Chosen:
    """The measures; BadData where no question could be asked.  `normalised` says by what ties,
    certainty and places are told: both accuracies are there anyway.
    """
    good = [row for row in rows if isinstance(row, Answered)]
    lost = Counter(re.sub(r"\d+", "N", row.reason) for row in rows if isinstance(row, Invalid))
    if not good:
        raise BadData(f"none of {len(rows)} questions could be asked: {next(iter(lost), 'none')}")
    kinds: dict[str, list[Answered]] = defaultdict(list)
    for row in good:
        kinds[row.choice.kind].append(row)
    groups = [_group("all", good, seed)]
    if len(kinds) > 1:
        groups += [_group(name or "(none)", few, seed) for name, few in sorted(kinds.items())]
    error, bins = calibrated([_certain(row, normalised) for row in good])
    ties = sum(len(row.best(normalised)) > 1 for row in good)
    return Chosen(
        groups, ties, dict(lost.most_common()), error, bins, _places(good, normalised), rows
    )


def paired(
    rows: Sequence[Answered | Invalid],
    other: Sequence[Answered | Invalid],
    *,
    normalised: bool = False,
    seed: int = 0,
) -> Paired:
    """One model less another on the questions that both were asked."""
    both = [
        (a.hit(normalised), b.hit(normalised))
        for a, b in zip(rows, other, strict=True)
        if isinstance(a, Answered) and isinstance(b, Answered)
    ]
    if not both:
        raise BadData("there is no question that both models could be asked")
    only, only_other = sum(a > b for a, b in both), sum(a < b for a, b in both)
    change = estimate([a - b for a, b in both], seed=seed, share=False)
    return Paired(len(both), change, only, only_other, mcnemar(only, only_other))


def _group(name: str, few: Sequence[Answered], seed: int) -> Group:
    return Group(
        name,
        len(few),
        estimate([row.hit() for row in few], seed=seed),
        estimate([row.hit(normalised=True) for row in few], seed=seed),
        estimate([sum(row.odds[k] for k in row.choice.right) for row in few], seed=seed),
        fmean(len(row.choice.right) / len(row.choice.options) for row in few),
    )


def _certain(row: Answered, normalised: bool) -> tuple[float, float]:
    """The probability of the option that is chosen, and whether it is right."""
    return row.odds[min(row.best(normalised))], row.hit(normalised)


def _places(good: Sequence[Answered], normalised: bool) -> list[tuple[float, float]]:
    few = [row for row in good if row.placed]
    most = max((len(row.choice.options) for row in few), default=0)
    return [
        (
            fmean((k in row.best(normalised)) / len(row.best(normalised)) for row in few),
            fmean((k in row.choice.right) / len(row.choice.right) for row in few),
        )
        for k in range(most)
    ]
