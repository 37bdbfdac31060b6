"""What the commands do: files and folders in, a stage or all of them, an artifact out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from accord.config import Settings
from accord.config.limits import Count, UpTo1
from accord.data import sources
from accord.data.tally import Tally
from accord.engine.draw import Sampling
from accord.engine.roles import Critic, Policy
from accord.engine.sampler import Watch
from accord.errors import BadSettings
from accord.recipes import ppo, reward, sft
from accord.recipes.common import spell_prompts
from accord.recipes.judging import Bench, Rewards
from accord.recipes.pipeline import Pipeline, Records, Way, run
from accord.recipes.stages import Made, Place, ppo_stage, reward_stage, room_for, sft_stage
from accord.records import Comparison, Demonstration, Prompt, ask
from accord.rewards.guard import Guard, Guarded
from accord.rewards.reader import Reader
from accord.store import artifact
from accord.store.artifact import Artifact
from accord.store.logs import Sink, sink

R = TypeVar("R")


class Job(Settings):
    """What every command that trains is told beside its recipe."""

    model: str
    """the model to begin with: a folder (Hugging Face, or PEFT adapter) or a hub id"""
    out: Path = Path("runs/job")
    """where the run, and what it makes, is kept; the same command again goes on from there"""
    seed: int = 0
    """of data order, sampling, and what a new reward head starts from"""
    dtype: Literal["fp32", "bf16"] = "fp32"
    """precision of matrix products; whole models are trained on fp32 master weights"""
    template: Literal["auto", "plain", "turns", "chat"] = "auto"
    """how conversations are spelled; auto: the model's own chat template, or plain without one"""
    save_every: Count = 10
    """steps between two commits; what a crash can cost"""
    sinks: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """boards that get the numbers too, comma-separated"""
    limit: UpTo1 = 0.05
    """share of rows that may be unusable before the job refuses to begin"""


class SFTJob(Job):
    """Imitate the demonstrations of a file."""

    out: Path = Path("runs/sft")
    """where the run, and the policy it makes, is kept; the same command again goes on from there"""
    data: Path
    """demonstrations: JSON lines with prompt and response, or messages"""


class RewardJob(Job):
    """Learn a reward model from the comparisons of a file."""

    out: Path = Path("runs/reward")
    """where the run, and the reward model it makes, is kept; the same command again goes on"""
    data: Path
    """comparisons: JSON lines with prompt, chosen and rejected, or responses and ranks"""


class PPOJob(Job, Rewards):
    """Train a policy against a reward."""

    out: Path = Path("runs/ppo")
    """where the run, and the policy it makes, is kept; the same command again goes on from there"""
    prompts: Path
    """JSON lines with prompt, or messages"""


class PipelineJob(Job):
    """From judgements to a better model and a report about it."""

    out: Path = Path("runs/pipeline")
    """where all stages are kept, each in a folder of its own"""
    prompts: Path
    """JSON lines with prompt, or messages"""
    comparisons: Path
    """JSON lines with prompt, chosen and rejected, or responses and ranks"""
    demonstrations: Path | None = None
    """JSON lines with prompt and response, imitated first; none: begin with the reward model"""
    rule: str | None = None
    """file.py:function(prompt, answer, ended) -> number: what is really wanted, for the report"""
    guard: Guard = Guard()
    """how that function is kept from harming the run"""


class SampleJob(Settings):
    """Answers of a model."""

    model: str
    """a folder or a hub id"""
    prompt: str | None = None
    """one question, as text"""
    prompts: Path | None = None
    """or many: JSON lines with prompt, or messages"""
    n: Count = 1
    """answers to each"""
    longest: Count = 200
    """the most tokens an answer may have"""
    how: Sampling = Sampling()
    """temperature, top_p, top_k"""
    seed: int = 0
    """the same seed, the same answers"""
    dtype: Literal["fp32", "bf16"] = "fp32"
    """precision of matrix products"""
    template: Literal["auto", "plain", "turns", "chat"] = "auto"
    """how conversations are spelled"""


