"""How texts look, whatever they say: length, ends, variety, repetition."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from accord.evaluate.outcome import words
from accord.maths.ngrams import commonest, distinct, longest_run, repetition

RUN = 4
"""times in a row from which a phrase is a loop"""
SHARED = 4
"""words of a phrase that several answers share"""


@dataclass(frozen=True, slots=True)
class Style:
    """A set of answers; what cannot be measured is None."""

    answers: int
    ended: float
    """share that ended themselves; the others were cut at the limit"""
    empty: float
    """share without a word"""
    length: float
    """tokens, the mean, an end included"""
    length_median: float
    distinct_1: float | None
    """different words over all words, of all answers together"""
    distinct_2: float | None
    distinct_3: float | None
    repetition: float | None
    """share of an answer's runs of four words that it has said before, the mean (seq-rep-4)"""
    looping: float
    """share of answers in which a phrase stands four times or more in a row"""
    shared: float | None
    """share of answers that hold the phrase of four words that most of them hold"""
    phrase: str
    """that phrase"""


def style(texts: Sequence[str], ended: Sequence[bool], lengths: Sequence[int]) -> Style:
    """Of all answers of one policy; lengths in tokens."""
    spoken = [words(text) for text in texts]
    again = [r for few in spoken if (r := repetition(few)) is not None]
    most = commonest(spoken, SHARED)
    return Style(
        answers=len(texts),
        ended=fmean(ended),
        empty=fmean(not few for few in spoken),
        length=fmean(lengths),
        length_median=float(median(lengths)),
        distinct_1=distinct(spoken, 1),
        distinct_2=distinct(spoken, 2),
        distinct_3=distinct(spoken, 3),
        repetition=fmean(again) if again else None,
        looping=fmean(longest_run(few) >= RUN for few in spoken),
        shared=most[1] if most else None,
        phrase=" ".join(most[0]) if most else "",
    )


def variety(
    before: Sequence[str], after: Sequence[str], n: int = 2
) -> tuple[float | None, float | None]:
    """distinct-n of two sets on as many words of the one as of the other, pair by pair: longer
    texts repeat more.
    """
    sides: tuple[list[list[str]], list[list[str]]] = [], []
    for pair in zip(before, after, strict=True):
        spoken = [words(text) for text in pair]
        least = min(map(len, spoken))
        for side, said in zip(sides, spoken, strict=True):
            side.append(said[:least])
    return distinct(sides[0], n), distinct(sides[1], n)
