"""The demo: a small model learns what three people like, and the page about it.

answers → judgements → reward model → PPO → measured against the start
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from accord.config import Settings, plain
from accord.config.limits import Count
from accord.data import sources
from accord.data.votes import vote
from accord.demo.find import SHIPPED, find
from accord.demo.me import Me, Panel
from accord.demo.panel import Agreement, Pair, agreement, judge
from accord.demo.scene import SCENES, Scene
from accord.engine.draw import Sampling
from accord.engine.roles import Critic, Policy
from accord.engine.steps import Optimizer
from accord.errors import BadData, BadModel
from accord.evaluate import report
from accord.evaluate.outcome import Answer, compare
from accord.maths.control import FixedKL
from accord.recipes.common import spell_prompts
from accord.recipes.job import Desk
from accord.recipes.pipeline import Way
from accord.recipes.ppo import PPO
from accord.recipes.reward import RewardModel
from accord.recipes.stage import Made, Place, room_for
from accord.recipes.stages import ppo_stage, reward_stage
from accord.recipes.verdict import answers, facts, kl_target, publish
from accord.records import Comparison, Prompt
from accord.rewards.learned import Learned
from accord.rewards.rules import Rule
from accord.store import artifact, files
from accord.store.artifact import Artifact

NAMES = {
    "storyteller": "the storyteller that ships with Accord",
    "smollm2": "SmolLM2-135M-Instruct",
}
"""the demos' own models, as the report calls them"""
SIMULATED = (
    "The three annotators are simulated: programs that follow the rule most of the time. "
    "No person judged anything here."
)
YOURS = (
    "You judged, and nobody else. What is measured here is the rule of the demo: if you liked "
    "something else, the numbers say little, and the answers side by side say more."
)
FEW_EPOCHS = 4.0
"""of the reward model, where one person judged a few pairs"""
__all__ = ["SHIPPED", "Demo", "defaults", "run"]


class Demo(Settings):
    """A small model, a preference, and all that lies between."""

    method: Literal["ppo", "rlaif", "fact-rlhf"] = "ppo"
    """ppo: people compare, a reward model learns, PPO follows it; rlaif: a model criticises,
    revises and compares by written principles; fact-rlhf: a model that sees describes pictures,
    and reward models with and without facts judge what it makes up"""
    out: Path = Path("runs/demo")
    """where everything is kept; the same command again goes on from there"""
    model: str = "storyteller"
    """storyteller: ships with Accord; smollm2: SmolLM2-135M-Instruct, a chat model, with settings
    of its own (--show prints them); or a folder, a GGUF file or a hub id"""
    scene: Literal["auto", "stories", "answers"] = "auto"
    """stories that go on from an opening, or short answers of a chat model; auto: stories for the
    storyteller, answers for every other model"""
    dtype: Literal["fp32", "bf16", "int8", "int4"] = "fp32"
    """precision of matrix products; int8 and int4: quantised weights, which need ppo.lora=Lora"""
    prompts: Annotated[int, Field(ge=2, le=300)] = 200
    """openings or questions to learn from"""
    tests: Annotated[int, Field(ge=2, le=200)] = 200
    """others, to measure on"""
    pairs: Count = 2
    """pairs of answers to each, for the annotators to judge"""
    judge: Panel | Me = Panel()
    """who compares them: three simulated annotators, or you (judge=me), on a site that opens"""
    seed: int = 0
    """of the prompts, the answers and the order of the data"""
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

    @property
    def played(self) -> Scene:
        """What is shown."""
        auto = "stories" if self.model == "storyteller" else "answers"
        return SCENES[auto if self.scene == "auto" else self.scene]


