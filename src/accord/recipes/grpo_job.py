"""Policy gradients without a critic as a stage and as a command: prompts in, a policy out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from accord.data.comparisons import fingerprint
from accord.engine.roles import Policy
from accord.errors import BadSettings
from accord.models.load import fastest
from accord.recipes import grpo
from accord.recipes.common import spell_prompts
from accord.recipes.job import Desk, FactsJob, opened, origins, read
from accord.recipes.judging import CALLS, Bench, Rewards
from accord.recipes.stage import Made, Place, Work, carry_out, room_for
from accord.records import Prompt
from accord.rewards.base import Reward, which
from accord.rewards.learned import Learned
from accord.rewards.reasoning import Reasoning
from accord.store.artifact import Artifact
from accord.store.run import Run


class GRPOJob(Rewards, FactsJob):
    """Train a policy against a reward, without a critic."""

    out: Path = Path("runs/grpo")
    """where the run, and the policy it makes, is kept; the same command again goes on from there"""
    prompts: Path | None = None
    """prompts: a file, folder or hub id; any shape of docs/data.md"""
    reasoning: Reasoning | None = None
    """or tasks of reasoning-gym: its prompts, and its checker as the reward (reasoning, by name)"""
    on_cpu: tuple[Literal["reference", "reward"], ...] = ()
    """frozen models that stay in main memory and compute there, comma-separated: slower, and room
    on the GPU for what is trained; without a GPU all do"""

    def source(self) -> None:
        """BadSettings unless prompts come from one place, and there is a reward."""
        if (self.prompts is None) == (self.reasoning is None):
            raise BadSettings("GRPO needs prompts: say prompts=FILE, or reasoning.task=NAME")
        if self.reasoning is None:
            self.some("GRPO")


def grpo_stage(
    place: Place,
    cfg: grpo.GRPO,
    start: Policy,
    judge: Reward,
    prompts: Sequence[Prompt],
    *,
    parents: Sequence[Artifact | str] = (),
    gold: Reward | None = None,
) -> Made[Policy]:
    """The policy that `judge` prefers, as `<out>/policy`; `parents` say where the judge is from."""
    asked, tally = spell_prompts(prompts, start.speller, room_for(cfg.longest, start))
    place.check(tally, "prompts")

    def make(run: Run) -> tuple[Policy, dict[str, float]]:
        made = grpo.train(cfg, run, start, judge, asked, seed=place.seed, gold=gold)
        return made, {k: v for k, v in run.history[-1].items() if k != "step" and v is not None}

    named = which(gold) if parents and isinstance(judge, Learned) else which(judge, gold)
    work = Work("policy", place, cfg, start, fingerprint(prompts), (*parents, *named))
    return carry_out(work, Policy, make)


def run_grpo(desk: Desk, job: GRPOJob, cfg: grpo.GRPO) -> Made[Policy]:
    """accord grpo"""
    job.source()
    if cfg.lora is not None and "reference" in job.on_cpu:
        raise BadSettings(
            "on_cpu=reference: with an adapter the reference is the policy itself, its adapter "
            "off, and takes no memory of its own: leave it out of on_cpu, or train the whole model"
        )
    if "reward" in job.on_cpu and not job.reward:
        raise BadSettings("on_cpu=reward: there is no reward model; leave it out of on_cpu")
    place = desk.place(job)
    if job.reasoning is not None:
        prompts: Sequence[Prompt] = job.reasoning.prompts()
        place.tell(f"{len(prompts)} tasks of {job.reasoning.task}")
    else:
        assert job.prompts is not None
        prompts = read(place, job, job.prompts, "prompts")
    compared = read(place, job, job.check, "comparisons") if job.check else ()
    if job.on_cpu and fastest() == "cpu":
        desk.tell("on_cpu changes nothing: there is no GPU here, and all models are on the CPU")
    start = opened(job, on_cpu="reference" in job.on_cpu)
    bench = Bench.of(
        job,
        start.speller,
        prompts,
        compared,
        dtype=job.dtype,
        on_cpu="reward" in job.on_cpu,
        keep=job.out / CALLS,
        tasks=job.reasoning,
    )
    bench.check(desk.tell)
    parents = [*bench.parents, *(origins(job.prompts, place) if job.prompts else ())]
    return grpo_stage(place, cfg, start, bench.reward, prompts, parents=parents, gold=bench.gold)
