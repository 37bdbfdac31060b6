"""Each method of a comparison as a stage in a folder of its own, and what it was given and took."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from accord.engine.roles import Critic, Policy
from accord.evaluate.contest import Cost
from accord.recipes.compare import Name
from accord.recipes.dpo_job import preference_stage
from accord.recipes.grpo_job import grpo_stage
from accord.recipes.rest_job import rest_stage
from accord.recipes.spent import metered
from accord.recipes.stage import Made, Place
from accord.recipes.stages import ppo_stage
from accord.records import Comparison, Prompt, Rating
from accord.rewards.base import Reward
from accord.store import artifact
from accord.store.artifact import Artifact
from accord.store.record import metrics, seconds


@dataclass(frozen=True)
class Ground:
    """What all methods share."""

    start: Policy
    prompts: Sequence[Prompt]
    """to learn from"""
    compared: Sequence[Comparison]
    judge: Reward | None
    """what is followed; None where nobody who takes part follows any"""
    critic: Critic | None
    gold: Reward | None
    parents: tuple[Artifact | str, ...] = ()
    """the reward model"""
    data: tuple[Artifact, ...] = ()
    """the artifact that the comparisons lie in"""


@dataclass(frozen=True)
class Trained:
    """What a method made."""

    policy: Policy
    artifact: Artifact
    cost: Cost
    earlier: tuple[tuple[str, Policy], ...] = ()
    """policies on the way, each with its name"""


def enter(name: Name, place: Place, cfg: Any, ground: Ground) -> Trained:
    """The method's policy in `place`; found there, it costs nothing."""
    made, peak = metered(place.out, partial(_TRAIN[name], place, cfg, ground))
    return replace(made, cost=replace(made.cost, memory_mb=peak))


def ratings(compared: Sequence[Comparison]) -> list[Rating]:
    """Of each comparison the best answer as good and the worst as not; ties tell neither."""
    found = []
    for i, one in enumerate(compared):
        if not one.tie:
            best, worst = (one.ranks.index(f(one.ranks)) for f in (min, max))
            found += [
                Rating(one.prompt, one.responses[k], k == best, one.judge, id=f"{one.id or i}/{k}")
                for k in (best, worst)
            ]
    return found


def _ppo(place: Place, cfg: Any, g: Ground) -> Trained:
    critic = g.critic if cfg.critic != "zero" else None
    made = ppo_stage(
        place, cfg, g.start, _judge(g), critic, g.prompts, parents=g.parents, gold=_watched(g)
    )
    sampled = len(made.history) * cfg.batch
    return _trained(made, Cost(sampled=sampled, passes=sampled * cfg.epochs))


def _grpo(place: Place, cfg: Any, g: Ground) -> Trained:
    made = grpo_stage(
        place, cfg, g.start, _judge(g), g.prompts, parents=g.parents, gold=_watched(g)
    )
    rounds = sum(row.get("groups/rounds", 1.0) for row in made.history)
    sampled = round(rounds * cfg.batch * cfg.group)
    passes = len(made.history) * cfg.batch * cfg.group * cfg.epochs
    return _trained(made, Cost(sampled=sampled, passes=passes))


def _pairs(place: Place, cfg: Any, g: Ground) -> Trained:
    made = preference_stage(place, cfg, g.start, g.compared, parents=g.data)
    width = max((len(one.responses) for one in g.compared), default=2)
    passes = len(made.history) * cfg.batch * width
    return _trained(made, Cost(compared=len(g.compared), passes=passes))


def _kto(place: Place, cfg: Any, g: Ground) -> Trained:
    made = preference_stage(place, cfg, g.start, ratings(g.compared), parents=g.data)
    return _trained(made, Cost(compared=len(g.compared), passes=len(made.history) * cfg.batch))


def _rest(place: Place, cfg: Any, g: Ground) -> Trained:
    made = rest_stage(
        place, cfg, g.start, _judge(g), (), g.prompts, parents=g.parents, gold=_watched(g)
    )
    grown = sorted(place.out.glob("grow-*"))
    improved = sorted(place.out.glob("improve-*"), key=_order)
    told = [artifact.open_artifact(folder / "scored").numbers["answers"] for folder in grown]
    steps = sum(len(metrics(folder)) for folder in improved)
    cost = Cost(
        sampled=int(sum(told)),
        passes=steps * cfg.improve.batch,
        seconds=sum(map(seconds, (*grown, *improved))),
    )
    before = [folder / "policy" for folder in improved]
    earlier = tuple(
        (folder.parent.name, Policy.open(folder))
        for folder in before
        if folder != made.artifact.folder and artifact.origin(folder)
    )
    return Trained(made.handle, made.artifact, cost, earlier)


_TRAIN: dict[str, Callable[..., Trained]] = {
    "PPO": _ppo,
    "RLOO": _grpo,
    "GRPO": _grpo,
    "DPO": _pairs,
    "IPO": _pairs,
    "KTO": _kto,
    "ReST": _rest,
}


def _judge(g: Ground) -> Reward:
    assert g.judge is not None  # the command makes one where a method follows it
    return g.judge


def _watched(g: Ground) -> Reward | None:
    """The rule, where it is not what is followed."""
    return None if g.gold is g.judge else g.gold


def _trained(made: Made[Policy], cost: Cost) -> Trained:
    return Trained(made.handle, made.artifact, replace(cost, seconds=made.seconds))


def _order(folder: Any) -> tuple[int, ...]:
    """improve-2-10 after improve-2-9."""
    return tuple(int(part) for part in folder.name.split("-")[1:])
