"""One stage of the way: records in, a sealed artifact out, resumable, and not made twice.

place = Place(Path("runs/reward"))
made = reward_stage(place, RewardModel(), start, comparisons)
made.handle, made.artifact, made.numbers
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import torch

from accord.data.comparisons import (
    Anew,
    Spelled,
    fingerprint,
    lots,
    sides,
    spell_demonstrations,
    spell_pairs,
    split,
)
from accord.data.rows import Tokens, pad
from accord.data.shown import Answer, Request
from accord.data.texts import spell_texts
from accord.engine.roles import Critic, Policy
from accord.errors import BadSettings
from accord.maths.preference import BradleyTerry, Preference
from accord.recipes import ppo, reward, sft
from accord.recipes.common import spell_prompts
from accord.recipes.mixing import Mixed, apart
from accord.recipes.stage import Made, Place, Work, carry_out, room_for, room_in
from accord.records import Comparison, Demonstration, Ids, Prompt
from accord.rewards.base import Reward, which
from accord.rewards.learned import Learned, as_judged
from accord.store.artifact import Artifact
from accord.store.run import Run

REFERENCES = 256
"""answers a reward model is normalised on (Ziegler et al. 2019)"""


def sft_stage(
    place: Place,
    cfg: sft.SFT,
    start: Policy,
    demonstrations: Sequence[Demonstration],
    *,
    parents: Sequence[Artifact] = (),
) -> Made[Policy]:
    """A policy that speaks like the demonstrations, as `<out>/policy`."""
    rows, tally = spell_demonstrations(demonstrations, start.speller, room_in(cfg.longest, start))
    place.check(tally, "demonstrations")
    train, held_out = split(rows, cfg.held_out, seed=place.seed)

    def make(run: Run) -> tuple[Policy, dict[str, float]]:
        place.parted(train, held_out, cfg)
        policy = sft.train(cfg, run, start, train, held_out, seed=place.seed)
        if not held_out:
            return policy, {}
        return policy, {"eval/loss": sft.measure(policy, held_out, cfg.loss_on)}

    work = Work("policy", place, cfg, start, fingerprint(demonstrations), tuple(parents))
    return carry_out(work, Policy, make)


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
    room = room_in(cfg.longest, start)
    rows, tally = spell_pairs(comparisons, start.speller, room, cfg.shown)
    place.check(tally, "comparisons")
    train, held_out = sides(rows, comparisons, cfg.shown, cfg.held_out, place.seed)
    _heard(cfg.loss, train, place.tell)
    varies = isinstance(cfg.shown, Request) and cfg.shown.facts
    anew = Anew(comparisons, start.speller, cfg.shown, room, place.seed) if varies else None

    def make(run: Run) -> tuple[Critic, dict[str, float]]:
        place.parted(train, held_out, cfg)
        judge = Critic.on(start, seed=place.seed, shown=cfg.shown)
        answers = _references(cfg, start, train, place.seed)
        if cfg.normalise == "mean-and-std":
            reward.normalise(judge, answers, cfg.normalise)
        critic = reward.train(cfg, run, judge, train, held_out, anew=anew, seed=place.seed)
        reward.normalise(critic, answers, cfg.normalise)
        return critic, reward.measure(critic, held_out) if held_out else {}

    data = fingerprint(comparisons)
    return carry_out(Work("reward", place, cfg, start, data, tuple(parents)), Critic, make)


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
    work = Work("policy", place, cfg, start, data, made_with)
    return carry_out(work, Policy, make)


def _references(
    cfg: reward.RewardModel, start: Policy, rows: Sequence[Spelled], seed: int
) -> Tokens | Iterator[Tokens]:
    """The answers whose mean score becomes 0: some that `start` gives, or all preferred ones."""
    if cfg.normalise != "mean-and-std":
        return map(_preferred, lots(rows))
    if cfg.shown != Answer():
        raise BadSettings(
            "normalise=mean-and-std scores answers as they stand, and shown=Request shows more: "
            "say normalise=mean, or none"
        )
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
