"""Which answers a study asks about: pairs by chance, or where reward models are least sure.

Where models choose, those pairs that they are least sure of are taken for certain, and a share is
drawn by chance among the rest.  Each item is kept with the probability with which it was taken
(`propensity`): verdicts weighed by its inverse tell of all pairs, and not of the hard ones alone.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import mean, pvariance
from typing import Any

from accord.config.limits import Count, UpTo1
from accord.data.offers import Offer
from accord.data.tally import Tally
from accord.records.plain import messages
from accord.store.judgements.forms import Kind, NewItem

Scores = Sequence[Sequence[float | None]]
"""of each reward model, of each answer to a prompt; None where it could not score one"""


@dataclass(frozen=True)
class Choose:
    """How pairs are chosen among the answers to a prompt."""

    per_prompt: Count = 1
    """pairs of answers to one prompt, of which there may be more"""
    most: Count | None = None
    """items in all; none: as many as there are"""
    random: UpTo1 = 0.2
    """share drawn by chance where reward= chooses; the rest are those it is least sure of: of
    several models those on whose difference they disagree most, of one the least difference"""


@dataclass(frozen=True)
class Pick:
    """Answers to one prompt, that become one item."""

    of: int
    """which prompt"""
    places: tuple[int, ...]
    """which answers to it"""
    propensity: float | None = None


def items(
    offers: Sequence[Offer],
    kind: Kind,
    how: Choose,
    seed: int,
    tally: Tally,
    scored: Sequence[Scores] | None = None,
) -> list[NewItem]:
    """Offers as items of a study of this kind, in an order drawn by the seed.

    `scored` is what reward models say of each offer's answers.  Answers that are empty, or the
    same as another, are left out and counted.
    """
    usable = [_usable(one, tally) for one in offers]
    rng = random.Random(f"items/{seed}")
    if kind == "pairwise":
        picks = _pairs(usable, how, rng, scored)
    else:
        picks = _others(usable, kind)
        rng.shuffle(picks)
        if how.most is not None and how.most < len(picks):
            share = how.most / len(picks)
            picks = [Pick(p.of, p.places, share) for p in picks[: how.most]]
    least = {"pairwise": 2, "rank": 2}.get(kind, 1)
    for one, places in zip(offers, usable, strict=True):
        if len(places) < least:
            tally.drop(f"fewer than {least} different answers", f"prompt {one.id!r}")
    return [_item(offers[p.of], p, scored[p.of] if scored else ()) for p in picks]


def uncertainty(few: Scores, a: int, b: int) -> float | None:
    """How little reward models know which of two answers is better; None where one has no score.

    Of several models the variance of their differences, of one minus its absolute difference.
    """
    gaps = []
    for said in few:
        first, second = said[a], said[b]
        if first is None or second is None:
            return None
        gaps.append(first - second)
    return pvariance(gaps) if len(gaps) > 1 else -abs(gaps[0])


def _usable(one: Offer, tally: Tally) -> list[int]:
    """Places of answers that say something, each text once."""
    seen: dict[str, int] = {}
    for place, text in enumerate(one.texts):
        if not text.strip():
            tally.note("empty answer", f"prompt {one.id!r}, answer {place + 1}")
        elif text.strip() in seen:
            tally.note("the same answer twice", f"prompt {one.id!r}, answer {place + 1}")
        else:
            seen[text.strip()] = place
    return list(seen.values())


def _others(usable: Sequence[list[int]], kind: Kind) -> list[Pick]:
    if kind == "rewrite":
        return [Pick(i, (place,)) for i, places in enumerate(usable) for place in places]
    least = 2 if kind == "rank" else 1
    return [Pick(i, tuple(places)) for i, places in enumerate(usable) if len(places) >= least]


def _pairs(
    usable: Sequence[list[int]], how: Choose, rng: random.Random, scored: Sequence[Scores] | None
) -> list[Pick]:
    every = [[Pick(i, pair) for pair in combinations(places, 2)] for i, places in enumerate(usable)]
    if scored is None:
        return _by_chance(every, how, rng)
    flat = [pick for few in every for pick in few]
    room = sum(min(how.per_prompt, len(few)) for few in every)
    wanted = min(room, how.most or room)
    lots = round(how.random * wanted) if wanted < len(flat) else 0
    unsure = {p: _key(uncertainty(scored[p.of], *p.places)) for p in flat}
    count: Counter[int] = Counter()
    leaders: list[Pick] = []
    for pick in sorted(flat, key=unsure.__getitem__, reverse=True):
        if len(leaders) < wanted - lots and count[pick.of] < how.per_prompt:
            leaders.append(pick)
            count[pick.of] += 1
    known = set(leaders)
    rest = [pick for pick in flat if pick not in known]
    drawn = rng.sample(rest, min(lots, len(rest)))
    chance = len(drawn) / len(rest) if rest else 1.0
    chosen = [replace(p, propensity=1.0) for p in leaders]
    chosen += [replace(p, propensity=chance) for p in drawn]
    rng.shuffle(chosen)  # those by chance among the others: a study may end before all is judged
    return chosen


def _key(unsure: float | None) -> float:
    return float("-inf") if unsure is None else unsure


def _by_chance(every: Sequence[list[Pick]], how: Choose, rng: random.Random) -> list[Pick]:
    """Some pairs of each prompt, then some of all; a propensity where anything was left out."""
    kept: list[tuple[Pick, float]] = []
    for few in every:
        some = rng.sample(few, min(how.per_prompt, len(few)))
        kept += [(pick, len(some) / len(few)) for pick in some]
    rng.shuffle(kept)
    share = min(1.0, how.most / len(kept)) if how.most and kept else 1.0
    return [
        Pick(p.of, p.places, p_one * share if p_one * share < 1 else None)
        for p, p_one in kept[: how.most]
    ]


def _item(one: Offer, pick: Pick, scored: Scores) -> NewItem:
    told: dict[str, Any] = {}
    if scored:
        told["rewards"] = tuple(_mean([said[place] for said in scored]) for place in pick.places)
    if one.models:
        told["models"] = tuple(one.models[place] for place in pick.places)
    return NewItem(
        messages(one.prompt),
        tuple(one.texts[place] for place in pick.places),
        propensity=pick.propensity,
        source=one.id,
        **told,
    )


def _mean(said: Sequence[float | None]) -> float | None:
    known = [one for one in said if one is not None]
    return mean(known) if len(known) == len(said) else None
