"""The demo of Fact-RLHF (Sun et al. 2023): a small model that sees learns to make nothing up.

answers → SFT → pairs, judged for what is not so → a reward model that sees the picture alone, and
one that is shown what is there → PPO with each → false claims counted on other scenes
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from accord.config import Settings, plain
from accord.config.limits import Count, Share
from accord.data import sources
from accord.data.shown import Request
from accord.demo.factual_page import Arm, Shown, Told
from accord.demo.find import SEER
from accord.demo.show import Demo
from accord.demo.sights import Asked, Gallery, Seen, verdicts
from accord.engine.draw import Sampling
from accord.engine.roles import Policy
from accord.engine.steps import Optimizer
from accord.evaluate import sheet
from accord.maths.control import Constant, FixedKL
from accord.models.lora import Lora
from accord.recipes.common import spell_prompts
from accord.recipes.job import Desk
from accord.recipes.ppo import PPO
from accord.recipes.reward import RewardModel
from accord.recipes.sft import SFT
from accord.recipes.stage import Made, Place, room_for
from accord.recipes.stages import ppo_stage, reward_stage, sft_stage
from accord.records import Comparison, Prompt
from accord.rewards.ending import Absolute
from accord.rewards.learned import Learned
from accord.rewards.reader import Reader
from accord.store import artifact, files
from accord.store.artifact import Artifact
from accord.worlds.scenes.things import scene

ANSWERED, COMPARED, ASKED, TESTS = 1, 2, 3, 4
"""seeds of scenes: nothing is learned from what is tested"""
SHORT = Request(request="Is it true?{facts}", known=" There is", fact=" {fact}.", opening="It is")
"""a request of few tokens, for a small model"""
FEW = 3
"""things of a scene, at most"""
KINDS = {"plain RLHF": False, "Fact-RLHF": True}
SHOWN = 6
"""pictures on the page"""
PAGE, NUMBERS = "factual.html", "factual.json"


def views(seed: int, count: int) -> list[Asked]:
    """Scenes of two or three things, and what is asked of each."""
    every = (one for one in map(partial(scene, seed), itertools.count()) if len(one.things) <= FEW)
    return [Asked.of(one) for one in itertools.islice(every, count)]


class Factual(Settings):
    """Questions about scenes, and what is there shown to the reward model or not."""

    answered: Count = 1500
    """questions whose answers are imitated"""
    mistakes: Share = 0.5
    """share of those answers that are wrong"""
    compared: Count = 2500
    """questions to which the model then gives two answers, to be compared"""
    errs: Share = 0.1
    """share of verdicts that the simulated annotator turns round"""
    drawn: Count = 600
    """questions that PPO answers, again and again"""
    repeats: Count = 3
    """seeds of reward models and of PPO, with each way of judging"""
    imitate: SFT = SFT(
        epochs=1,
        batch=32,
        lr=2e-4,
        longest=300,
        held_out=0.02,
        optimizer=Optimizer(micro_tokens=4096),
    )
    """imitation of the answers"""


def defaults(cfg: Demo, more: Factual) -> dict[str, Any]:
    """What the demo's own settings are here."""
    how = Optimizer(betas=(0.9, 0.95), eps=1e-5, micro_tokens=4096)
    return {
        "out": Path("runs/demo-facts"),
        "reward": RewardModel(
            epochs=3,
            batch=32,
            lr=1e-3,
            measure_every=20,
            optimizer=Optimizer(micro_tokens=4096),
        ),
        "ppo": PPO(
            steps=25,
            batch=48,
            longest=24,
            temperature=1.0,
            kl=FixedKL(0.05),
            missing_eos=Absolute(-3.0),
            epochs=1,
            lr=1e-3,
            lr_critic=2e-3,
            critic="trunk",
            schedule=Constant(),
            lora=Lora(r=16),
            optimizer=how,
        ),
    }


@dataclass(frozen=True)
class Given:
    """All that both ways begin with."""

    sft: Made[Policy]
    pairs: Sequence[Comparison]
    judged: Artifact
    asked: Sequence[Prompt]
    tests: Sequence[Prompt]
    tested: Sequence[Asked]


def run(desk: Desk, cfg: Demo, more: Factual) -> Shown:
    """Everything, or what is still to do of it."""
    gallery = Gallery(cfg.out / "scenes")
    place = Place(cfg.out, cfg.seed, 10, desk.view, desk.tell, limit=0.1)
    desk.tell(
        f"a small model that sees imitates {more.answered} answers about pictures, of which "
        f"{more.mistakes:.0%} are wrong"
    )
    start = Policy.open(SEER, dtype=cfg.dtype)
    told = gallery.answered(views(ANSWERED, more.answered), more.mistakes, cfg.seed)
    sft = sft_stage(place.below("sft"), more.imitate, start, told)
    given = _given(desk, cfg, more, gallery, sft)
    made = [
        (name, seed, *_trained(place, cfg, given, name, seed))
        for seed in range(more.repeats)
        for name in KINDS
    ]

    def write(into: Path) -> None:
        page = _told(desk, cfg, more, given, gallery, made)
        (into / NUMBERS).write_bytes(files.dump(page.numbers()))
        sheet.write(page.sheet(), into / PAGE)

    about: dict[str, Any] = {
        "kind": "facts",
        "settings": {**plain(cfg), **plain(more), "out": ""},
        "parents": [policy.artifact for *_, policy in made],
    }
    return Shown(artifact.finish(cfg.out / "page", write, **about))


