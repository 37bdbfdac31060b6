"""One stage of the way: records in, a sealed artifact out, resumable, and not made twice.

place = Place(Path("runs/reward"))
made = reward_stage(place, RewardModel(), start, comparisons)
made.handle, made.artifact, made.numbers
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import torch

from accord.config import Settings, plain
from accord.data.comparisons import (
    Spelled,
    fingerprint,
    lots,
    spell_demonstrations,
    spell_pairs,
    spell_ratings,
    split,
)
from accord.data.rows import Tokens, pad
from accord.data.tally import Tally
from accord.data.texts import spell_texts
from accord.engine.reference import Reference, kept
from accord.engine.roles import Critic, Policy
from accord.errors import BadData, BadSettings
from accord.maths.preference import BradleyTerry, Preference
from accord.models import quantised
from accord.models.load import Dtype
from accord.recipes import dpo, ppo, preferred, reward, sft
from accord.recipes.common import spell_prompts
from accord.recipes.mixing import Mixed, apart
from accord.records import Comparison, Demonstration, Ids, Prompt, Rating
from accord.rewards.base import Reward, which
from accord.rewards.learned import Learned, as_judged
from accord.store import artifact
from accord.store.artifact import Artifact
from accord.store.logs import Sink
from accord.store.record import metrics, seconds
from accord.store.run import Run

H = TypeVar("H", Policy, Critic)
REFERENCES = 256
"""answers a reward model is normalised on (Ziegler et al. 2019)"""


def quiet(said: str) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class Place:
    """Where a stage writes, who watches it, and the seed that makes it repeatable."""

    out: Path
    seed: int = 0
    save_every: int = 10
    """steps between two commits"""
    sinks: tuple[Sink, ...] = ()
    tell: Callable[[str], None] = quiet
    """for what people should read: rows dropped, work that was done before"""
    limit: float = 0.05
    """share of rows that may be unusable before the stage refuses to begin"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "out", Path(self.out))

    def below(self, name: str) -> "Place":
        """A folder further down."""
        return replace(self, out=self.out / name)

    def check(self, tally: Tally, what: str) -> None:
        """Say what was dropped; BadData where it is too much."""
        try:
            tally.check(self.limit)
        except BadData as error:
            raise BadData(f"{what}: {error}\nMend the rows, or say limit=… to go on") from None
        if tally.dropped or tally.noted:
            self.tell(f"{what}: " + "\n".join(tally.lines()))

    def parted(self, train: Sequence[Any], held_out: Sequence[Any]) -> None:
        """Say how many rows are kept aside to measure on."""
        if held_out:
            self.tell(f"{len(train)} rows to learn from, {len(held_out)} held out")


@dataclass(frozen=True)
class Made(Generic[H]):
    """What a stage made, or found made from just the same."""

    handle: H
    artifact: Artifact
    history: list[dict[str, Any]]
    """the lines of metrics.jsonl"""
    seconds: float
    """spent in the steps, whenever that was"""

    @property
    def numbers(self) -> dict[str, float]:
        """What was measured on it when it was sealed."""
        return self.artifact.numbers


def sft_stage(
    place: Place,
    cfg: sft.SFT,
    start: Policy,
    demonstrations: Sequence[Demonstration],
    *,
    parents: Sequence[Artifact] = (),
) -> Made[Policy]:
    """A policy that speaks like the demonstrations, as `<out>/policy`."""
    rows, tally = spell_demonstrations(demonstrations, start.speller, _room(cfg.longest, start))
    place.check(tally, "demonstrations")
    train, held_out = split(rows, cfg.held_out, seed=place.seed)

    def make(run: Run) -> tuple[Policy, dict[str, float]]:
        place.parted(train, held_out)
        policy = sft.train(cfg, run, start, train, held_out, seed=place.seed)
        if not held_out:
            return policy, {}
        return policy, {"eval/loss": sft.measure(policy, held_out, cfg.loss_on)}

    work = _Work("policy", place, cfg, start, fingerprint(demonstrations), tuple(parents))
    return _stage(work, Policy, make)


