"""Several judgements of the same answers, as one row."""

from collections.abc import Sequence
from dataclasses import replace

from accord.records import Comparison


def vote(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Judgements of the same two answers become one comparison with a soft label: the share of
    judges that prefer the first, a tie counting half; their mean strength where all prefer the
    same and say how much.  In order of first appearance; comparisons of
    more than two answers pass through as they are.
    """
    groups: dict[object, list[Comparison]] = {}
    for index, one in enumerate(comparisons):
        alike = (one.prompt, frozenset(one.responses)) if len(one.responses) == 2 else index
        few = groups.setdefault(alike, [])
        few.append(one if not few or few[0].responses == one.responses else _swapped(one))
    return [few[0] if len(few) == 1 else _merge(few) for few in groups.values()]


def _swapped(one: Comparison) -> Comparison:
    """The same judgement with its two answers in the other order."""
    p = None if one.p_first is None else 1 - one.p_first
    return replace(one, responses=one.responses[::-1], ranks=one.ranks[::-1], p_first=p)


def _merge(few: list[Comparison]) -> Comparison:
    p: float | None = sum(_p_first(one) for one in few) / len(few)
    if all(one.tie and one.p_first is None for one in few):
        p = None  # all say equal: a tie, not a matter of opinion
    ranks = (0, 0) if p is None or p == 0.5 else (0, 1) if p > 0.5 else (1, 0)
    judges = "+".join(sorted({one.judge for one in few}))
    return replace(few[0], ranks=ranks, p_first=p, judge=judges, strength=_strength(few))


def _strength(few: list[Comparison]) -> float | None:
    """The mean of what all say who prefer the same answer; None where they differ, or one is mute.

    By how much an answer is better has no meaning where judges do not agree that it is.
    """
    said = [one.strength for one in few if one.strength is not None]
    alike = {one.ranks.index(min(one.ranks)) for one in few if not one.tie}
    if len(said) < len(few) or len(alike) != 1 or any(one.tie for one in few):
        return None
    return sum(said) / len(said)


def _p_first(one: Comparison) -> float:
    if one.p_first is not None:
        return one.p_first
    first, second = one.ranks
    return 0.5 if first == second else float(first < second)
