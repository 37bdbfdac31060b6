"""Reinforced self-training (Gulcehre et al. 2023, algorithm 1); RAFT and best-of-n by settings.

for g = 1 … G:                                                   Grow
    D_g = {(x, yⱼ) : x in D, yⱼ ~ π(· | x), j = 1 … N} ∪ D       the original data stay
    R(x, y) of all of D_g, once
    for i = 1 … I:                                               Improve, from where the last ended
        while R of answers to prompts kept aside rises:
            minimise  -1[R(x, y) > τᵢ] log π(y | x)  over D_g    τᵢ rises, the learning rate falls
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from accord.config import Settings
from accord.config.limits import Count, Share
from accord.engine.roles import Policy
from accord.errors import BadData
from accord.maths.selection import Filter, Fixed
from accord.recipes import sft
from accord.recipes.growing import Given, Grow, grow
from accord.recipes.harvest import Harvest, Passing
from accord.recipes.improving import Improve, Look, improve
from accord.recipes.method import Method
from accord.rewards.base import Reward
from accord.store.run import Run

METHODS = tuple(
    Method(name, command, "filtered imitation", "growing batch", ("reward", "sampling"), source)
    for name, command, source in (
        ("ReST", "rest", "Gulcehre et al. 2023"),
        ("RAFT", "rest --preset raft", "Dong et al. 2023"),
        ("best-of-n distillation", "rest --preset best-of-n", "after Stiennon et al. 2020"),
    )
)


class ReST(Settings):
    """A policy that learns from the best of its own answers."""

    rounds: Count = 1
    """G: how often answers are grown, each time from the policy as it then is"""
    grow: Grow = Grow()
    """answers, and their rewards"""
    improve: Improve = Improve()
    """imitation of those that pass"""
    imitate: sft.SFT | None = None
    """imitate the demonstrations first; none: the model to begin with already does"""
    held_out: Share = 0.1
    """share of the prompts kept aside to measure the reward on; 0: no early stop"""


class Walk:
    """How each step is carried out.  Here nothing is kept; the command seals each of them."""

    def grown(self, g: int, cfg: Grow, policy: Policy, make: Callable[[Run], Harvest]) -> Harvest:
        """What Grow g brings in."""
        return make(Run())

    def improved(
        self, g: int, i: int, cfg: Improve, policy: Policy, make: Callable[[Run], Any]
    ) -> Policy:
        """The policy after Improve i of Grow g."""
        made: Policy = make(Run())[0]
        return made

    def tell(self, said: str) -> None:
        """For people."""


def train(
    cfg: ReST,
    walk: Walk,
    start: Policy,
    reward: Reward,
    given: Given,
    *,
    gold: Reward | None = None,
    seed: int = 0,
) -> Policy:
    """The policy after G Grows of I Improves.  `gold` is watched, never learned from."""
    policy, scale = start, cfg.grow.scale
    for g in range(1, cfg.rounds + 1):
        growing = cfg.grow.model_copy(update={"scale": scale})
        make = partial(grow, growing, policy, reward, given, g=g, seed=seed)
        grown = walk.grown(g, growing, policy, make)
        scale = grown.scale
        look = Look(cfg.grow, cfg.improve.measure_n, given.aside, start, scale, reward, gold)
        for i in range(1, cfg.improve.keep.steps + 1):
            step = cfg.improve.at(i)
            few = grown.passing(step.keep)
            if not warned(walk, grown, few, step.keep, (g, i)):
                break
            act = partial(improve, step, policy, few, look if given.aside else None, seed=seed)
            policy = walk.improved(g, i, step, policy, act)
    return policy


def warned(walk: Walk, grown: Harvest, few: Passing, keep: Filter, at: tuple[int, int]) -> bool:
    """Whether there is something to learn from; says where that is nothing, or not better."""
    told, which = grown.numbers, f"Improve {at[1]} of Grow {at[0]}"
    if not few.rows:
        said = (
            f"{which}: none of {len(grown.rows)} answers passes {keep}: the best reward is "
            f"{told['reward/best']:.3g} on the scale"
        )
        if at == (1, 1):
            raise BadData(f"{said}; lower improve.keep.at, or say improve.keep=Percentile")
        walk.tell(f"{said}; this Grow ends here")
    elif isinstance(keep, Fixed) and at[1] == 1 and keep.at[0] <= told["reward"]:
        walk.tell(
            f"{which}: its threshold {keep.at[0]:g} is not above the mean reward of what was grown,"
            f" {told['reward']:.3g}: only above it is a better policy to be expected"
        )
    return bool(few.rows)