def reward_stage(
    place: Place,
    cfg: reward.RewardModel,
    start: Policy,
    comparisons: Sequence[Comparison],
    *,
    parents: Sequence[Artifact] = (),
) -> Made[Critic]:
    """A reward model that agrees with the comparisons, as `<out>/reward`.

    It is normalised on the preferred answers (`mean`), or on answers of `start` to the same prompts
    (`mean-and-std`).
    """
    rows, tally = spell_pairs(comparisons, start.speller, _room(cfg.longest, start))
    place.check(tally, "comparisons")
    train, held_out = split(rows, cfg.held_out, seed=place.seed)
    _heard(cfg.loss, train, place.tell)

    def make(run: Run) -> tuple[Critic, dict[str, float]]:
        place.parted(train, held_out)
        judge = Critic.on(start, seed=place.seed)
        answers = _references(cfg.normalise, start, train, place.seed)
        if cfg.normalise == "mean-and-std":
            reward.normalise(judge, answers, cfg.normalise)
        critic = reward.train(cfg, run, judge, train, held_out, seed=place.seed)
        reward.normalise(critic, answers, cfg.normalise)
        return critic, reward.measure(critic, held_out) if held_out else {}

    data = fingerprint(comparisons)
    return _stage(_Work("reward", place, cfg, start, data, tuple(parents)), Critic, make)


def preference_stage(
    place: Place,
    cfg: dpo.Preference,
    start: Policy,
    judged: Sequence[Comparison] | Sequence[Rating],
    *,
    parents: Sequence[Artifact] = (),
) -> Made[Policy]:
    """A policy that agrees with comparisons, or with ratings of single answers, as `<out>/policy`.

    What the reference says of the answers is kept in `<out>/reference`.
    """
    rated = bool(judged) and isinstance(judged[0], Rating)
    spell: Any = spell_ratings if rated else spell_pairs
    rows, tally = spell(judged, start.speller, _room(cfg.longest, start))
    place.check(tally, "ratings" if rated else "comparisons")
    preferred.suits(cfg.objective, rows)
    train, held_out = split(rows, cfg.held_out, seed=place.seed)

    work = _Work("policy", place, cfg, start, fingerprint(judged), tuple(parents))

    def make(run: Run) -> tuple[Policy, dict[str, float]]:
        def refer(reference: Policy, few: Sequence[Spelled]) -> Reference:
            return kept(place.out / "reference", reference, few, preferred.refer, work.dtype)

        loss = cfg.objective
        ref = refer(start, train) if loss.needs_reference else preferred.told_by(start, train, loss)
        ref_held = refer(start, held_out)
        made = dpo.train(
            cfg, run, start, train, held_out, reference=(ref, ref_held), seed=place.seed
        )
        numbers = preferred.measure(made, held_out, ref_held)
        if said := preferred.displaced(numbers):
            place.tell(said)
        return made, numbers

    return _stage(work, Policy, make)


def ppo_stage(
    place: Place,
    cfg: ppo.PPO,
    start: Policy,
    judge: Reward,
    critic: Critic | None,
    prompts: Sequence[Prompt] | Mixed[Prompt, Demonstration],
    *,
    parents: Sequence[Artifact | str] = (),
    gold: Reward | None = None,
) -> Made[Policy]:
    """The policy that `judge` prefers, as `<out>/policy`.

    `prompts` may come with texts that the policy is to remember beside (cfg.ptx).

    `critic` is what the value function starts from; None: from the policy, with a head at zero.
    `parents` say where the judge comes from: they are part of what this stage is made from.
    """
    given = apart(prompts)
    asked, tally = spell_prompts(given.prompts, start.speller, room_for(cfg.longest, start))
    place.check(tally, "prompts")
    texts, tally = spell_texts(given.texts, start.speller, start.context)
    place.check(tally, "texts") if given.texts else None

    if critic is None and cfg.critic != "zero":
        raise BadSettings(f"critic={cfg.critic} needs a reward model to start from: critic=zero")

    def make(run: Run) -> tuple[Policy, dict[str, float]]:
        values = critic if critic is not None else Critic.on(start).zeroed()
        mixed = Mixed(asked, texts)
        made = ppo.train(cfg, run, start, judge, values, mixed, seed=place.seed, gold=gold)
        last = {k: v for k, v in run.history[-1].items() if k != "step" and v is not None}
        return made, last

    named = which(gold) if parents and isinstance(judge, Learned) else which(judge, gold)
    made_with = (*parents, *named)
    data = fingerprint(chain(given.prompts, given.texts))
    work = _Work("policy", place, cfg, start, data, made_with)
    return _stage(work, Policy, make)


