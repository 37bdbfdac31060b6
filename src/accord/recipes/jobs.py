"""What the commands do: files and folders in, a stage or all of them, an artifact out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from accord.config import Settings
from accord.config.limits import Count
from accord.data import judged, sources
from accord.data.beside import Beside
from accord.data.columns import Split
from accord.data.pictured import UNSEEN
from accord.data.shown import Answer
from accord.data.studies import is_study
from accord.engine.draw import Sampling
from accord.engine.roles import Critic, Policy
from accord.errors import BadSettings
from accord.models.load import fastest
from accord.models.lora import base_of
from accord.recipes import ppo, reward, sft
from accord.recipes.common import spell_prompts
from accord.recipes.job import Desk, FactsJob, Heard, Job, opened, origins, read, told, unheard
from accord.recipes.judging import CALLS, Bench, Rewards
from accord.recipes.mixing import Mixed
from accord.recipes.pipeline import Pipeline, Records, Way, run
from accord.recipes.stage import Made, Place, room_for
from accord.recipes.stages import ppo_stage, reward_stage, sft_stage
from accord.records import Demonstration, Message, Prompt, Rollout, ask
from accord.rewards.guard import Guard, Guarded
from accord.rewards.reader import Reader
from accord.text import hub


class SFTJob(Heard, Job):
    """Imitate the demonstrations of a file."""

    out: Path = Path("runs/sft")
    """where the run, and the policy it makes, is kept; the same command again goes on from there"""
    data: Path
    """demonstrations: a file, folder or hub id, any shape of docs/data.md; or STORE#STUDY"""


class RewardJob(Heard, FactsJob):
    """Learn a reward model from the comparisons of a file."""

    out: Path = Path("runs/reward")
    """where the run, and the reward model it makes, is kept; the same command again goes on"""
    data: Path
    """comparisons: a file, folder or hub id, any shape of docs/data.md; or STORE#STUDY"""


class PPOJob(Rewards, FactsJob):
    """Train a policy against a reward."""

    out: Path = Path("runs/ppo")
    """where the run, and the policy it makes, is kept; the same command again goes on from there"""
    prompts: Path
    """prompts: a file, folder or hub id; any shape of docs/data.md"""
    ptx_data: Path | None = None
    """JSON lines with text, or prompt and response: what ptx is to remember"""
    on_cpu: tuple[Literal["reference", "reward"], ...] = ()
    """frozen models that stay in main memory and compute there, comma-separated: slower, and room
    on the GPU for what is trained; without a GPU all do"""


class PipelineJob(Heard, FactsJob):
    """From judgements to a better model and a report about it."""

    out: Path = Path("runs/pipeline")
    """where all stages are kept, each in a folder of its own"""
    prompts: Path
    """prompts: a file, folder or hub id; any shape of docs/data.md"""
    comparisons: Path
    """comparisons: a file, folder or hub id, any shape of docs/data.md; or STORE#STUDY"""
    demonstrations: Path | None = None
    """demonstrations, imitated first; none: begin with the reward model"""
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
    system: str | None = None
    """a system message before it"""
    prompts: Path | None = None
    """or many: JSON lines with prompt, or messages; or STORE#STUDY"""
    n: Count = 1
    """answers to each"""
    longest: Count = 200
    """the most tokens an answer may have"""
    how: Sampling = Sampling()
    """temperature, top_p, top_k, min_p"""
    seed: int = 0
    """the same seed, the same answers"""
    files: Split = Split()
    """how prompts= is read"""
    dtype: Literal["fp32", "bf16", "int8", "int4"] = "fp32"
    """precision of matrix products; int8 and int4: quantised weights"""
    template: Literal["auto", "plain", "turns", "chat"] = "auto"
    """how conversations are spelled"""


def run_sft(desk: Desk, job: SFTJob, cfg: sft.SFT) -> Made[Policy]:
    """accord sft"""
    place = desk.place(job)
    # before the model: a typo costs no minute
    demonstrations = read(place, job, job.data, "demonstrations")
    return sft_stage(place, cfg, opened(job), demonstrations, parents=origins(job.data, place))


def run_reward(desk: Desk, job: RewardJob, cfg: reward.RewardModel) -> Made[Critic]:
    """accord reward"""
    place = desk.place(job)
    comparisons = read(place, job, job.data, "comparisons")
    if job.files.facts and cfg.shown == Answer():
        place.tell("facts= changes nothing: shown=Answer shows none; say shown=Request")
    return reward_stage(place, cfg, opened(job), comparisons, parents=origins(job.data, place))