def defaults(cfg: Demo) -> Mapping[str, Any]:
    """What the model, the scene and the judge that were chosen call for where nothing is said."""
    told = dict(cfg.played.settings)
    if isinstance(cfg.judge, Me):  # a few verdicts: small batches, seen more than once
        known = told.get("reward", cfg.reward)
        told["reward"] = known.model_copy(update={"batch": 4, "epochs": FEW_EPOCHS})
    name = Path(cfg.model).name.removesuffix(".gguf").lower()
    out = "demo" if cfg.model == "storyteller" else f"demo-{name}"
    mine = "-me" if isinstance(cfg.judge, Me) else ""
    return {"out": Path("runs") / f"{out}{mine}", **told}


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
    scene = cfg.played
    start = Policy.open(find(cfg.model), dtype=cfg.dtype)
    told = scene.prompts(cfg.prompts + cfg.tests, cfg.seed)
    asked, tests = told[: cfg.prompts], told[cfg.prompts :]
    _understood(cfg, start, asked[0])
    yours = isinstance(cfg.judge, Me)
    desk.tell((scene.begins_with_you if yours else scene.begins).format(prompts=cfg.prompts))
    judged = judged_by(desk, cfg, start, asked)
    made = reward_stage(
        place.below("reward"),
        cfg.reward,
        start,
        vote(judged.comparisons),
        parents=(judged.artifact,),
    )
    learned, gold = Learned(made.handle, start.speller), Rule(scene.rule, start.speller)
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
            with desk.count(name, len(spelled), scene.subject.many) as watch:
                said = answers(policy, spelled, cfg.ppo, gold, learned, watch=watch)
            # shown with what was asked, without the marks of a chat template
            texts = (prompt.messages[-1].text for prompt in tests)
            told.append([replace(one, prompt=text) for one, text in zip(said, texts, strict=True)])
        return _page(cfg, judged, made, trained, (told[0], told[1]))

    parents = (judged.artifact, made.artifact, trained.artifact)
    sealed = publish(cfg.out / "report", page, cfg, parents, tests)
    return Way(made, trained, sealed)


def _understood(cfg: Demo, start: Policy, prompt: Prompt) -> None:
    try:
        start.speller.prompt_ids(prompt.messages)
    except BadData as error:
        raise BadModel(
            f"{cfg.model}: this demo needs a chat model ({error}); a model that only goes on from "
            "a text can play scene=stories"
        ) from error


def judged_by(desk: Desk, cfg: Demo, start: Policy, asked: Sequence[Prompt]) -> Judged:
    """Sample answers, have them judged, and keep both as an artifact."""
    folder = cfg.out / "judged"
    about: dict[str, Any] = {
        "kind": "comparisons",
        "settings": {
            "pairs": cfg.pairs,
            "prompts": cfg.prompts,
            "longest": cfg.ppo.longest,
            "temperature": cfg.ppo.temperature,
            "seed": cfg.seed,
            **cfg.played.mark,
            **({"judge": "you", "wanted": cfg.judge.wanted} if isinstance(cfg.judge, Me) else {}),
        },
        "parents": [artifact.origin(start.source or "") or start.fingerprint],
        "template": start.speller.fingerprint,
    }
    there = artifact.made(folder, **about)
    if there is None:
        pairs = _pairs(desk, cfg, start, asked)
        said, seen_by = _said(desk, cfg, pairs)

        def write(into: Path) -> None:
            sources.write(into / "comparisons.jsonl", said)
            panel = [asdict(one) for one in seen_by]
            (into / "panel.json").write_text(json.dumps(panel, indent=2) + "\n")

        there = artifact.finish(folder, write, **about)
        many = cfg.played.subject.many
        lost = cfg.pairs * len(asked) - len(pairs)
        left_out = f" ({lost} of empty or equal {many} left out)" if lost else ""
        desk.tell(
            f"{len(said)} judgements of {len(pairs)} pairs{left_out}: {folder}/comparisons.jsonl"
        )
    comparisons, tally = sources.read_comparisons(folder / "comparisons.jsonl")
    tally.check(0.0)
    panel = [Agreement(**one) for one in json.loads((folder / "panel.json").read_text())]
    return Judged(comparisons, panel, there)


def _said(desk: Desk, cfg: Demo, pairs: Sequence[Pair]) -> tuple[list[Comparison], list[Agreement]]:
    """The verdicts, and how those who gave them look from outside."""
    if isinstance(cfg.judge, Me):
        from accord.demo.asking import ask_you, seen  # the site: not for a run without it

        yours = ask_you(cfg.judge, cfg.out, pairs, cfg.played.asks_you, desk.tell)
        return yours, [seen(pairs, yours)]
    said = judge(pairs, cfg.played.panel)
    return said, agreement(pairs, said, cfg.played.panel)


