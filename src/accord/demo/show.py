"""The demo: a storyteller learns what three people like, and the page about it.

stories → judgements → reward model → PPO → measured against the start
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from accord.config import Settings, plain
from accord.config.limits import Count
from accord.data import sources
from accord.data.votes import vote
from accord.demo.openings import openings
from accord.demo.panel import Agreement, Pair, agreement, judge
from accord.demo.rule import ANIMAL, rule
from accord.engine.draw import Sampling
from accord.engine.learner import Optimizer
from accord.engine.roles import Critic, Policy
from accord.evaluate import report
from accord.evaluate.outcome import Answer, compare
from accord.evaluate.tell import Subject
from accord.maths.control import FixedKL
from accord.recipes.common import spell_prompts
from accord.recipes.jobs import Desk
from accord.recipes.pipeline import Way
from accord.recipes.ppo import PPO
from accord.recipes.reward import RewardModel
from accord.recipes.stages import Made, Place, ppo_stage, reward_stage, room_for
from accord.recipes.verdict import answers, facts, kl_target, publish
from accord.records import Comparison, Prompt
from accord.rewards.learned import Learned
from accord.rewards.rules import Rule
from accord.store import artifact, files
from accord.store.artifact import Artifact

SHIPPED = Path(__file__).parent / "storyteller"
STORIES = Subject(
    one="story",
    many="stories",
    prompts="openings",
    rule="the rule",
    wants="half a point for an animal, half for an end in time",
)


class Demo(Settings):
    """A small model, a preference, and all that lies between."""

    out: Path = Path("runs/demo")
    """where everything is kept; the same command again goes on from there"""
    model: str = "storyteller"
    """the small model that ships with Accord, or the folder of another that writes stories"""
    prompts: Annotated[int, Field(ge=2, le=300)] = 200
    """openings to learn from"""
    tests: Annotated[int, Field(ge=2, le=200)] = 200
    """other openings, to measure on"""
    pairs: Count = 2
    """pairs of stories to each opening, for the annotators to judge"""
    seed: int = 0
    """of the openings, the stories and the order of the data"""
    reward: RewardModel = RewardModel(
        epochs=1.5,
        batch=32,
        held_out=0.15,
        lr=3e-4,
        measure_every=5,
        optimizer=Optimizer(micro_tokens=2048),
    )
    """the reward model"""
    ppo: PPO = PPO(
        steps=30,
        batch=48,
        longest=160,
        temperature=0.7,
        kl=FixedKL(0.08),
        epochs=2,
        lr=2e-4,
        lr_critic=5e-4,
        optimizer=Optimizer(betas=(0.9, 0.95), eps=1e-5, micro_tokens=2048),
    )
    """the policy"""


@dataclass(frozen=True)
class Judged:
    """What the panel said, and how it looks from outside."""

    comparisons: Sequence[Comparison]
    panel: list[Agreement]
    artifact: Artifact


def run(desk: Desk, cfg: Demo) -> Way:
    """Everything, or what is still to do of it."""
    with files.writing(str(cfg.out)):  # before anything is made that could then not be kept
        cfg.out.mkdir(parents=True, exist_ok=True)
    place = Place(cfg.out, cfg.seed, 5, desk.view, desk.tell)
    start = Policy.open(SHIPPED if cfg.model == "storyteller" else cfg.model)
    told = openings(cfg.prompts + cfg.tests, cfg.seed)
    asked, tests = told[: cfg.prompts], told[cfg.prompts :]
    desk.tell(
        f"A storyteller goes on from {cfg.prompts} openings. Three simulated annotators like "
        "stories that name an animal and end in time."
    )
    judged = _judged(desk, cfg, start, asked)
    made = reward_stage(
        place.below("reward"),
        cfg.reward,
        start,
        vote(judged.comparisons),
        parents=(judged.artifact,),
    )
    learned, gold = Learned(made.handle, start.speller), Rule(rule, start.speller)
    trained = ppo_stage(
        place.below("ppo"),
        cfg.ppo,
        start,
        learned,
        made.handle if cfg.ppo.critic == "reward" else None,
        asked,
        parents=(made.artifact,),
        gold=gold,
    )
    spelled, _ = spell_prompts(tests, start.speller, room_for(cfg.ppo.longest, start))

    def page() -> report.Report:
        told = []
        for name, policy in (("before", start), ("after", trained.handle)):
            with desk.count(name, len(spelled), "stories") as watch:
                told.append(answers(policy, spelled, cfg.ppo, gold, learned, watch=watch))
        return _page(cfg, judged, made, trained, (told[0], told[1]))

    parents = (judged.artifact, made.artifact, trained.artifact)
    sealed = publish(cfg.out / "report", page, cfg, parents, tests)
    return Way(made, trained, sealed)


def _judged(desk: Desk, cfg: Demo, start: Policy, asked: Sequence[Prompt]) -> Judged:
    """Sample stories, have them judged, and keep both as an artifact."""
    folder = cfg.out / "judged"
    about: dict[str, Any] = {
        "kind": "comparisons",
        "settings": {
            "pairs": cfg.pairs,
            "prompts": cfg.prompts,
            "longest": cfg.ppo.longest,
            "temperature": cfg.ppo.temperature,
            "seed": cfg.seed,
        },
        "parents": [artifact.origin(start.source or "") or start.fingerprint],
        "template": start.speller.fingerprint,
    }
    there = artifact.made(folder, **about)
    if there is None:
        pairs = _pairs(desk, cfg, start, asked)
        said = judge(pairs)

        def write(into: Path) -> None:
            sources.write(into / "comparisons.jsonl", said)
            panel = [asdict(one) for one in agreement(pairs, said)]
            (into / "panel.json").write_text(json.dumps(panel, indent=2) + "\n")

        there = artifact.finish(folder, write, **about)
        lost = cfg.pairs * len(asked) - len(pairs)
        left_out = f" ({lost} of empty or equal stories left out)" if lost else ""
        desk.tell(
            f"{len(said)} judgements of {len(pairs)} pairs{left_out}: {folder}/comparisons.jsonl"
        )
    comparisons, tally = sources.read_comparisons(folder / "comparisons.jsonl")
    tally.check(0.0)
    panel = [Agreement(**one) for one in json.loads((folder / "panel.json").read_text())]
    return Judged(comparisons, panel, there)


def _pairs(desk: Desk, cfg: Demo, start: Policy, asked: Sequence[Prompt]) -> list[Pair]:
    """Stories to each opening, two by two, with what the rule thinks of them."""
    spelled, tally = spell_prompts(asked, start.speller, room_for(cfg.ppo.longest, start))
    tally.check(0.0)
    n = 2 * cfg.pairs
    with desk.count("stories", n * len(spelled), "stories") as watch:
        said = start.sample(
            [a.ids for a in spelled],
            n=n,
            longest=cfg.ppo.longest,
            seed=cfg.seed,
            how=Sampling(cfg.ppo.temperature),
            names=[a.id for a in spelled],
            watch=watch,
        )
    scores = [float(score) for score in Rule(rule, start.speller)(said)]  # type: ignore[arg-type]
    texts = [start.speller.text(one) for one in said]
    found = []
    for i in range(0, len(said), 2):
        prompt = asked[i // n]
        a, b = texts[i].strip(), texts[i + 1].strip()
        if a and b and a != b:
            name = f"{prompt.id}/{i % n // 2}"
            two = (texts[i], texts[i + 1]), (scores[i], scores[i + 1])
            found.append(Pair(name, prompt.messages, *two))
    return found


def _page(
    cfg: Demo,
    judged: Judged,
    made: Made[Critic],
    trained: Made[Policy],
    told: tuple[list[Answer], list[Answer]],
) -> report.Report:
    size = sum(w.numel() for w in trained.handle.model.trunk.model.parameters())
    model = "the storyteller that ships with Accord" if cfg.model == "storyteller" else cfg.model
    ties = sum(c.tie for c in judged.comparisons)
    return report.Report(
        title="A storyteller learns what three people like",
        subtitle=f"Preference: an animal appears, and the story ends within {cfg.ppo.longest} "
        f"tokens. Model: {model}, {size / 1e6:.1f} million parameters.",
        outcome=compare(*told, history=trained.history, kl_target=kl_target(cfg.ppo)),
        subject=STORIES,
        notes=(
            "The three annotators are simulated: programs that follow the rule most of the time. "
            "No person judged anything here.",
        ),
        stages=(
            report.Stage("Sample", f"{2 * cfg.pairs} stories to each of {cfg.prompts} openings."),
            report.Stage(
                "Judge",
                f"{len(judged.comparisons)} judgements by three simulated annotators, "
                f"{ties} of them ties.",
            ),
            report.Stage(
                "Learn the reward",
                "From what they said of each pair, as the share who preferred the first.",
                made.seconds,
            ),
            report.Stage(
                "Train",
                f"{cfg.ppo.steps} steps of PPO with {cfg.ppo.batch} stories each.",
                trained.seconds,
            ),
            report.Stage("Measure", f"Both models went on from {cfg.tests} other openings."),
        ),
        history=trained.history,
        stories=report.pick(*told),
        highlight=ANIMAL,
        panel=tuple(report.Judge(**asdict(one)) for one in judged.panel),
        reward_model=made.numbers,
        files=_files(judged, made, trained),
        next=_next(cfg, trained),
        method={
            "Policy optimisation": plain(cfg.ppo),
            "Reward model": plain(cfg.reward),
            **facts(cfg.model, cfg.seed),
        },
        made=f"Made {date.today():%d %B %Y} by Accord",
    )


def _files(judged: Judged, made: Made[Critic], trained: Made[Policy]) -> tuple[report.File, ...]:
    policy, home = trained.artifact, trained.artifact.folder.parent
    return (
        report.File(str(policy.folder), "The trained model, a Hugging Face folder", policy.id),
        report.File(str(made.artifact.folder), "The reward model", made.artifact.id),
        report.File(
            f"{judged.artifact.folder}/comparisons.jsonl",
            "What the annotators said",
            judged.artifact.id,
        ),
        report.File(f"{home}/metrics.jsonl", "The numbers behind the curves"),
        report.File(f"{home}/samples.jsonl", "Stories of every step"),
    )


def _next(cfg: Demo, trained: Made[Policy]) -> tuple[report.Command, ...]:
    policy = trained.artifact.folder
    return (
        report.Command(
            f"accord sample model={policy} prompt='One day, Mia went to the woods.' n=3",
            "Let the trained model tell you a story.",
        ),
        report.Command(
            "accord demo out=runs/cheap ppo.kl.beta=0.01",
            "Make distance from the start nearly free, and see what breaks.",
        ),
        report.Command(f"accord runs {cfg.out}", "See what was made from what."),
        report.Command(
            "accord pipeline --help", "Do the same with your own model, prompts and judgements."
        ),
    )
