"""Reward against distance from the start: one point a policy, measured on what it says itself.

KL on the data, or on somebody else's answers, is another quantity, and the usual mistake.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from accord.data.rows import align, pad
from accord.engine.roles import Policy
from accord.errors import BadData, BadSettings
from accord.evaluate.answers import Asking
from accord.evaluate.plots import Line, tradeoff
from accord.evaluate.winrate import number
from accord.maths import divergence
from accord.records import Ids, Rollout
from accord.rewards.base import Reward, Score
from accord.store.files import dump

OFF = 0.05
"""nats per token that rounding, also of bf16, does not explain"""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over prompts with its standard error; answers to one prompt count as one witness."""

    value: float
    error: float | None
    """None for a single prompt"""

    @classmethod
    def of(cls, few: Sequence[Sequence[float]]) -> "Mean":
        """Of the numbers of each prompt's answers; prompts without any are left out."""
        means = [fmean(numbers) for numbers in few if numbers]
        if not means:
            raise BadData("there is nothing to take a mean of")
        middle, n = fmean(means), len(means)
        if n == 1:
            return cls(middle, None)
        spread = math.fsum((x - middle) ** 2 for x in means) / (n - 1)
        return cls(middle, math.sqrt(spread / n))


@dataclass(frozen=True, slots=True)
class Distance:
    """KL(π ‖ ρ) of whole answers, nats, estimated three ways on answers of π."""

    exact: Mean
    """the sum over positions of the KL between the two next-token distributions: the least noisy"""
    k1: Mean
    """log π/ρ of the answer: unbiased"""
    k3: Mean
    """the sum over tokens of e⁻ᵈ - 1 + d; a token that ρ favours much more can outweigh all else"""
    entropy: Mean
    """of π's next-token distributions, nats per token"""

    off: float
    """mean difference, per token, of the log-prob it was drawn with from the one it has here"""

    @property
    def doubt(self) -> str:
        """Why this is not the policy that wrote the answers; empty where it may be."""
        if self.off <= OFF:
            return ""
        return (
            f"the answers were drawn with log-probs that are {self.off:.2g} nats a token from this "
            "policy's at this temperature: another policy wrote them, or they were cut "
            "(top_p, top_k, min_p)"
        )


@dataclass(frozen=True, slots=True)
class Point:
    """One policy in the plane."""

    name: str
    kl: Distance
    reward: Mean
    answers: int
    invalid: int
    """answers without a score; no mean counts them"""


def distance(
    policy: Policy, reference: Policy, said: Sequence[Rollout], temperature: float = 1.0
) -> Distance:
    """How far the policy that said this, at this temperature and with nothing cut off, is from the
    reference.  BadModel where the two do not spell alike.
    """
    if temperature <= 0:
        raise BadSettings("KL wants a temperature above 0: a greedy policy has none to any other")
    tokens = pad([r.prompt_ids for r in said], [r.response_ids for r in said])
    apart = policy.apart(reference, tokens, temperature)
    of = {
        "exact": apart.kl_BT,
        "k1": divergence.k1(apart.logp_BT, apart.ref_BT),
        "k3": divergence.k3(apart.logp_BT, apart.ref_BT),
        "entropy": apart.entropy_BT / tokens.mask_BT.sum(1, keepdim=True).to(apart.kl_BT.device),
    }
    means = {}
    for name, x_BT in of.items():
        by_id = dict(zip([r.id for r in said], x_BT.double().sum(1).tolist(), strict=True))
        means[name] = Mean.of([[by_id[r.id] for r in few] for few in by_prompt(said)])
    drawn_BT = align([r.logp for r in said], tokens.mask_BT)
    off_BT = (drawn_BT - apart.logp_BT.cpu()).abs() * tokens.mask_BT
    return Distance(**means, off=float(off_BT.sum() / tokens.mask_BT.sum()))


def point(
    name: str,
    policy: Policy,
    reference: Policy,
    prompts: Sequence[Ids],
    reward: Reward,
    asking: Asking,
) -> Point:
    """Sample, score, measure; nothing may be cut or greedy, for then there is no KL."""
    if not asking.how.full:
        raise BadSettings(f"{name}: KL wants a temperature above 0, and no top_p, top_k or min_p")
    said = policy.sample(
        prompts, n=asking.n, longest=asking.longest, seed=asking.seed, how=asking.how
    )
    return measured(name, policy, reference, said, reward(said), asking.how.temperature)


def measured(
    name: str,
    policy: Policy,
    reference: Policy,
    said: Sequence[Rollout],
    scores: Sequence[Score],
    temperature: float = 1.0,
) -> Point:
    """The point of answers that are there already; BadData where none has a score."""
    given = dict(zip([r.id for r in said], scores, strict=True))
    numbers = [
        [x for r in few if (x := number(given[r.id])) is not None] for few in by_prompt(said)
    ]
    invalid = len(said) - sum(map(len, numbers))
    if invalid == len(said):
        raise BadData(f"{name}: none of {len(said)} answers has a score")
    kl = distance(policy, reference, said, temperature)
    return Point(name, kl, Mean.of(numbers), len(said), invalid)


def frontier(
    points: Mapping[str, Sequence[Point]], best: Sequence[tuple[float, float]] = ()
) -> str:
    """The plane as SVG for a page: a line for each method, through its points by KL.

    `best` are points (KL, reward) that nothing can lie above, where they are known.
    """
    lines = []
    for name, own in points.items():
        few = sorted(own, key=_far)
        at = [(p.kl.exact.value, p.reward.value) for p in few]
        errors = [(p.kl.exact.error or 0, p.reward.error or 0) for p in few]
        lines += [Line(name, at, errors)] if at else []
    if best:
        lines.insert(0, Line("the best there is", sorted(best), role="limit"))
    return tradeoff(lines, "KL from the start, nats per answer", "reward")


def best_of(points: Sequence[Point]) -> list[Point]:
    """Those that no other point beats in both: as near or nearer, with as much reward or more."""
    return [
        p
        for p in points
        if not any(
            q.kl.exact.value <= p.kl.exact.value
            and q.reward.value >= p.reward.value
            and (q.kl.exact.value, q.reward.value) != (p.kl.exact.value, p.reward.value)
            for q in points
        )
    ]


def write(points: Sequence[Point], path: str | Path) -> None:
    """As JSON, point by point."""
    told: list[dict[str, Any]] = [asdict(p) for p in points]
    Path(path).write_bytes(dump({"points": told}))


def by_prompt(said: Sequence[Rollout]) -> list[list[Rollout]]:
    """Answers to the same prompt together, in the order in which prompts come."""
    found: dict[Ids, list[Rollout]] = {}
    for one in said:
        found.setdefault(one.prompt_ids, []).append(one)
    return list(found.values())


def _far(p: Point) -> float:
    return p.kl.exact.value
