"""Trains the small model that sees, which the demo of Fact-RLHF begins with.

    python tools/train_tower.py out=eyes steps=2500
    python tools/train_seer.py eyes=eyes out=described work=run-1
    python tools/train_seer.py start=described out=seer work=run-2 places=true \\
        count=5000 epochs=1 lr=1e-3

The storyteller is joined with the tower (`accord eyes`), and imitates true descriptions of scenes
and right answers to questions about them (`accord sft`): a description and a question for each.
Then it goes on with other scenes, and is also asked what is at a place, twice for each.
"""

import json
import random
import sys
from pathlib import Path

import torch

from accord.demo.sights import Gallery, Seen
from accord.engine.draw import Sampling
from accord.engine.roles import Policy
from accord.engine.steps import Optimizer
from accord.models.joined import join
from accord.models.load import save
from accord.recipes.sft import SFT
from accord.recipes.stage import Place
from accord.recipes.stages import sft_stage
from accord.records import Demonstration, Image, Message, Text
from accord.worlds.scenes.captions import plainly
from accord.worlds.scenes.questions import place, questions
from accord.worlds.scenes.things import Scene, scenes

QUESTION = "What is in the picture?"
STORYTELLER = Path(__file__).parents[1] / "src/accord/demo/storyteller"
LEARN, HELD_OUT, MORE = 200, 201, 202
"""seeds of scenes"""


def talk(gallery: Gallery, scene, text: str):
    """A question about a picture."""
    return (Message("user", (Image(str(gallery.path(scene))), Text(text))),)


def rows(gallery: Gallery, seed: int, count: int, places: bool) -> list[Demonstration]:
    """A description and a question of each scene, and two about places."""
    chance, told = random.Random(seed), []
    for scene in scenes(seed, count):
        asked = chance.choice(questions(scene, chance))
        told.append(Demonstration(talk(gallery, scene, QUESTION), plainly(scene, chance)))
        told.append(Demonstration(talk(gallery, scene, asked.text), asked.answer))
        for thing in chance.sample(scene.things, 2) if places else ():
            asked = place(thing, chance)
            told.append(Demonstration(talk(gallery, scene, asked.text), asked.answer))
    return told


def measure(gallery: Gallery, policy: Policy, count: int = 500) -> dict[str, float]:
    """On scenes that nothing was learned from, the likeliest words."""
    views, chance = list(scenes(HELD_OUT, count)), random.Random(1)
    how = Sampling(temperature=0.0)

    def said(texts):
        ids = [policy.speller.prompt_ids(talk(gallery, v, t)) for v, t in zip(views, texts)]
        found = policy.sample(ids, longest=100, seed=0, how=how)
        return [policy.speller.text(one).strip() for one in found]

    seen = [Seen.of(view, text) for view, text in zip(views, said([QUESTION] * count))]
    out = {
        "descriptions with a false claim": sum(one.false > 0 for one in seen) / count,
        "things told": sum(one.told for one in seen) / count,
    }
    for kind in ("exists", "count", "choice"):
        asked = [next(q for q in questions(v, chance) if q.kind == kind) for v in views]
        answers = said([q.text for q in asked])
        out[kind] = sum(a == q.answer for a, q in zip(answers, asked)) / count
    things = [chance.choice(view.things) for view in views]
    answers = said([place(thing, chance).text for thing in things])
    told = [
        Seen.of(Scene(view.name, (thing,)), text)
        for view, thing, text in zip(views, things, answers, strict=True)
    ]
    out["place"] = sum(one.told == 1 and not one.false for one in told) / count
    return out


def main(
    start: Path,
    out: Path,
    count: int = 12000,
    epochs: float = 2,
    work: Path = Path("seer-run"),
    places: bool = False,
    lr: float = 2e-3,
) -> None:
    torch.set_num_threads(1)
    gallery = Gallery(work / "scenes")
    cfg = SFT(
        epochs=epochs,
        batch=32,
        lr=lr,
        longest=300,
        held_out=0.01,
        optimizer=Optimizer(micro_tokens=4096),
    )
    learned = rows(gallery, MORE if places else LEARN, count, places)
    made = sft_stage(Place(work / "sft", 0, 200, (), print), cfg, Policy.open(start), learned)
    policy = made.handle
    policy.export(out)
    save(policy.model.trunk.model, out, dtype=torch.float16)
    for name in ("artifact.json",):
        (out / name).unlink(missing_ok=True)
    told = {"scenes": count, "epochs": epochs, **made.numbers, **measure(gallery, Policy.open(out))}
    print(json.dumps(told, indent=2))
    (work / "measured.json").write_text(json.dumps(told, indent=2) + "\n")


def joined(eyes: Path, work: Path) -> Path:
    """The storyteller with eyes that it has not learned to use."""
    if not (work / "start").exists():
        join(STORYTELLER, eyes, work / "start")
    return work / "start"


if __name__ == "__main__":
    told = dict(word.split("=", 1) for word in sys.argv[1:])
    kinds = {"count": int, "epochs": float, "work": Path, "places": "true".__eq__, "lr": float}
    more = {name: kinds[name](told[name]) for name in kinds if name in told}
    folder = more.get("work", Path("seer-run"))
    begun = Path(told["start"]) if "start" in told else joined(Path(told["eyes"]), folder)
    main(begun, Path(told["out"]), **more)
