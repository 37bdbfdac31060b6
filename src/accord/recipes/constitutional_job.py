"""Constitutional AI as a command: a constitution and prompts in, a policy and a report out.

Below `out`: `revise/`, `sft/`, `compare/`, `reward/`, `ppo/`, `report/`, and `calls/`, what models
were asked.  A stage that was made from just the same is not made again; calls are not made twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from accord.config import plain
from accord.data.comparisons import Spelled, digest, spell_pairs, split, without
from accord.data.constitution import Constitution, read_constitution
from accord.engine.calls import WORD, Budget, Calls, Dry
from accord.engine.llm import LLM
from accord.engine.local import Local
from accord.engine.roles import Critic, Policy
from accord.errors import BadSettings
from accord.evaluate import report
from accord.evaluate.outcome import Answer
from accord.evaluate.outcome import compare as outcome
from accord.evaluate.tell import ANSWERS
from accord.recipes.common import spell_prompts
from accord.recipes.constitutional import Constitutional, compare, revise
from accord.recipes.constitutional_stages import Written, compare_stage, revise_stage
from accord.recipes.job import Desk, FactsJob, Heard, opened, origins, read
from accord.recipes.pipeline import FLATTERS, ITSELF
from accord.recipes.revising import Revise
from accord.recipes.reward import RewardModel, measure
from accord.recipes.stage import Made, Place, room_for
from accord.recipes.stages import ppo_stage, reward_stage, sft_stage
from accord.recipes.verdict import answers, facts, kl_target, publish
from accord.recipes.weighing import Pair
from accord.records import Comparison, Prompt
from accord.rewards.asking import Asked, open_llm
from accord.rewards.base import Reward
from accord.rewards.guard import Guard, Guarded
from accord.rewards.learned import Learned
from accord.rewards.reader import Reader
from accord.store.artifact import Artifact


class ConstitutionJob(FactsJob, Heard):
    """A constitution, and what it is put to work on."""

    out: Path = Path("runs/constitution")
    """where each stage is kept, and what was asked; the same command again goes on from there"""
    constitution: Path = Path("helpful-harmless-honest")
    """a YAML file, three sentences are enough; or the name of one that ships"""
    base: str | None = None
    """the pretrained model that learns from the revisions; none: the model itself"""
    llm: str | None = None
    """who criticises, revises and compares: a folder or hub id, or a server as http://host/v1#NAME;
    none: the model itself"""
    asked: Asked = Asked()
    """how that model is spoken to, what it may cost, and asked.dry=true: only tell the cost"""
    prompts: Path
    """prompts that ask for what the constitution is against: a file, folder or hub id"""
    helpful: Path | None = None
    """prompts that ask for help; the model's answers are learned from as they are"""
    comparisons: Path | None = None
    """people's comparisons of helpfulness, learned from beside the AI labels; or STORE#STUDY"""
    rule: str | None = None
    """file.py:function(prompt, answer, ended) -> number: what is really wanted, for the report"""


@dataclass(frozen=True)
class Given:
    """What a constitution is put to work on."""

    prompts: Sequence[Prompt]
    """that ask for what the constitution is against, such as red-team prompts"""
    helpful: Sequence[Prompt] = ()
    """that ask for help; answered by the model as it is"""
    comparisons: Sequence[Comparison] = ()
    """people's, of helpfulness"""
    origins: Sequence[Artifact] = ()
    """the artifacts that all this came from"""


@dataclass(frozen=True)
class Walked:
    """The stages, and the page about them."""

    revisions: Written
    sl: Made[Policy]
    labels: Written
    reward: Made[Critic]
    policy: Made[Policy]
    report: Artifact