def _given(desk: Desk, cfg: Demo, more: Factual, gallery: Gallery, sft: Made[Policy]) -> Given:
    """Two answers of the tuned model to each question, compared; and what is asked next."""
    compared = views(COMPARED, more.compared)
    folder = cfg.out / "judged"
    about: dict[str, Any] = {
        "kind": "comparisons",
        "settings": {"scenes": more.compared, "errs": more.errs, "seed": cfg.seed,
                     "longest": cfg.ppo.longest, "temperature": cfg.ppo.temperature},
        "parents": [sft.artifact],
    }  # fmt: skip
    there = artifact.made(folder, **about)
    if there is None:
        prompts = gallery.prompts(compared)
        texts = _said(desk, cfg, sft.handle, prompts, "pairs", n=2)
        found = verdicts(compared, prompts, texts, more.errs, cfg.seed)
        desk.tell(f"{len(found)} of {len(compared)} pairs have a better side: {folder}")
        there = artifact.finish(
            folder, lambda into: _keep(into / "comparisons.jsonl", found), **about
        )
    pairs, tally = sources.read_comparisons(folder / "comparisons.jsonl")
    tally.check(0.0)
    tested = views(TESTS, cfg.tests)
    asked = gallery.prompts(views(ASKED, more.drawn))
    return Given(sft, pairs, there, asked, gallery.prompts(tested), tested)


def _keep(path: Path, found: Sequence[Comparison]) -> None:
    sources.write(path, found)


def _trained(
    place: Place, cfg: Demo, given: Given, name: str, seed: int
) -> tuple[Made[Any], Made[Policy]]:
    """A reward model, and the policy that follows it."""
    here = Place(
        place.out / f"{name.split()[0].lower()}-{seed}", seed, 10, place.sinks, place.tell, 0.1
    )
    start = given.sft.handle
    shown = replace(SHORT, facts=KINDS[name])
    reward = cfg.reward.model_copy(update={"shown": shown})
    judge = reward_stage(here.below("reward"), reward, start, given.pairs, parents=(given.judged,))
    learned = Learned(judge.handle, start.speller, Reader(start.speller, given.asked))
    policy = ppo_stage(
        here.below("ppo"),
        cfg.ppo,
        start,
        learned,
        judge.handle,
        given.asked,
        parents=(judge.artifact,),
    )
    return judge, policy


def _said(
    desk: Desk, cfg: Demo, policy: Policy, prompts: Sequence[Prompt], what: str, n: int = 1
) -> list[str]:
    """Texts, sampled as in training."""
    asked, tally = spell_prompts(prompts, policy.speller, room_for(cfg.ppo.longest, policy))
    tally.check(0.0)
    with desk.count(what, n * len(asked), "answers") as watch:
        said = policy.sample(
            [one.ids for one in asked],
            n=n,
            longest=cfg.ppo.longest,
            seed=-1 if n == 1 else cfg.seed,
            how=Sampling(cfg.ppo.temperature),
            names=[one.id for one in asked],
            watch=watch,
        )
    return [policy.speller.text(one) for one in said]


def _told(
    desk: Desk, cfg: Demo, more: Factual, given: Given, gallery: Gallery,
    made: Sequence[tuple[str, int, Made[Any], Made[Policy]]],
) -> Told:  # fmt: skip
    """All that is measured, on scenes that nobody learned from."""
    texts = {"after SFT": [_said(desk, cfg, given.sft.handle, given.tests, "after SFT")]}
    rewards: dict[str, list[dict[str, float | None]]] = {name: [] for name in KINDS}
    for name, seed, judge, policy in made:
        said = _said(desk, cfg, policy.handle, given.tests, f"{name}, seed {seed}")
        texts.setdefault(name, []).append(said)
        history = policy.history
        rewards[name].append(
            {
                "accuracy": judge.numbers.get("accuracy"),
                "first": history[0]["objective/scores"],
                "last": history[-1]["objective/scores"],
                "kl": history[-1]["objective/kl"],
            }
        )
    arms = [
        Arm(name, [_seen(given.tested, said) for said in few], rewards.get(name, []))
        for name, few in texts.items()
    ]
    each = [[(name, few[0][i]) for name, few in texts.items()] for i in range(len(given.tested))]
    differ = sorted(range(len(each)), key=lambda i: len({text for _, text in each[i]}) == 1)
    shown = [
        (gallery.path(given.tested[i].scene), given.tested[i], each[i]) for i in differ[:SHOWN]
    ]
    return Told(more.mistakes, more.errs, len(given.pairs), arms, shown)


def _seen(tested: Sequence[Asked], said: Sequence[str]) -> list[Seen]:
    return [Seen.of(asked.alone, text) for asked, text in zip(tested, said, strict=True)]
