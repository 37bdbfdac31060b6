"""Grow: many answers to each prompt, scored once."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from accord.config import Settings
from accord.config.limits import Above0, Count
from accord.data.comparisons import Spelled
from accord.data.stream import Stream
from accord.engine.draw import Sampling
from accord.engine.roles import Policy
from accord.maths.selection import Range, Sigmoid
from accord.recipes import common
from accord.recipes.harvest import Harvest, Scored, lines
from accord.records import Rollout
from accord.rewards.base import Reward
from accord.rewards.ending import Absolute, Relative, Sentence
from accord.store.run import Run

LOT = 512
"""answers that are sampled and scored together: a step of a Grow"""


class Grow(Settings):
    """Many answers to each prompt, scored once."""

    n: Count = 16
    """N: answers to each prompt"""
    prompts: Count | None = None
    """how many prompts are answered in a Grow, others each time until all were; none: all"""
    temperature: Above0 = 0.8
    """of sampling, in Grow and when the reward is measured"""
    longest: Count = 128
    """the most tokens an answer may have"""
    missing_eos: Absolute | Relative | Sentence | None = None
    """what becomes of the score of an answer that was cut at `longest`, or lacks a mark"""
    original: bool = True
    """demonstrations stay in the mixture: scored and filtered like what was sampled"""
    scale: Range | Sigmoid = Range()
    """how rewards come into [0, 1]; what it measures, it measures in the first Grow, once"""


@dataclass(frozen=True)
class Given:
    """What there is before the first Grow."""

    asked: Sequence[common.Asked]
    """prompts, each once"""
    originals: Sequence[Spelled] = ()
    """demonstrations"""
    aside: Sequence[common.Asked] = ()
    """prompts to measure on"""


def grow(
    cfg: Grow,
    policy: Policy,
    reward: Reward,
    given: Given,
    run: Run,
    *,
    g: int = 1,
    seed: int = 0,
) -> Harvest:
    """N answers to each prompt, and the original data beside them, all scored once."""
    number = {asked.ids: place for place, asked in enumerate(given.asked)}
    for place, one in enumerate(given.originals, len(given.asked)):
        number.setdefault(one.prompt_ids, place)  # too long to be asked, and still shown
    each, rows, drawn = max(1, LOT // cfg.n), list[Scored](), _drawn(cfg, given, g, seed)
    sampled, originals = ceil(len(drawn) / each), given.originals if cfg.original else ()
    for step in run.steps(cfg, sampled + ceil(len(originals) / LOT)):
        if step < sampled:
            spots = drawn[step * each : (step + 1) * each]
            said = policy.sample(
                [given.asked[spot].ids for spot in spots],
                n=cfg.n,
                longest=cfg.longest,
                seed=seed,
                how=Sampling(cfg.temperature),
                names=[f"{g}.{spot}" for spot in spots],
                watch=run.tick,
            )
        else:
            spots = range(len(originals))[(step - sampled) * LOT :][:LOT]
            said = [as_said(originals[spot], f"data/{spot}") for spot in spots]
        known, scores, dropped = common.judged(cfg.missing_eos, policy.speller, said, reward)
        told = [
            Scored(
                r.id,
                number[r.prompt_ids],
                step >= sampled,
                s,
                r.finish,
                r.prompt_ids,
                r.response_ids,
            )
            for r, s in zip(known, scores, strict=True)
        ]
        rows += told if run.path is None else []
        run.ledger.issued(step, said)
        run.ledger.dropped(step, dropped)
        run.ledger.scored(step, known)
        run.sample(step, [row.line(policy.speller) for row in told])
        run.log(step, **{"raw/mean": common.means(scores)}, answers=len(said), lost=len(dropped))
    return Harvest.of(lines(run.path / "samples.jsonl") if run.path else rows, cfg.scale)


def _drawn(cfg: Grow, given: Given, g: int, seed: int) -> Sequence[int]:
    """The places of the prompts that Grow g answers."""
    if cfg.prompts is None or cfg.prompts >= len(given.asked):
        return range(len(given.asked))
    places = Stream(given.asked, cfg.prompts, seed).places(g - 1)
    return list(dict.fromkeys(places))  # at the end of an epoch one may come twice


def as_said(one: Spelled, name: str) -> Rollout:
    """A demonstration as if it had been sampled."""
    return Rollout(name, one.prompt_ids, one.response_ids[0], (), 0, "stop")