def _pairs(desk: Desk, cfg: Demo, start: Policy, asked: Sequence[Prompt]) -> list[Pair]:
    """Answers to each prompt, two by two, with what the rule thinks of them."""
    scene = cfg.played
    spelled, tally = spell_prompts(asked, start.speller, room_for(cfg.ppo.longest, start))
    tally.check(0.0)
    n = 2 * cfg.pairs
    with desk.count(scene.subject.many, n * len(spelled), scene.subject.many) as watch:
        said = start.sample(
            [a.ids for a in spelled],
            n=n,
            longest=cfg.ppo.longest,
            seed=cfg.seed,
            how=Sampling(cfg.ppo.temperature),
            names=[a.id for a in spelled],
            watch=watch,
        )
    judge = Rule(scene.rule, start.speller)
    scores = [float(score) for score in judge(said)]  # type: ignore[arg-type]
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
    size = sum(w.numel() for _, w in trained.handle.model.trunk.adapters.base_weights())
    scene, many = cfg.played, cfg.played.subject.many
    model = NAMES.get(cfg.model, cfg.model)
    ties = sum(c.tie for c in judged.comparisons)
    yours = isinstance(cfg.judge, Me)
    by = "of yours" if yours else "by three simulated annotators"
    return report.Report(
        title=scene.title,
        subtitle=f"Preference: {scene.likes.format(longest=cfg.ppo.longest)}. "
        f"Model: {model}, {size / 1e6:.1f} million parameters.",
        outcome=compare(*told, history=trained.history, kl_target=kl_target(cfg.ppo)),
        subject=scene.subject,
        notes=(YOURS if yours else SIMULATED, *scene.notes),
        stages=(
            report.Stage(
                "Sample",
                f"{2 * cfg.pairs} {many} to each of {cfg.prompts} {scene.subject.prompts}.",
            ),
            report.Stage(
                "Judge",
                f"{len(judged.comparisons)} judgements {by}, {ties} of them ties.",
            ),
            report.Stage(
                "Learn the reward",
                "From what they said of each pair, as the share who preferred the first.",
                made.seconds,
            ),
            report.Stage(
                "Train",
                f"{cfg.ppo.steps} steps of PPO with {cfg.ppo.batch} {many} each.",
                trained.seconds,
            ),
            report.Stage("Measure", f"{scene.measured} {cfg.tests} other {scene.subject.prompts}."),
        ),
        history=trained.history,
        stories=report.pick(*told),
        highlight=scene.highlight,
        panel=tuple(report.Judge(**asdict(one)) for one in judged.panel),
        reward_model=made.numbers,
        files=_files(cfg, judged, made, trained),
        next=_next(cfg, trained),
        method={
            "Policy optimisation": plain(cfg.ppo),
            "Reward model": plain(cfg.reward),
            **facts(cfg.model, cfg.seed),
        },
        made=f"Made {date.today():%d %B %Y} by Accord",
    )


def _files(
    cfg: Demo, judged: Judged, made: Made[Critic], trained: Made[Policy]
) -> tuple[report.File, ...]:
    many = cfg.played.subject.many.capitalize()
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
        report.File(f"{home}/samples.jsonl", f"{many} of every step"),
    )


def _next(cfg: Demo, trained: Made[Policy]) -> tuple[report.Command, ...]:
    policy, scene = trained.artifact.folder, cfg.played
    model = "" if cfg.model == "storyteller" else f" model={cfg.model}"
    return (
        report.Command(
            f"accord sample model={policy} {scene.asks} n=3",
            scene.tries,
        ),
        report.Command(
            f"accord demo{model} out=runs/cheap ppo.kl.beta=0.01",
            "Make distance from the start nearly free, and see what breaks.",
        ),
        report.Command(f"accord runs {cfg.out}", "See what was made from what."),
        report.Command(
            "accord pipeline --help", "Do the same with your own model, prompts and judgements."
        ),
    )
