"""Judgements as votes: what counts in a study, in values that annotators can be compared by."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from accord.store.judgements.counting import practice, standing
from accord.store.judgements.tables import Item, Judgement, User

BOTH_BAD = 9
"""a verdict beside first, tie and second; no place of a scale"""
NEAR = 1
"""ratings that lie no further apart agree"""
Unit = Hashable
"""what is judged at once: a pair of an item's answers, or an answer on an axis"""


@dataclass(frozen=True)
class Vote:
    """One judgement that stands."""

    judgement: Judgement
    user: User
    gold: bool
    """of a known item"""

    @property
    def ai(self) -> bool:
        """Of a judge that is a program."""
        return self.user.kind == "ai"


def votes(
    session: Session, study_id: int, *, acts: Sequence[str] = ("judge",), excluded: bool = False
) -> list[Vote]:
    """All acts of these kinds that stand, in the order of their making; those of excluded
    annotators where asked for, those of a quiz never.
    """
    query = (
        select(Judgement, User, Item.gold.is_not(None))
        .join(User, User.id == Judgement.user_id)
        .join(Item, Item.id == Judgement.item_id)
        .where(Item.study_id == study_id, Judgement.act.in_(acts), standing())
        .where(~practice())
        .order_by(Judgement.id)
    )
    if not excluded:
        query = query.where(User.excluded.is_(None))
    return [Vote(*row) for row in session.execute(query)]


def by_item(few: Iterable[Vote]) -> dict[int, list[Vote]]:
    """The same by item, in the order of the items."""
    found: dict[int, list[Vote]] = defaultdict(list)
    for vote in few:
        found[vote.judgement.item_id].append(vote)
    return dict(sorted(found.items()))


def values(judgement: Judgement) -> Iterator[tuple[Unit, int]]:
    """What a judgement says of each unit: of every pair -1 (the item's earlier answer is better),
    0 or 1, or BOTH_BAD; of every rating its number.  Texts say nothing that can be compared.
    """
    if judgement.both_bad:
        for pair in combinations(range(len(judgement.shown)), 2):
            yield (judgement.item_id, *pair), BOTH_BAD
    elif judgement.ranks is not None:
        for i, j in combinations(range(len(judgement.ranks)), 2):
            a, b = judgement.ranks[i], judgement.ranks[j]
            yield (judgement.item_id, i, j), (a > b) - (a < b)
    elif judgement.ratings:
        for axis, row in judgement.ratings.items():
            for i, number in enumerate(row):
                yield (judgement.item_id, axis, i), int(number)


def is_pair(unit: Unit) -> bool:
    """Whether it is two answers of an item, and not one on an axis."""
    return isinstance(unit, tuple) and isinstance(unit[1], int)


def other_way(value: int) -> int:
    """A verdict on a pair, were its answers the other way round."""
    return value if value == BOTH_BAD else -value


def table(few: Iterable[Vote]) -> dict[Unit, dict[int, int]]:
    """unit -> annotator -> value."""
    found: dict[Unit, dict[int, int]] = defaultdict(dict)
    for vote in few:
        for unit, value in values(vote.judgement):
            found[unit][vote.user.id] = value
    return found


def agree(few: Sequence[Vote]) -> float | None:
    """How far the annotators of one item agree: the share that says what most say, the mean over
    its units; of ratings the share within 1 of the median.  None below two annotators, or of texts.
    """
    rated = any(vote.judgement.ratings for vote in few)
    shares = [
        _near([*said.values()]) if rated else _most([*said.values()])
        for said in table(few).values()
        if len(said) > 1
    ]
    return sum(shares) / len(shares) if shares else None


def _most(said: Sequence[int]) -> float:
    return Counter(said).most_common(1)[0][1] / len(said)


def _near(said: Sequence[int]) -> float:
    middle = median(said)
    return sum(abs(one - middle) <= NEAR for one in said) / len(said)


def places(judgement: Judgement) -> tuple[float, float] | None:
    """How good the answers shown first and last were found, higher better; None below two."""
    first, last = judgement.shown[0] if judgement.shown else 0, judgement.shown[-1:]
    if len(judgement.shown) < 2 or judgement.both_bad:
        return None
    if judgement.ranks is not None:
        return -float(judgement.ranks[first]), -float(judgement.ranks[last[0]])
    if judgement.ratings:
        return _total(judgement.ratings, first), _total(judgement.ratings, last[0])
    return None


def _total(ratings: Mapping[str, Sequence[Any]], at: int) -> float:
    return float(sum(row[at] for row in ratings.values()))
