"""Several judgements of one item as records: every one, the majority's, or a soft label."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from accord.records import Comparison, Conversation, Rating
from accord.store.judgements.verdicts import dense

Ties = Literal["drop", "half", "keep"]
Labels = Literal["majority", "soft", "every"]


@dataclass(frozen=True)
class Asked:
    """What an item shows, in its own order."""

    id: int
    prompt_id: int
    prompt: Conversation
    texts: tuple[str, ...]
    models: tuple[str, ...]
    gold: bool


@dataclass(frozen=True)
class Ballot:
    """One judgement of an item, on the whole or on one axis."""

    judgement_id: int
    who: str
    ranks: tuple[int, ...] = ()
    both_bad: bool = False
    strength: int | None = None
    soft: float | None = None
    why: str = ""
    axis: str = ""

    @property
    def p_first(self) -> float:
        """The probability it gives to the first of two answers."""
        if self.soft is not None:
            return self.soft
        return self.hard

    @property
    def hard(self) -> float:
        """1 where it prefers the first of two, 0 where the second, a tie being half."""
        first, second = self.ranks
        return 0.5 if first == second else float(first < second)


@dataclass
class Made:
    """Records, and what became of the rest."""

    comparisons: list[Comparison]
    ratings: list[Rating]
    told: Counter[str]
    used: set[int]
    """judgements that are in a record"""


def merge(asked: Asked, few: Sequence[Ballot], labels: Labels, ties: Ties, made: Made) -> None:
    """The ballots of one item, all on the same axis, as records in `made`."""
    if labels == "every":
        for one in few:
            if one.both_bad:
                _bad(asked, [one], f"item-{asked.id}/{one.judgement_id}", made)
            else:
                _put(_one(asked, one), [one], ties, made)
        return
    bad = [one for one in few if one.both_bad]
    rest = [one for one in few if not one.both_bad]
    if len(bad) > len(rest):
        made.told["judgements outvoted by 'both bad'"] += len(rest)
        _bad(asked, bad, f"item-{asked.id}", made)
    elif rest:
        made.told["'both bad' outvoted"] += len(bad)
        together = len(asked.texts) == 2 and (labels == "soft" or len(rest) > 1)
        whole = _two(asked, rest, labels) if together else _many(asked, rest)
        _put(whole, rest, ties, made)


def _one(asked: Asked, one: Ballot) -> Comparison:
    return Comparison(
        asked.prompt,
        asked.texts,
        one.ranks,
        judge=one.who,
        strength=one.strength,
        p_first=one.soft,
        why=one.why,
        id=f"item-{asked.id}/{one.judgement_id}" + (f"/{one.axis}" if one.axis else ""),
    )


def _name(asked: Asked, few: Sequence[Ballot]) -> str:
    return f"item-{asked.id}" + (f"/{few[0].axis}" if few[0].axis else "")


def _two(asked: Asked, few: Sequence[Ballot], labels: Labels) -> Comparison:
    """A tie counts half; strength is the mean of all, where all prefer the same and say it."""
    p = fmean(one.p_first if labels == "soft" else one.hard for one in few)
    ranks = (0, 0) if p == 0.5 else (0, 1) if p > 0.5 else (1, 0)
    tied = all(len({*one.ranks}) == 1 and one.soft is None for one in few)
    return replace(
        _one(asked, few[0]),
        ranks=ranks,
        p_first=p if labels == "soft" and not tied else None,
        judge="+".join(sorted({one.who for one in few})),
        strength=_strength(few),
        why=few[0].why if len(few) == 1 else "",
        id=_name(asked, few),
    )


def _many(asked: Asked, few: Sequence[Ballot]) -> Comparison:
    """By the mean place of each answer."""
    mean = [fmean(one.ranks[i] for one in few) for i in range(len(asked.texts))]
    return replace(
        _one(asked, few[0]),
        ranks=dense(mean),
        p_first=None,
        judge="+".join(sorted({one.who for one in few})),
        strength=_strength(few),
        why=few[0].why if len(few) == 1 else "",
        id=_name(asked, few),
    )


def _strength(few: Sequence[Ballot]) -> float | None:
    said = [one.strength for one in few if one.strength is not None]
    if len(said) < len(few) or len({one.ranks for one in few}) != 1:
        return None
    return fmean(said)


def _put(one: Comparison, few: Sequence[Ballot], ties: Ties, made: Made) -> None:
    if one.tie and ties == "half" and len(one.responses) == 2:
        one = replace(one, p_first=0.5)
    elif one.tie and ties != "keep":
        made.told["ties"] += 1
        return
    made.comparisons.append(one)
    made.used.update(ballot.judgement_id for ballot in few)


def _bad(asked: Asked, few: Sequence[Ballot], name: str, made: Made) -> None:
    """All answers are bad: no comparison, but that is something to learn from."""
    judge = "+".join(sorted({one.who for one in few}))
    why = few[0].why if len(few) == 1 else ""
    made.ratings += [
        Rating(asked.prompt, text, False, judge=judge, why=why, id=f"{name}/{i}")
        for i, text in enumerate(asked.texts)
    ]
    made.used.update(one.judgement_id for one in few)


# --- ratings ---


def rate(asked: Asked, few: Sequence["Marks"], labels: Labels, middle: float, made: Made) -> None:
    """Each answer good or not: whether its mean over axes and annotators lies above the middle."""
    for group in [[one] for one in few] if labels == "every" else [few]:
        name = f"item-{asked.id}" + (f"/{group[0].judgement_id}" if labels == "every" else "")
        for i, text in enumerate(asked.texts):
            mean = fmean(fmean(row[i] for row in one.rows.values()) for one in group)
            if mean == middle:
                made.told["ratings in the middle of the scale"] += 1
                continue
            judge = "+".join(sorted({one.who for one in group}))
            why = group[0].why if len(group) == 1 else ""
            made.ratings.append(
                Rating(asked.prompt, text, mean > middle, judge=judge, why=why, id=f"{name}/{i}")
            )
            made.used.update(one.judgement_id for one in group)


@dataclass(frozen=True)
class Marks:
    """One annotator's ratings of an item: axis -> a number for each answer."""

    judgement_id: int
    who: str
    rows: dict[str, list[int]]
    why: str = ""

    def ballots(self, *, each: bool) -> Iterator[Ballot]:
        """The order they put the answers in: by their mean over the axes, or by each axis."""
        if each:
            for axis, row in self.rows.items():
                yield self._ballot(row, axis)
        else:
            yield self._ballot([fmean(few) for few in zip(*self.rows.values())], "")

    def _ballot(self, scores: Sequence[float], axis: str) -> Ballot:
        ranks = dense([-score for score in scores])
        return Ballot(self.judgement_id, self.who, ranks, why=self.why, axis=axis)