def walk(
    place: Place,
    cfg: Constitutional,
    c: Constitution,
    llm: LLM,
    model: Policy,
    base: Policy,
    given: Given,
    gold: Reward | None = None,
) -> Walked:
    """All stages; `model` answers first and is revised, `base` (pretrained) learns from it.

    `gold`, what is really wanted, is only measured; without it the report is by the preference
    model, and says so.
    """
    able(c, cfg, given)
    learn, tests = split(given.prompts, cfg.held_out, seed=place.seed)
    spelled, tally = spell_prompts(tests, base.speller, room_for(cfg.ppo.longest, base))
    place.check(tally, "prompts held out")
    helpful = without(given.helpful, tests)
    revisions = revise_stage(
        place.below("revise"), cfg.revise, c, llm, model, learn, helpful, parents=given.origins
    )
    sl = sft_stage(
        place.below("sft"), cfg.sft, base, revisions.records, parents=(revisions.artifact,)
    )
    labels = compare_stage(place.below("compare"), cfg.compare, c, llm, sl.handle, learn)
    people = without(given.comparisons, tests)
    both = mixed(labels.records, people, cfg.compare.helpful, place)
    judged = reward_stage(
        place.below("reward"),
        cfg.reward,
        sl.handle,
        both,
        parents=(labels.artifact, *given.origins),
    )
    speller = sl.handle.speller
    learned = Learned(judged.handle, speller, Reader(speller, given.prompts))
    trained = ppo_stage(
        place.below("ppo"),
        cfg.ppo,
        sl.handle,
        learned,
        judged.handle if cfg.ppo.critic != "zero" else None,
        [*learn, *helpful],
        parents=(judged.artifact,),
        gold=gold,
    )
    made = (revisions, sl, labels, judged, trained)

    def page() -> report.Report:
        judges = (gold, learned) if gold else (learned, None)
        told = [answers(p, spelled, cfg.ppo, *judges) for p in (sl.handle, trained.handle)]
        sides = agreement(cfg.reward, judged.handle, both, llm.which, place.seed)
        return _page(place, cfg, c, llm, made, told, gold is None, sides)

    parents = (revisions.artifact, labels.artifact, judged.artifact, trained.artifact)
    sealed = publish(place.out / "report", page, cfg, parents, tests)
    return Walked(*made, sealed)


def able(c: Constitution, cfg: Constitutional, given: Given) -> None:
    """BadSettings for what would be missing at a later stage."""
    for rows, what in ((c.revise, "revise"), (c.compare, "compare")):
        if not rows:
            raise BadSettings(f"the constitution {c.name!r} has no principle: add {what!r} to it")
    if not split(given.prompts, cfg.held_out)[1]:
        raise BadSettings(
            f"none of {len(given.prompts)} prompts can be kept for the report "
            f"(held_out={cfg.held_out}): give two different ones or more"
        )
    if cfg.compare.helpful and not given.comparisons:
        raise BadSettings(
            f"compare.helpful={cfg.compare.helpful} is a share of people's comparisons, and there "
            "are none: give comparisons=FILE, or compare.helpful=none"
        )


def mixed(
    labels: Sequence[Comparison], people: Sequence[Comparison], share: float | None, place: Place
) -> list[Comparison]:
    """AI labels of harm and people's of helpfulness, of which a share; what is left out is told."""
    if share is None:
        return [*labels, *people]
    theirs = min(len(people), round(len(labels) * share / (1 - share)))
    ours = min(len(labels), round(theirs * (1 - share) / share)) if theirs else len(labels)
    if (left := len(labels) + len(people) - ours - theirs) > 0:
        place.tell(
            f"compare.helpful={share}: {ours} AI labels and {theirs} of people's are learned from, "
            f"{left} left out"
        )
    return [*_some(labels, ours, place.seed), *_some(people, theirs, place.seed)]


def agreement(
    cfg: RewardModel, judged: Critic, both: Sequence[Comparison], who: str, seed: int
) -> dict[str, float]:
    """How often the preference model agrees with held-out labels, AI's and people's apart: of two
    kinds that want different things, one may be learned and the other not.
    """
    room = min(cfg.longest, judged.context)
    sides: dict[str, Sequence[Spelled]] = {}
    for name, ai in (("AI labels", True), ("people's", False)):
        theirs = [one for one in both if (one.judge == who) == ai]
        sides[name] = spell_pairs(theirs, judged.speller, room, cfg.shown)[0]
    _, held_out = split([row for rows in sides.values() for row in rows], cfg.held_out, seed=seed)
    prompts, told = {row.prompt_ids for row in held_out}, {}
    for name, rows in sides.items():
        few = [row for row in rows if row.prompt_ids in prompts]
        if "accuracy" in (numbers := measure(judged, few) if few else {}):
            told[f"agrees with {name}"] = numbers["accuracy"]
            told[f"{name} held out"] = float(len(few))
    return told


def _some(rows: Sequence[Comparison], n: int, seed: int) -> list[Comparison]:
    """n by chance, in their order."""
    order = sorted(range(len(rows)), key=lambda i: digest([seed, i]))
    return [rows[i] for i in sorted(order[:n])]


