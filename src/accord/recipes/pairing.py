"""Answers to one prompt, scored, become a comparison of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from accord.data.comparisons import Spelled
from accord.engine.reference import Reference
from accord.recipes import common
from accord.records import Rollout

Pairs = Literal["best-worst", "ranking"]
Labels = Literal["hard", "soft"]


@dataclass(frozen=True)
class Group:
    """The answers to one prompt that could be scored, and the row that they make, if any."""

    all: Spelled
    names: tuple[str, ...]
    """of each answer"""
    logp: tuple[float, ...]
    """log π of each as it was sampled, nats"""
    places: tuple[int, ...]
    """which of them are compared"""
    row: Spelled | None

    @property
    def rows(self) -> tuple[Spelled, ...]:
        """None or one."""
        return (self.row,) if self.row else ()

    @property
    def left(self) -> dict[str, str]:
        """Answers that nothing is learned from, and why."""
        if self.row is None:
            return dict.fromkeys(self.names, "no pair: alike, or scored alike")
        rest = (self.names[i] for i in range(len(self.names)) if i not in self.places)
        return dict.fromkeys(rest, "neither best nor worst")

    def of(self, told: Sequence[float]) -> tuple[tuple[float, ...], ...]:
        """What was told of all, of those in the row."""
        return (tuple(told[i] for i in self.places),) if self.row else ()


def group(
    known: Sequence[Rollout], scores: Sequence[float], pairs: Pairs, labels: Labels
) -> list[Group]:
    """Answers by their prompt.

    Where all are the same there is no row; nor, with hard labels, where all score alike.
    """
    found: dict[str, list[tuple[Rollout, float]]] = {}
    for rollout, score in zip(known, scores, strict=True):
        found.setdefault(rollout.id.rpartition("/")[0], []).append((rollout, score))
    return [_group(name, answers, pairs, labels) for name, answers in found.items()]


def _group(name: str, answers: list[tuple[Rollout, float]], pairs: Pairs, labels: Labels) -> Group:
    prompt, ids = answers[0][0].prompt_ids, [r.response_ids for r, _ in answers]
    worth = [score for _, score in answers]
    places = tuple(range(len(worth)))
    if pairs == "best-worst":  # of equals the first is best, and the last is worst
        places = worth.index(max(worth)), len(worth) - 1 - worth[::-1].index(min(worth))
    row, p = None, None
    order = sorted({worth[i] for i in places}, reverse=True)
    if labels == "soft":
        gap = worth[places[0]] - worth[places[-1]]
        p = float(torch.sigmoid(torch.tensor(gap, dtype=torch.float64)))
    if len({ids[i] for i in places}) > 1 and (len(order) > 1 or labels == "soft"):
        ranks = tuple(order.index(worth[i]) for i in places)
        row = Spelled(prompt, tuple(ids[i] for i in places), ranks, None, p, name)
    whole = Spelled(prompt, tuple(ids), (0,) * len(ids), None, None, name)
    names, logp = (tuple(x) for x in zip(*((r.id, sum(r.logp)) for r, _ in answers), strict=True))
    return Group(whole, names, logp, places, row)


def observe(
    groups: Sequence[Group],
    ref: Reference,
    known: Sequence[Rollout],
    scores: Sequence[float],
    prompts: int,
) -> dict[str, float]:
    """What a step's answers are worth; KL of the sampler from the reference, nats per answer."""
    both = zip(groups, ref, strict=True)
    kl = [p - r for g, said in both for p, r in zip(g.logp, said, strict=True)]
    score_N = torch.tensor(scores)
    return {
        "objective/kl": common.means(kl),
        "objective/scores": float(score_N.mean()),
        "objective/scores_std": float(score_N.std(correction=0)),
        "completions/mean_length": common.means([len(r.response_ids) for r in known]),
        "completions/clipped_ratio": common.means([r.finish == "length" for r in known]),
        "pairs/share": sum(g.row is not None for g in groups) / prompts,
    }
