"""Several answers to each prompt of a step: asked for, judged, and where too few tell anything,
asked for again; kept until their turn comes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from accord.config import Settings
from accord.config.limits import Above0, Count
from accord.data.rows import Grouped, align, grouped
from accord.data.stream import Stream
from accord.engine.draw import Sampling
from accord.engine.roles import Policy
from accord.maths.advantages import (
    Baseline,
    BatchMean,
    BatchNorm,
    GroupMean,
    LeaveOneOut,
    flat,
)
from accord.recipes import common
from accord.records import Rollout
from accord.rewards.base import Reward
from accord.rewards.ending import (
    Absolute,
    Ending,
    Overlong,
    Relative,
    Sentence,
    Unlearned,
)
from accord.rewards.shape import Shape
from accord.store.run import Run

NO_SIGNAL, FULL, CUT = "no signal", "the batch was full", "cut at the limit"


class Groups(Settings):
    """How many answers are asked for, when, and what each is compared with."""

    batch: Count = 8
    """prompts per step"""
    group: Count = 8
    """answers to each; 1 is enough for baseline=BatchMean and BatchNorm"""
    longest: Count = 128
    """the most tokens an answer may have"""
    temperature: Above0 = 1.0
    """of sampling; all log-probabilities are taken at it"""
    baseline: LeaveOneOut | GroupMean | BatchMean | BatchNorm = GroupMean()
    """what an answer's score is compared with"""
    missing_eos: Absolute | Relative | Sentence | Overlong | Unlearned | None = None
    """what becomes of answers that were cut at `longest`, lack a mark, or come near the limit"""
    shape: Shape = Shape()
    """what else becomes of a score: a price of length, a limit, a scale"""
    resample: Count = 1
    """batches of prompts that a step may ask until `batch` groups have a signal (DAPO's dynamic
    sampling); 1: groups whose scores are equal are left out, not replaced"""
    lag: Annotated[int, Field(ge=0)] = 0
    """steps between asking and learning, as in asynchronous training: answers are that stale"""
    minibatches: Count = 1
    """optimizer steps per pass over a step's answers; at most one per answer"""

    @model_validator(mode="after")
    def _enough(self) -> Self:
        name, answers = type(self.baseline).__name__, self.batch * self.group
        if self.group < 2 and (self.baseline.groups or self.resample > 1):
            why = f"baseline={name}" if self.baseline.groups else f"resample={self.resample}"
            raise ValueError(f"{why} compares answers to one prompt: group must be at least 2")
        if answers < 2 or self.minibatches > answers:
            raise ValueError(
                f"batch={self.batch} times group={self.group} are {answers} answers: too few for "
                f"baseline={name} and minibatches={self.minibatches}"
            )
        if isinstance(self.missing_eos, Overlong) and self.missing_eos.last > self.longest:
            raise ValueError(
                f"missing_eos.last={self.missing_eos.last} is more than longest={self.longest}"
            )
        return self


@dataclass(frozen=True)
class Group:
    """Answers to one prompt, and what each is worth; None where nobody could say."""

    said: tuple[Rollout, ...]
    scores: tuple[float | None, ...]

    def tells(self, baseline: Baseline) -> bool:
        """Whether anything can be learned from it."""
        score_PG, real_PG = table([self])
        return bool(real_PG.any() and not (baseline.groups and flat(score_PG, real_PG).any()))


@dataclass
class Batch:
    """The groups that a step learns from, why other answers are left out, and what was seen."""

    groups: list[Group]
    dropped: dict[str, str] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    shown: list[dict[str, object]] = field(default_factory=list)
    """a few answers for people to read"""

    def price(self, kl_B: Tensor) -> None:
        """Say of the answers that are shown how far each has gone from the reference."""
        told = dict(zip((r.id for r in self.known), kl_B.tolist(), strict=True))
        self.shown = [one | {"kl": told.get(str(one["id"]))} for one in self.shown]

    def leave_out(self, groups: Sequence[Group], why: str) -> None:
        """Learn from none of these; what has a reason already keeps it."""
        self.dropped = {r.id: why for g in groups for r in g.said} | self.dropped

    def settle(self, cfg: Groups, dead_B: Tensor) -> Tensor:
        """rest_B: the answers with a score whose tokens are learned from, or at least count in the
        denominators; the others are left out, and so are those of a flat group without a gradient.
        """
        cut_B = [isinstance(cfg.missing_eos, Unlearned) and r.finish != "stop" for r in self.known]
        flat = {r.id for g in self.groups if not g.tells(cfg.baseline) for r in g.said}
        for said, cut, dead in zip(self.known, cut_B, dead_B.tolist(), strict=True):
            if cut:
                self.dropped[said.id] = CUT
            elif dead and said.id in flat:
                self.dropped[said.id] = NO_SIGNAL
        return ~torch.tensor(cut_B)

    @property
    def known(self) -> list[Rollout]:
        """The answers that have a score, in order."""
        return [
            r for g in self.groups for r, s in zip(g.said, g.scores, strict=True) if s is not None
        ]


def table(groups: Sequence[Group]) -> tuple[Tensor, Tensor]:
    """(score_PG, real_PG): 0 and False where there is no score."""
    told = [[0.0 if s is None else s for s in g.scores] for g in groups]
    real = [[s is not None for s in g.scores] for g in groups]
    return torch.tensor(told), torch.tensor(real)