def run_ppo(desk: Desk, job: PPOJob, cfg: ppo.PPO) -> Made[Policy]:
    """accord ppo"""
    job.some("PPO")
    if not job.reward and cfg.critic != "zero":
        raise BadSettings("there is no reward model to start the critic from: say critic=zero")
    if cfg.ptx and not job.ptx_data:
        raise BadSettings("ptx has no text to remember: say which, ptx_data=FILE, or ptx=none")
    if job.ptx_data and not cfg.ptx:
        raise BadSettings(f"nothing remembers the text of ptx_data={job.ptx_data}: say ptx=Ptx")
    _separate(job, cfg)
    place = desk.place(job)
    texts = _texts(place, job, job.ptx_data) if job.ptx_data else ()
    prompts = read(place, job, job.prompts, "prompts")
    compared = read(place, job, job.check, "comparisons") if job.check else ()
    if job.on_cpu and fastest() == "cpu":
        desk.tell("on_cpu changes nothing: there is no GPU here, and all models are on the CPU")
    start = opened(job, on_cpu="reference" in job.on_cpu)
    aside = "reward" in job.on_cpu
    keep = job.out / CALLS
    bench = Bench.of(
        job, start.speller, prompts, compared, dtype=job.dtype, on_cpu=aside, keep=keep
    )
    bench.check(desk.tell)
    critic = bench.critic() if cfg.critic != "zero" else None
    parents = [*bench.parents, *origins(job.prompts, place)]
    asked = Mixed(prompts, texts)
    return ppo_stage(
        place, cfg, start, bench.reward, critic, asked, parents=parents, gold=bench.gold
    )


def run_pipeline(desk: Desk, job: PipelineJob, cfg: Pipeline) -> Way:
    """accord pipeline"""
    place = desk.place(job)
    records = Records(
        read(place, job, job.prompts, "prompts"),
        read(place, job, job.comparisons, "comparisons"),
        read(place, job, job.demonstrations, "demonstrations") if job.demonstrations else (),
        origins(job.comparisons, place),
        origins(job.demonstrations, place) if job.demonstrations else (),
    )
    start = opened(job)
    reader = Reader(start.speller, records.prompts)
    gold = Guarded(job.rule, reader, job.guard) if job.rule else None
    return run(place, cfg, start, records, gold)


def run_sample(desk: Desk, job: SampleJob) -> list[tuple[str, list[str]]]:
    """accord sample: (prompt, its answers), in order."""
    prompts = questions(desk, job)
    policy = Policy.open(job.model, dtype=job.dtype, template=job.template)
    said = answered(job, policy, prompts)
    texts = [policy.speller.text(r) for r in said]
    asked = [r.prompt_ids for r in said[:: job.n]]
    return [
        (policy.speller.decode(ids), texts[i * job.n : (i + 1) * job.n])
        for i, ids in enumerate(asked)
    ]


def questions(desk: Desk, job: SampleJob) -> Sequence[Prompt]:
    """What a model is asked: one prompt, or those of a file."""
    if (job.prompt is None) == (job.prompts is None):
        raise BadSettings("give prompt='…', or prompts=FILE")
    if job.system is not None and job.prompt is None:
        raise BadSettings("system='…' goes with prompt='…'; rows of prompts=FILE bring their own")
    if job.prompts is not None:
        found = _glanced(desk, job, job.prompts)
        desk.tell("\n".join(found.tally.lines())) if found.tally.dropped else None
        return found.records
    if given := job.files.given():
        raise BadSettings(
            f"{', '.join(given)}: said of files, and prompt='…' is none: leave it out"
        )
    system = () if job.system is None else (Message.of("system", job.system),)
    return [Prompt((*system, *ask(job.prompt or "")), "0")]


def _glanced(desk: Desk, job: SampleJob, path: Path) -> sources.Read[Prompt]:
    if not is_study(path):
        found: sources.Read[Prompt] = sources.read(path, "prompts", **job.files.how())
        desk.tell(f"{path}: {UNSEEN}") if found.unseen else None
        return found
    unheard(desk.tell, job.files, path)
    return judged.glanced(path, "prompts")


def answered(job: SampleJob, policy: Policy, prompts: Sequence[Prompt]) -> list[Rollout]:
    """n answers to each, side by side."""
    asked, tally = spell_prompts(prompts, policy.speller, room_for(job.longest, policy))
    tally.check(0.0)
    ids = [a.ids for a in asked]
    return policy.sample(ids, n=job.n, longest=job.longest, seed=job.seed, how=job.how)


def _separate(job: PPOJob, cfg: ppo.PPO) -> None:
    """BadSettings where what is to stay on the CPU has no weights of its own."""
    adapts = cfg.lora is not None or base_of(hub.folder(job.model)) is not None
    if adapts and "reference" in job.on_cpu:
        raise BadSettings(
            "on_cpu=reference: with an adapter the reference is the policy itself, its adapter "
            "off, and takes no memory of its own: leave it out of on_cpu, or train the whole model"
        )
    if "reward" in job.on_cpu and not job.reward:
        raise BadSettings("on_cpu=reward: there is no reward model; leave it out of on_cpu")
    if cfg.lora is not None and "reward" in job.on_cpu and cfg.critic != "zero":
        raise BadSettings(
            "on_cpu=reward: with lora the critic is an adapter on the reward model's own weights: "
            "leave it out of on_cpu, or say critic=zero"
        )


def _texts(place: Place, job: Job, path: Path) -> Sequence[Demonstration]:
    if given := job.files.given("images", "facts"):
        place.tell(f"ptx_data={path} is read without {', '.join(given)}: they speak of prompts=")
    return told(place, path, sources.read_texts(path, Beside.of(job.files.images)))
