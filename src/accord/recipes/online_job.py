"""On-line preference learning as a stage and as a command: a reward in, a policy out."""

from collections.abc import Sequence
from pathlib import Path

from accord.data.comparisons import fingerprint
from accord.engine.roles import Policy
from accord.errors import BadData
from accord.recipes import online
from accord.recipes.common import means, spell_prompts
from accord.recipes.job import Desk, FactsJob, opened, origins, read
from accord.recipes.judging import CALLS, Bench, Rewards
from accord.recipes.stage import Made, Place, Work, carry_out, room_for
from accord.records import Prompt
from accord.rewards.base import Reward, which
from accord.rewards.learned import Learned
from accord.store.artifact import Artifact
from accord.store.run import Run

FEW = 0.1
"""less than this share of prompts with a pair is worth a word"""


class OnlineJob(Rewards, FactsJob):
    """Learn a policy from comparisons of its own answers."""

    out: Path = Path("runs/online")
    """where the run, and the policy it makes, is kept; the same command again goes on from there"""
    prompts: Path
    """prompts: a file, folder or hub id; any shape of docs/data.md"""


def online_stage(
    place: Place,
    cfg: online.Online,
    start: Policy,
    judge: Reward,
    prompts: Sequence[Prompt],
    *,
    parents: Sequence[Artifact | str] = (),
    gold: Reward | None = None,
) -> Made[Policy]:
    """The policy whose answers `judge` prefers, as `<out>/policy`."""
    asked, tally = spell_prompts(prompts, start.speller, room_for(cfg.longest, start))
    place.check(tally, "prompts")
    if cfg.objective.needs_mismatch and len({one.ids for one in asked}) < 2:
        raise BadData("KTO compares with answers to other prompts: give two prompts or more")

    def make(run: Run) -> tuple[Policy, dict[str, float]]:
        made = online.train(cfg, run, start, judge, asked, seed=place.seed, gold=gold)
        share = means([row["pairs/share"] for row in run.history])
        if share < FEW:
            place.tell(
                f"only {share:.0%} of the prompts gave a pair: their answers scored alike; more "
                "answers (n), a higher temperature, or a finer reward gives more to learn from"
            )
        return made, {k: v for k, v in run.history[-1].items() if k != "step" and v is not None}

    named = which(gold) if parents and isinstance(judge, Learned) else which(judge, gold)
    work = Work("policy", place, cfg, start, fingerprint(prompts), (*parents, *named))
    return carry_out(work, Policy, make)


def run_online(desk: Desk, job: OnlineJob, cfg: online.Online) -> Made[Policy]:
    """accord online"""
    job.some("on-line preference learning")
    place = desk.place(job)
    prompts = read(place, job, job.prompts, "prompts")
    compared = read(place, job, job.check, "comparisons") if job.check else ()
    start = opened(job)
    bench = Bench.of(job, start.speller, prompts, compared, dtype=job.dtype, keep=job.out / CALLS)
    bench.check(desk.tell)
    parents = [*bench.parents, *origins(job.prompts, place)]
    return online_stage(place, cfg, start, bench.reward, prompts, parents=parents, gold=bench.gold)
