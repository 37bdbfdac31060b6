"""Everyone on the same prompts with the same dice: answers, scores, and distance from the start."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from accord.engine.roles import Policy
from accord.errors import BadData
from accord.evaluate.answers import Asking, Side, sampled
from accord.evaluate.contest import Contest, Cost, Player, Spot, mean, why
from accord.evaluate.frontier import Mean, distance
from accord.evaluate.winrate import number
from accord.maths.selection import best_of_n_kl
from accord.recipes.common import Asked
from accord.recipes.compare import Compare, Name
from accord.recipes.contestants import Trained
from accord.recipes.job import Desk
from accord.records import Rollout
from accord.rewards.base import Reward, Score


@dataclass(frozen=True)
class Field:
    """Where all of them meet."""

    start: Policy
    asked: Sequence[Asked]
    judge: Reward
    followed: Reward | None
    """the reward that was followed, if it is not the judge"""
    asking: Asking
    folder: Path
    """answers are kept here"""
    meaning: str = ""
    """what the judge says of itself"""


Entry = tuple[Trained, list[tuple[str, Policy]]]
"""what a method made; and other policies of its, each with its name"""


def met(
    desk: Desk,
    field: Field,
    cfg: Compare,
    entered: Mapping[Name, Entry],
    failed: Mapping[str, str],
    judge: str,
    shared: float,
) -> Contest:
    """All answers, scored and measured; `shared` are the seconds of the reward model.

    Whoever has no answer with a score is among those that failed; BadData where that is the start.
    """
    start, players, missed = _player(desk, field, "start", "the start", field.start), [], {**failed}
    for name in cfg.methods:
        try:
            if name == "best-of-n":
                best = _best(desk, field, cfg.best)
                players.append(replace(best, cost=replace(best.cost, shared=shared)))
            elif name in entered:
                players.append(_entered(desk, field, name, entered[name], shared))
        except BadData as error:
            missed[name] = str(error)
    speller = field.start.speller
    return Contest(
        start,
        players,
        [speller.decode(one.ids) for one in field.asked],
        field.asking.n,
        judge,
        by_rule=judge == "the rule",
        followed=field.followed is None,
        failed=missed,
        seed=field.asking.seed,
        meaning=field.meaning,
    )


def _entered(desk: Desk, field: Field, name: Name, entry: Entry, shared: float) -> Player:
    """With its other policies as points."""
    made, others = entry
    player = _player(desk, field, name.lower(), name, made.policy)
    points = [
        _player(desk, field, f"{name.lower()}-{i}", label, policy).spot
        for i, (label, policy) in enumerate(others)
    ]
    cost = replace(made.cost, shared=shared if made.cost.sampled else 0.0)
    return replace(player, others=tuple(points), cost=cost)


def _said(desk: Desk, field: Field, key: str, name: str, policy: Policy, asking: Asking) -> Side:
    ids = {i: one.ids for i, one in enumerate(field.asked)}
    with desk.count(name, asking.n * len(ids), "answers") as watch:
        return sampled(name, policy, ids, field.folder / f"{key}.jsonl", asking, watch=watch)


def _player(desk: Desk, field: Field, key: str, name: str, policy: Policy) -> Player:
    """A policy, with its KL position by position."""
    side = _said(desk, field, key, name, policy, field.asking)
    kl = distance(policy, field.start, side.said, field.asking.how.temperature).exact
    return _told(field, name, side.said, kl)


def _best(desk: Desk, field: Field, most: int) -> Player:
    """Best-of-n of the start: the answer that the reward followed likes most; with points of
    smaller n from the same answers.

    KL is that of the best of n for the scores that came, mean over prompts that have any.
    """
    n = field.asking.n
    asking = replace(field.asking, n=n * most, seed=field.asking.seed + 1)
    side = _said(desk, field, "best-of-n", "best-of-n", field.start, asking)
    liked: list[Score] = (field.followed or field.judge)(side.said)
    spots, player = [], None
    for size in sorted({2**k for k in range(1, 12) if 2**k < most} | {most}):
        said, kls = [], []
        for place in range(len(field.asked) * n):
            few = range(place * most, place * most + size)
            said.append(side.said[max(few, key=lambda i: _worth(liked[i]))])
        for place in range(len(field.asked)):
            lot = liked[place * n * most : (place + 1) * n * most]
            known = torch.tensor([x for s in lot if (x := number(s)) is not None]).double()
            shares = known.unique(return_counts=True)[1]
            kls.append([best_of_n_kl(shares, size)] if len(shares) else [])
        if not any(kls):
            raise BadData(f"none of its {len(liked)} answers got a score: {why(liked)}")
        player = _told(field, "best-of-n", said, Mean.of(kls), label=f"n={size}", how="formula")
        spots.append(player.spot)
    assert player is not None
    return replace(player, others=tuple(spots[:-1]), cost=Cost(each=most))


def _worth(score: Score) -> float:
    known = number(score)
    return float("-inf") if known is None else known


def _told(
    field: Field,
    name: str,
    said: Sequence[Rollout],
    kl: Mean,
    *,
    label: str = "",
    how: str = "exact",
) -> Player:
    speller, scores = field.start.speller, field.judge(said)
    return Player(
        name,
        [speller.text(one) for one in said],
        [len(one.response_ids) for one in said],
        [one.finish == "stop" for one in said],
        scores,
        field.followed(said) if field.followed else (),
        Spot(
            label or name,
            kl,
            mean(scores, field.asking.n),
            "exact" if how == "exact" else "formula",
        ),
    )