def lay(groups: Sequence[Group]) -> tuple[Grouped, Tensor]:
    """(tokens, logp_BT) of the answers that have a score; logp as they were sampled."""
    known = [[r for r, s in zip(g.said, g.scores, strict=True) if s is not None] for g in groups]
    tokens = grouped([(few[0].prompt_ids, [r.response_ids for r in few]) for few in known if few])
    return tokens, align([r.logp for few in known for r in few], tokens.mask_BT)


@dataclass(frozen=True)
class Asker:
    """Who is asked what, and who judges."""

    cfg: Groups
    run: Run
    policy: Policy
    reward: Reward
    gold: Reward | None
    seed: int

    def collect(self, stream: Stream[common.Asked], index: int, place: int) -> tuple[Batch, int]:
        """The batch of this index, its prompts taken from `place` of the stream on; and how many
        batches of prompts that took, at most cfg.resample.
        """
        cfg, batch, rounds = self.cfg, Batch([]), 0
        said: list[Rollout] = []
        while rounds < cfg.resample and len(batch.groups) < cfg.batch:
            fresh = self._ask(stream.at(place + rounds), index, rounds * cfg.batch, batch)
            said += [r for group in fresh for r in group.said]
            batch.groups += self._kept(fresh, batch)
            rounds += 1
        batch.leave_out(batch.groups[cfg.batch :], FULL)
        del batch.groups[cfg.batch :]
        self.run.ledger.issued(self.run.completed, said)
        batch.seen |= common.watched(self.gold, said)
        return batch, rounds

    def _ask(
        self, asked: Sequence[common.Asked], index: int, first: int, batch: Batch
    ) -> list[Group]:
        """Groups of answers to these prompts; what was seen of them goes into the batch."""
        cfg = self.cfg
        said = self.policy.sample(
            [a.ids for a in asked],
            n=cfg.group,
            longest=cfg.longest,
            seed=self.seed,
            how=Sampling(cfg.temperature),
            names=[f"{index}.{first + place}" for place in range(len(asked))],
            watch=self.run.tick,
        )
        rule = cfg.missing_eos if isinstance(cfg.missing_eos, Ending) else None
        known, scores, dropped = common.judged(rule, self.policy.speller, said, self.reward)
        batch.dropped |= dropped
        worth = cfg.shape(known, scores)
        if isinstance(over := cfg.missing_eos, Overlong):
            worth = [over(r, s, cfg.longest) for r, s in zip(known, worth, strict=True)]
        if not batch.shown:
            batch.shown = common.excerpt(self.policy.speller, known, scores)
        by_id = {r.id: s for r, s in zip(known, worth, strict=True)}
        G = cfg.group
        lots = [tuple(said[i : i + G]) for i in range(0, len(said), G)]
        groups = [Group(few, tuple(by_id.get(r.id) for r in few)) for few in lots]
        _note(batch.seen, groups, worth)
        return groups

    def _kept(self, fresh: list[Group], batch: Batch) -> list[Group]:
        """All of them, unless those that tell nothing can be replaced."""
        if self.cfg.resample == 1:
            return fresh
        tells = [group.tells(self.cfg.baseline) for group in fresh]
        batch.leave_out([g for g, t in zip(fresh, tells, strict=True) if not t], NO_SIGNAL)
        return [g for g, t in zip(fresh, tells, strict=True) if t]


def _note(seen: dict[str, float], groups: Sequence[Group], worth: Sequence[float]) -> None:
    """What a round of answers was like, averaged with the rounds before it."""
    score_PG, real_PG = table(groups)
    told, score_N = [r for g in groups for r in g.said], torch.tensor(worth)
    new = {
        "objective/scores": float(score_N.mean()),
        "objective/scores_std": float(score_N.std(correction=0)),
        "completions/mean_length": common.means([len(r.response_ids) for r in told]),
        "completions/clipped_ratio": common.means([r.finish == "length" for r in told]),
        "groups/no_signal": float(flat(score_PG, real_PG).float().mean()),
    }
    rounds = seen.get("groups/rounds", 0.0)
    for key, value in new.items():
        seen[key] = (seen.get(key, 0.0) * rounds + value) / (rounds + 1)
    seen["groups/rounds"] = rounds + 1


class Ahead:
    """Batches that were sampled before their turn (lag), and how far the prompts are read.

    A part that a run keeps.
    """

    def __init__(self) -> None:
        self.kept = False
        self.place = self.next = 0
        """the next batch of prompts; the next batch of answers"""
        self.waiting: list[Batch] = []

    def put(self, batch: Batch, rounds: int) -> None:
        """One more, made of so many batches of prompts."""
        self.waiting.append(batch)
        self.place, self.next = self.place + rounds, self.next + 1

    def take(self) -> Batch:
        """The oldest."""
        return self.waiting.pop(0)

    def save(self, folder: Path) -> None:
        """All of it, as JSON; numbers come back exactly."""
        told = {
            "place": self.place,
            "next": self.next,
            "waiting": [asdict(batch) for batch in self.waiting],
        }
        (folder / "ahead.json").write_text(json.dumps(told))

    def load(self, folder: Path) -> None:
        """As it was."""
        told = json.loads((folder / "ahead.json").read_text())
        self.place, self.next = told["place"], told["next"]
        self.waiting = [
            Batch([_group(g) for g in one.pop("groups")], **one) for one in told["waiting"]
        ]


def _group(told: Mapping[str, Any]) -> Group:
    said: list[Any] = [
        {k: tuple(v) if isinstance(v, list) else v for k, v in one.items()} for one in told["said"]
    ]
    return Group(tuple(Rollout(**one) for one in said), tuple(told["scores"]))
