"""From judgements to a better model in one go: sft → reward → ppo → report.

A stage whose artifact exists, made from just the same, is not made again; a stage that broke off
goes on from its last commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from accord.config import Settings, plain
from accord.config.limits import Part
from accord.data.comparisons import split, without
from accord.engine.roles import Critic, Policy
from accord.evaluate import report
from accord.evaluate.outcome import Answer, compare
from accord.evaluate.tell import ANSWERS
from accord.recipes.common import spell_prompts
from accord.recipes.ppo import PPO
from accord.recipes.reward import RewardModel
from accord.recipes.sft import SFT
from accord.recipes.stage import Made, Place, room_for
from accord.recipes.stages import ppo_stage, reward_stage, sft_stage
from accord.recipes.verdict import answers, facts, kl_target, publish
from accord.records import Comparison, Demonstration, Prompt
from accord.rewards.base import Reward
from accord.rewards.check import check, held_out
from accord.rewards.learned import Learned
from accord.rewards.reader import Reader
from accord.store import artifact
from accord.store.artifact import Artifact


class Pipeline(Settings):
    """All stages with their settings."""

    sft: SFT = SFT()
    """imitation; left out where there are no demonstrations"""
    reward: RewardModel = RewardModel()
    """the reward model, learned from the comparisons"""
    ppo: PPO = PPO()
    """the policy, trained on the reward model"""
    held_out: Part = 0.2
    """share of the prompts kept for the report; what answers them is not learned from"""


@dataclass(frozen=True)
class Records:
    """What people gave."""

    prompts: Sequence[Prompt]
    comparisons: Sequence[Comparison]
    demonstrations: Sequence[Demonstration] = ()
    origins: Sequence[Artifact] = ()
    """the artifacts that the comparisons came from"""
    shown: Sequence[Artifact] = ()
    """those that the demonstrations came from"""


@dataclass(frozen=True)
class Way:
    """The stages that were walked, and the page about them."""

    reward: Made[Critic]
    policy: Made[Policy]
    report: Artifact


def run(
    place: Place, cfg: Pipeline, start: Policy, records: Records, gold: Reward | None = None
) -> Way:
    """All stages; `gold`, what is really wanted, is only measured.

    Without `gold` the report is by the reward model, and says so.
    """
    asked, tests = split(records.prompts, cfg.held_out, seed=place.seed)
    spelled, tally = spell_prompts(tests, start.speller, room_for(cfg.ppo.longest, start))
    place.check(tally, "prompts held out")
    records = _without(place, records, tests)
    stages = []
    if records.demonstrations:
        imitated = sft_stage(
            place.below("sft"), cfg.sft, start, records.demonstrations, parents=records.shown
        )
        start = imitated.handle
        stages.append(report.Stage("Imitate", "The demonstrations.", imitated.seconds))
    judged = reward_stage(
        place.below("reward"), cfg.reward, start, records.comparisons, parents=records.origins
    )
    every = [*records.prompts, *(Prompt(one.prompt) for one in records.comparisons)]
    learned = Learned(judged.handle, start.speller, Reader(start.speller, every))
    if "accuracy" in judged.numbers and artifact.origin(place.out / "ppo" / "policy") is None:
        kept = held_out(records.comparisons, judged.handle, judged.artifact)
        check(learned, start.speller, kept, judged.numbers["accuracy"])
    trained = ppo_stage(
        place.below("ppo"),
        cfg.ppo,
        start,
        learned,
        judged.handle if cfg.ppo.critic != "zero" else None,
        asked,
        parents=(judged.artifact,),
        gold=gold,
    )

    def page() -> report.Report:
        judges = (gold, learned) if gold else (learned, None)
        old, new = (answers(p, spelled, cfg.ppo, *judges) for p in (start, trained.handle))
        made = _page(place, cfg, judged, trained, (old, new))
        made = replace(made, stages=(*stages, *made.stages))
        return made if gold else replace(made, subject=ITSELF, notes=(FLATTERS,))

    sealed = publish(place.out / "report", page, cfg, (judged.artifact, trained.artifact), tests)
    return Way(judged, trained, sealed)


def _without(place: Place, records: Records, tests: Sequence[Prompt]) -> Records:
    """What nobody learns from: rows that answer a prompt which the report will ask."""
    comparisons = without(records.comparisons, tests)
    demonstrations = without(records.demonstrations, tests)
    for what, left, had in (
        ("comparisons", comparisons, records.comparisons),
        ("demonstrations", demonstrations, records.demonstrations),
    ):
        if len(left) < len(had):
            place.tell(
                f"{len(had) - len(left)} of {len(had)} {what} answer one of the {len(tests)} "
                "prompts kept for the report, and are not learned from"
            )
    return replace(records, comparisons=comparisons, demonstrations=demonstrations)


ITSELF = replace(ANSWERS, rule="the reward model itself", card="Its own score", mark="score")
FLATTERS = (
    "No rule says what is really wanted, so the reward model judged its own pupil: the very thing "
    "that training pushed up. Take the win rate as an upper bound. Give rule=file.py:function, or "
    "have people judge new answers."
)


def _page(
    place: Place,
    cfg: Pipeline,
    judged: Made[Critic],
    trained: Made[Policy],
    told: tuple[list[Answer], list[Answer]],
) -> report.Report:
    policy, reward = (str(made.artifact.folder) for made in (trained, judged))
    return report.Report(
        title="What training changed",
        subtitle=f"{cfg.ppo.steps} steps of PPO, {cfg.ppo.batch} answers each, against the policy "
        "that they began with.",
        outcome=compare(*told, trained.history, kl_target=kl_target(cfg.ppo)),
        stages=(
            report.Stage("Learn the reward", "From the comparisons.", judged.seconds),
            report.Stage("Train", f"{cfg.ppo.steps} steps of PPO.", trained.seconds),
        ),
        history=trained.history,
        stories=report.pick(*told),
        reward_model=judged.numbers,
        files=(
            report.File(policy, "The trained model", trained.artifact.id),
            report.File(reward, "The reward model", judged.artifact.id),
            report.File(f"{place.out}/ppo/metrics.jsonl", "The numbers behind the curves"),
        ),
        next=(
            report.Command(f"accord sample model={policy} prompt='…'", "Ask the trained model."),
            report.Command(f"accord runs {place.out}", "See what was made from what."),
        ),
        method={
            "Policy optimisation": plain(cfg.ppo),
            "Reward model": plain(cfg.reward),
            **facts(trained.artifact.parents[0], place.seed),
        },
        seconds=judged.seconds + trained.seconds,
        made=f"Made {date.today():%d %B %Y} by Accord",
    )