@dataclass(frozen=True)
class Desk:
    """Who watches a job, and whom it tells what."""

    view: tuple[Sink, ...]
    tell: Callable[[str], None]

    def place(self, job: Job) -> Place:
        """Where this job's stages go."""
        boards = tuple(sink(name, job.out) for name in job.sinks)
        return Place(job.out, job.seed, job.save_every, (*self.view, *boards), self.tell, job.limit)

    @contextmanager
    def count(self, name: str, total: int, unit: str) -> Iterator[Watch]:
        """A bar for work outside of runs; what it yields is told how many more are done."""
        with ExitStack() as stack:
            bars = [stack.enter_context(view.count(name, total, unit)) for view in self.view]

            def watch(n: int) -> None:
                for bar in bars:
                    bar(n)

            yield watch


def run_sft(desk: Desk, job: SFTJob, cfg: sft.SFT) -> Made[Policy]:
    """accord sft"""
    place = desk.place(job)
    demonstrations = _demonstrations(place, job.data)  # before the model: a typo costs no minute
    return sft_stage(place, cfg, _open(job), demonstrations, parents=_origins(job.data))


def run_reward(desk: Desk, job: RewardJob, cfg: reward.RewardModel) -> Made[Critic]:
    """accord reward"""
    place = desk.place(job)
    comparisons = _comparisons(place, job.data)
    return reward_stage(place, cfg, _open(job), comparisons, parents=_origins(job.data))


def run_ppo(desk: Desk, job: PPOJob, cfg: ppo.PPO) -> Made[Policy]:
    """accord ppo"""
    job.some("PPO")
    if not job.reward and cfg.critic == "reward":
        raise BadSettings("there is no reward model to start the critic from: say critic=zero")
    place = desk.place(job)
    prompts = _prompts(place, job.prompts)
    compared = _comparisons(place, job.check) if job.check else ()
    start = _open(job)
    bench = Bench.of(job, start.speller, prompts, compared, dtype=job.dtype)
    bench.check(desk.tell)
    critic = bench.critic() if cfg.critic == "reward" else None
    parents = [*bench.parents, *_origins(job.prompts)]
    return ppo_stage(
        place, cfg, start, bench.reward, critic, prompts, parents=parents, gold=bench.gold
    )


def run_pipeline(desk: Desk, job: PipelineJob, cfg: Pipeline) -> Way:
    """accord pipeline"""
    place = desk.place(job)
    records = Records(
        _prompts(place, job.prompts),
        _comparisons(place, job.comparisons),
        _demonstrations(place, job.demonstrations) if job.demonstrations else (),
        _origins(job.comparisons),
    )
    start = _open(job)
    reader = Reader(start.speller, records.prompts)
    gold = Guarded(job.rule, reader, job.guard) if job.rule else None
    return run(place, cfg, start, records, gold)


def run_sample(desk: Desk, job: SampleJob) -> list[tuple[str, list[str]]]:
    """accord sample: (prompt, its answers), in order."""
    if (job.prompt is None) == (job.prompts is None):
        raise BadSettings("give prompt='…', or prompts=FILE")
    policy = Policy.open(job.model, dtype=job.dtype, template=job.template)
    prompts = [Prompt(ask(job.prompt), "0")] if job.prompt is not None else []
    if job.prompts is not None:
        prompts, tally = sources.read_prompts(job.prompts)
        desk.tell("\n".join(tally.lines())) if tally.dropped else None
    asked, tally = spell_prompts(prompts, policy.speller, room_for(job.longest, policy))
    tally.check(0.0)
    said = policy.sample(
        [a.ids for a in asked],
        n=job.n,
        longest=job.longest,
        seed=job.seed,
        how=job.how,
    )
    texts = [policy.speller.text(r) for r in said]
    return [
        (policy.speller.decode(a.ids), texts[i * job.n : (i + 1) * job.n])
        for i, a in enumerate(asked)
    ]


def _open(job: Job) -> Policy:
    return Policy.open(job.model, dtype=job.dtype, template=job.template)


def _prompts(place: Place, path: Path) -> Sequence[Prompt]:
    return _checked(place, path, *sources.read_prompts(path))


def _demonstrations(place: Place, path: Path) -> Sequence[Demonstration]:
    return _checked(place, path, *sources.read_demonstrations(path))


def _comparisons(place: Place, path: Path) -> Sequence[Comparison]:
    return _checked(place, path, *sources.read_comparisons(path))


def _checked(place: Place, path: Path, records: list[R], tally: Tally) -> list[R]:
    place.check(tally, str(path))
    return records


def _origins(path: Path) -> tuple[Artifact, ...]:
    made = artifact.origin(path)
    return (made,) if made else ()
