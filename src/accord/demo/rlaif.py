"""The demo of constitutional AI: a storyteller that learns from principles, and the page about it.

answers → critiques and revisions → SFT → two answers compared under principles → preference model →
PPO → measured at every stage
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from accord.config import plain
from accord.data.comparisons import split
from accord.data.constitution import Constitution, read_constitution
from accord.data.votes import vote
from accord.demo.feedback import RLAIF
from accord.demo.find import find
from accord.demo.gentle import gentle, harms
from accord.demo.rlaif_page import Row, Seen, Told, Variant
from accord.demo.rule import names_animal
from accord.demo.show import Demo, judged_by
from accord.demo.simulated import Simulated
from accord.engine.llm import LLM
from accord.engine.roles import Policy
from accord.evaluate import sheet
from accord.maths.intervals import estimate
from accord.recipes.common import spell_prompts
from accord.recipes.constitutional import Constitutional, compare
from accord.recipes.constitutional_job import Given, Walked, walk
from accord.recipes.job import Desk
from accord.recipes.stage import Place, room_for
from accord.recipes.stages import reward_stage
from accord.recipes.verdict import answers
from accord.recipes.weighing import Pair
from accord.records import Comparison, Invalid, Prompt, Rollout
from accord.rewards.asking import open_llm
from accord.rewards.learned import Learned
from accord.rewards.rules import Rule
from accord.store import artifact, files
from accord.store.artifact import Artifact

CONSTITUTION = "stories"
NUMBERS, PAGE = "feedback.json", "feedback.html"
SHOWN = 3
KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("soft labels, both orders", {}),
    ("hard labels, both orders", {"labels": "hard"}),
    ("soft labels, one order", {"swap": False}),
    ("hard labels, one order", {"labels": "hard", "swap": False}),
)
"""labels that preference models are compared on"""


@dataclass(frozen=True)
class Shown:
    """What was made, and the page about it."""

    walked: Walked
    page: Artifact

    @property
    def path(self) -> Path:
        """The page itself."""
        return self.page.folder / PAGE

    def lines(self) -> list[str]:
        """For people."""
        told = json.loads((self.page.folder / NUMBERS).read_text("utf-8"))
        names = ("gentle", "an animal", "harm in 100", "words", "ends in time")
        rows = [" " * 14 + "".join(f"{name:>13}" for name in names)]
        for row in told["stages"]:
            keys = ("gentle", "helpful", "harm", "words", "ended")
            a, b, c, d, e = (row[key]["value"] for key in keys)
            rows.append(f"{row['name']:<14}{a:>13.0%}{b:>13.0%}{c:>13.2f}{d:>13.0f}{e:>13.0%}")
        return [*rows, *([told["simulated"]] if told["simulated"] else [])]


def run(desk: Desk, cfg: Demo, more: RLAIF) -> Shown:
    """Everything, or what is still to do of it."""
    place = Place(cfg.out, cfg.seed, 5, desk.view, desk.tell, limit=0.25)
    c = read_constitution(CONSTITUTION)
    start = Policy.open(find(cfg.model), dtype=cfg.dtype)
    llm = _asked(desk, cfg, more, c)
    desk.tell(f"{llm.which} criticises, revises and compares stories by {len(c.revise)} principles")
    told = cfg.played.prompts(cfg.prompts + cfg.tests, cfg.seed)
    way = Constitutional(
        revise=more.revise,
        sft=more.sft,
        compare=more.compare.model_copy(update={"helpful": more.helpful or None}),
        reward=cfg.reward,
        ppo=cfg.ppo,
        held_out=cfg.tests / len(told),
    )
    learn, tests = split(told, way.held_out, seed=cfg.seed)
    people = judged_by(desk, cfg, start, learn)
    given = Given(told, (), vote(people.comparisons) if more.helpful else (), (people.artifact,))
    gold = Rule(gentle, start.speller)
    walked = walk(place, way, c, llm, start, start, given, gold)

    def write(into: Path) -> None:
        page = _told(desk, cfg, more, c, llm, walked, start, tests)
        (into / NUMBERS).write_bytes(files.dump(page.numbers()))
        sheet.write(page.sheet(), into / PAGE)

    about: dict[str, Any] = {
        "kind": "feedback",
        "settings": {**plain(cfg), **plain(more), "out": ""},
        "parents": [walked.report, llm.which],
    }
    return Shown(walked, artifact.finish(cfg.out / "page", write, **about))


def _asked(desk: Desk, cfg: Demo, more: RLAIF, c: Constitution) -> LLM:
    """Who is asked."""
    if more.llm == "simulated":
        return Simulated(c, more.noise, more.place, more.slips)
    file = cfg.out / "calls" / "calls.jsonl"
    return open_llm(str(find(more.llm)), file, more.asked, desk.tell)


def _told(
    desk: Desk, cfg: Demo, more: RLAIF, c: Constitution, llm: LLM, walked: Walked, start: Policy,
    tests: Sequence[Prompt],
) -> Told:  # fmt: skip
    """All that is measured, on openings that nobody learned from."""
    asked, _ = spell_prompts(tests, start.speller, room_for(cfg.ppo.longest, start))
    gold, learned = Rule(gentle, start.speller), Learned(walked.reward.handle, start.speller)
    two = walked.sl.handle.sample(
        [one.ids for one in asked], n=2, longest=cfg.ppo.longest, seed=-2, how=more.compare.how
    )
    stages, stories = [], []
    for name, policy in (
        ("the start", start),
        ("after SFT", walked.sl.handle),
        ("after PPO", walked.policy.handle),
    ):
        with desk.count(name, len(asked), "stories") as watch:
            said = answers(policy, asked, cfg.ppo, gold, learned, watch=watch)
        stages.append(Row.of(name, [one.text for one in said], [one.ended for one in said]))
        stories.append(said)
    shown = [
        (
            tests[i].messages[-1].text,
            [(row.name, said[i].text) for row, said in zip(stages, stories, strict=True)],
        )
        for i in range(min(SHOWN, len(tests)))
    ]
    return Told(
        simulated=isinstance(llm, Simulated),
        which=llm.which,
        constitution=c.name,
        rounds=_rounds(walked),
        stages=stages,
        labels=_labelled(walked),
        variants=_variants(desk, cfg, more, c, llm, walked, two),
        seen=_seen(learned, two, start.speller.text),
        stories=shown,
        files=_files(walked),
    )


def _rounds(walked: Walked) -> list[Row]:
    """The answers, and what each round made of them; a failed one stands as it was."""
    file = walked.revisions.artifact.folder / "rounds.jsonl"
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    now = [row["answer"] for row in rows]
    found = [Row.of("as answered", now)]
    for n in range(max((len(row["rounds"]) for row in rows), default=0)):
        now = [row["rounds"][n]["text"] or before for row, before in zip(rows, now, strict=True)]
        found.append(Row.of(f"revision {n + 1}", now))
    return found


def _labelled(walked: Walked) -> list[tuple[float, bool]]:
    """(q, whether the first is the gentler one) of each labelled pair that differs."""
    found = []
    for one in walked.labels.records:
        a, b = map(harms, one.responses)
        if a != b and one.p_first is not None:
            found.append((float(one.p_first), a < b))
    return found


def _variants(
    desk: Desk, cfg: Demo, more: RLAIF, c: Constitution, llm: LLM, walked: Walked,
    said: Sequence[Rollout],
) -> list[Variant]:  # fmt: skip
    """Preference models on the same pairs under other labels, held against the word lists."""
    pairs = [
        Pair(one.id, one.prompt, (one.responses[0], one.responses[1]))
        for one in walked.labels.records
    ]
    sl = walked.sl.handle
    texts = [sl.speller.text(one) for one in said]
    differ = [i for i in range(0, len(said), 2) if harms(texts[i]) != harms(texts[i + 1])]
    found: list[Variant] = []
    for name, change in KINDS if differ else ():  # nothing tells models apart where none differs
        feedback = more.compare.model_copy(update=change)
        rows = [
            Comparison(
                pair.prompt, pair.answers, (int(q.q < 0.5), int(q.q > 0.5)), "ai",
                p_first=q.q, id=pair.name,
            )
            for pair, q in zip(pairs, compare(feedback, c, llm, pairs, seed=cfg.seed), strict=True)
            if not isinstance(q, Invalid)
        ]  # fmt: skip
        shares = []
        for seed in range(more.seeds):
            folder = "-".join((*name.replace(",", "").split(), str(seed)))
            place = Place(cfg.out / "labels" / folder, seed, 5, desk.view, limit=0.25)
            made = reward_stage(place, cfg.reward, sl, rows)
            scores = Learned(made.handle, sl.speller)(said)
            shares.append(fmean(_right(scores, texts, i) for i in differ))
        found.append(Variant(name, len(rows), shares))
    return found


def _seen(learned: Learned, two: Sequence[Rollout], text: Callable[[Rollout], str]) -> list[Seen]:
    """What the preference model likes better of two new stories to one beginning."""
    scores, texts = learned(two), [text(one) for one in two]
    found = []
    for name, of in (
        ("the gentler", [-float(harms(one)) for one in texts]),
        ("the one with an animal", [float(names_animal(one)) for one in texts]),
        ("the one that ends in time", [float(one.finish == "stop") for one in two]),
        ("the shorter", [-float(len(one.split())) for one in texts]),
    ):
        differ = [i for i in range(0, len(two), 2) if of[i] != of[i + 1]]
        right = [
            float((scores[i] > scores[i + 1]) == (of[i] > of[i + 1]))  # type: ignore[operator]
            for i in differ
            if not isinstance(scores[i], Invalid) and not isinstance(scores[i + 1], Invalid)
        ]
        if right:
            found.append(Seen(name, len(right), estimate(right)))
    return found


def _right(scores: Sequence[Any], texts: Sequence[str], i: int) -> float:
    """Whether the gentler of two stories has the higher score, ½ where they are equal."""
    gap, truth = scores[i] - scores[i + 1], harms(texts[i + 1]) - harms(texts[i])
    return 0.5 if gap == 0 else float((gap > 0) == (truth > 0))


def _files(walked: Walked) -> list[tuple[str, str]]:
    revised, labels = walked.revisions.artifact.folder, walked.labels.artifact.folder
    return [
        (str(walked.report.folder / "report.html"), "PPO's own report: curves, samples, distance"),
        (str(revised / "rounds.html"), "all rounds of some stories"),
        (str(labels / "comparisons.jsonl"), "the AI labels, each with its principle"),
        (str(walked.policy.artifact.folder), "the trained model"),
    ]