@dataclass(frozen=True)
class _Work:
    """All that a stage's result is a function of."""

    kind: str
    place: Place
    cfg: Settings
    start: Policy
    data: str
    parents: tuple[Artifact | str, ...] = ()

    @property
    def dtype(self) -> Dtype:
        """The precision that the start was opened in."""
        trunk = self.start.model.trunk
        if found := quantised.kind(trunk.model):
            return cast(Dtype, found)
        return "bf16" if (trunk.compute or trunk.model.dtype) == torch.bfloat16 else "fp32"

    def told(self) -> dict[str, Any]:
        """As an artifact says it."""
        born = artifact.origin(self.start.source) if self.start.source else None
        return {
            "kind": self.kind,
            "settings": {**plain(self.cfg), "seed": self.place.seed, "dtype": self.dtype},
            "parents": [born or self.start.fingerprint, *self.parents],
            "data": self.data,
            "template": self.start.speller.fingerprint,
        }

    def identity(self, told: dict[str, Any]) -> dict[str, Any]:
        """As a run says it."""
        ids = [p if isinstance(p, str) else p.id for p in told["parents"]]
        keys = ("model", *(f"parent {n}" for n in range(1, len(ids))))
        named = dict(zip(keys, ids, strict=True))
        return (
            named
            | {k: told[k] for k in ("data", "template")}
            | {
                "seed": self.place.seed,
                "dtype": self.dtype,
            }
        )


def _stage(
    work: _Work, kind: type[H], make: Callable[[Run], tuple[H, dict[str, float]]]
) -> Made[H]:
    place, told = work.place, work.told()
    folder = place.out / work.kind
    there = artifact.made(folder, **told)
    if there is not None:
        place.tell(f"{folder} was made from just this before: nothing to do")
        return Made(
            kind.open(folder, dtype=work.dtype), there, metrics(place.out), seconds(place.out)
        )
    run = Run(
        place.out,
        save_every=place.save_every,
        identity=work.identity(told),
        sinks=place.sinks,
    )
    handle, numbers = make(run)
    there = artifact.finish(folder, handle.export, numbers=numbers, **told)
    handle.source = folder  # what is made from it is made from this artifact
    if handle.model.trunk.compute is not None:  # sealed, its fp32 weights are opened rounded
        handle = kind.open(folder, dtype=work.dtype)
    return Made(handle, there, run.history, seconds(place.out))


def room_for(answer: int, start: Policy) -> int:
    """The most tokens a prompt may have beside such an answer; BadSettings where none fits."""
    room = start.context - answer - 1  # one for the end that a judge reads
    if room < 1:
        raise BadSettings(
            f"longest={answer}: this model reads {start.context} tokens, prompt and answer together"
        )
    return room


def _room(longest: int, start: Policy) -> int:
    """No row may be longer than the model's context."""
    return min(longest, start.context)


def _references(
    how: str, start: Policy, rows: Sequence[Spelled], seed: int
) -> Tokens | Iterator[Tokens]:
    """The answers whose mean score becomes 0: some that `start` gives, or all preferred ones."""
    if how != "mean-and-std":
        return map(_preferred, lots(rows))
    prompts = _drawn(rows, seed)
    longest = max(len(ids) for row in rows for ids in row.response_ids)
    room = start.context - max(map(len, prompts)) - 1
    said = start.sample(prompts, longest=min(longest, room), seed=seed)
    return as_judged(said, start.speller.end)


def _drawn(rows: Sequence[Spelled], seed: int) -> list[Ids]:
    """Prompts by chance, each once however often it comes, in the order of the rows."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).tolist()
    found: dict[Ids, int] = {}
    for place in order:
        found.setdefault(rows[place].prompt_ids, place)
        if len(found) == REFERENCES:
            break
    return sorted(found, key=found.__getitem__)


def _heard(loss: Preference, rows: Sequence[Spelled], tell: Callable[[str], None]) -> None:
    """Say so where a margin is asked for that no row has."""
    if isinstance(loss, BradleyTerry) and loss.margin and all(r.strength is None for r in rows):
        tell(
            "loss.margin=true changes nothing: no row says how much better its answer is "
            "(margin or strength)"
        )


def _preferred(rows: Sequence[Spelled]) -> Tokens:
    best = [row.response_ids[row.ranks.index(min(row.ranks))] for row in rows]
    return pad([row.prompt_ids for row in rows], best)