def _page(
    place: Place,
    cfg: Constitutional,
    c: Constitution,
    llm: LLM,
    made: tuple[Written, Made[Policy], Written, Made[Critic], Made[Policy]],
    told: Sequence[list[Answer]],
    flatters: bool,
    sides: dict[str, float],
) -> report.Report:
    revisions, sl, labels, judged, trained = made
    old, new = told
    policy, first = (str(one.artifact.folder) for one in (trained, sl))
    notes = (FLATTERS,) if flatters else ()
    return report.Report(
        title="What the constitution changed",
        subtitle=f"{cfg.ppo.steps} steps of PPO against the supervised model that they began with. "
        f"Labels by {llm.which}, under {c.name!r}.",
        outcome=outcome(old, new, trained.history, kl_target=kl_target(cfg.ppo)),
        subject=ITSELF if flatters else ANSWERS,
        notes=notes,
        stages=(
            report.Stage("Revise", f"{cfg.revise.rounds} rounds, all learned from.", sl.seconds),
            report.Stage("Learn the reward", "From AI labels and people's.", judged.seconds),
            report.Stage("Train", f"{cfg.ppo.steps} steps of PPO.", trained.seconds),
        ),
        history=trained.history,
        stories=report.pick(old, new),
        reward_model=judged.numbers,
        files=(
            report.File(policy, "The trained model", trained.artifact.id),
            report.File(first, "The supervised model", sl.artifact.id),
            report.File(str(revisions.artifact.folder), "The revisions", revisions.artifact.id),
            report.File(str(labels.artifact.folder), "The AI labels", labels.artifact.id),
        ),
        next=(
            report.Command(f"accord sample model={policy} prompt='…'", "Ask the trained model."),
            report.Command(f"accord runs {place.out}", "See what was made from what."),
        ),
        method={
            "Revisions, round by round": revisions.artifact.numbers,
            "AI labels": labels.artifact.numbers,
            "Preference model": sides,
            "Revising": plain(cfg.revise),
            "Comparing": plain(cfg.compare),
            "Policy optimisation": plain(cfg.ppo),
            **facts(trained.artifact.parents[0], place.seed),
        },
        seconds=sl.seconds + judged.seconds + trained.seconds,
        made=f"Made {date.today():%d %B %Y} by Accord",
    )


def run_constitution(desk: Desk, job: ConstitutionJob, cfg: Constitutional) -> Walked | str:
    """accord constitution; of a dry run, what it would come to"""
    place = desk.place(job)
    c = read_constitution(job.constitution)  # a typo costs no minute
    files = [path for path in (job.prompts, job.helpful, job.comparisons) if path]
    given = Given(
        read(place, job, job.prompts, "prompts"),
        read(place, job, job.helpful, "prompts") if job.helpful else (),
        read(place, job, job.comparisons, "comparisons") if job.comparisons else (),
        tuple(one for path in files for one in origins(path, place)),
    )
    able(c, cfg, given)
    idle(job, cfg, desk.tell)
    if job.asked.dry:
        return rehearsed(place, job, cfg, c, given)
    model = opened(job)
    base = model if job.base is None else opened(job.model_copy(update={"model": job.base}))
    llm = listening(place, job, model)
    reader = Reader(base.speller, given.prompts)
    gold = Guarded(job.rule, reader, Guard()) if job.rule else None
    return walk(place, cfg, c, llm, model, base, given, gold)


def idle(job: ConstitutionJob, cfg: Constitutional, tell: Callable[[str], None]) -> None:
    """Say what was set and changes nothing."""
    if job.llm is None and replace(job.asked, budget=Budget(), dry=False) != Asked():
        tell("the model itself is asked (llm=none): of asked.… only budget and dry count")
    if job.helpful is None and cfg.revise.helpful != Revise().helpful:
        tell("there are no helpful prompts (helpful=FILE): revise.helpful changes nothing")


def listening(place: Place, job: ConstitutionJob, model: Policy) -> LLM:
    """The model that is asked; what it answered is kept in `calls/` and not asked again."""
    file = place.out / "calls" / "calls.jsonl"
    if job.llm is None:
        return Calls(Local(model), file, job.asked.budget, place.tell)
    return open_llm(job.llm, file, job.asked, place.tell)


def rehearsed(
    place: Place, job: ConstitutionJob, cfg: Constitutional, c: Constitution, given: Given
) -> str:
    """What all that is asked would come to, at most; nobody is asked."""
    learn, _ = split(given.prompts, cfg.held_out, seed=place.seed)
    llm = Calls(Dry(job.llm or job.model), None)
    text = WORD * cfg.revise.longest
    revise(cfg.revise, c, llm, learn, [text] * len(learn), seed=place.seed)
    two = (WORD * cfg.compare.longest, " other" + WORD * (cfg.compare.longest - 1))
    pairs = [Pair(str(i), prompt.messages, two) for i, prompt in enumerate(learn)]
    compare(cfg.compare, c, llm, pairs, seed=place.seed)
    return f"at most {llm.spent.told(job.asked.budget)}; nobody was asked"
