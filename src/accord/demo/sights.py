"""What the demo of Fact-RLHF shows and asks: scenes as pictures, questions, answers, pairs."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.records import (
    Comparison,
    Conversation,
    Demonstration,
    Fact,
    Image,
    Message,
    Prompt,
    Text,
)
from accord.store import files
from accord.worlds.scenes.captions import named
from accord.worlds.scenes.claims import judged
from accord.worlds.scenes.drawing import draw
from accord.worlds.scenes.mistakes import mistaken
from accord.worlds.scenes.questions import place
from accord.worlds.scenes.things import Scene, Thing
from accord.worlds.scenes.words import article

SIDE = 96
"""pixels, as the shipped tower wants them"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A picture, and one thing of it that is asked about by its place."""

    scene: Scene
    thing: Thing

    @classmethod
    def of(cls, scene: Scene) -> "Asked":
        """Always about the same thing of a scene."""
        return cls(scene, random.Random(f"asked {scene.name}").choice(scene.things))

    @property
    def alone(self) -> Scene:
        """The scene as far as it is asked about: what else is said to be there is not so."""
        return Scene(self.scene.name, (self.thing,))

    @property
    def question(self) -> str:
        """In words."""
        return place(self.thing, random.Random(0)).text


@dataclass(frozen=True)
class Gallery:
    """Pictures of scenes in a folder, each drawn once."""

    folder: Path

    def path(self, scene: Scene) -> Path:
        """Where its picture is; drawn if it is not there."""
        path = self.folder / f"{scene.name.replace('/', '-')}.png"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            aside = path.with_suffix(".part")
            draw(scene, SIDE).save(aside, "PNG")
            aside.replace(path)
        return path

    def talk(self, asked: Asked) -> Conversation:
        """The question about a picture; with what is there, for those who judge."""
        picture, known = Image(str(self.path(asked.scene))), Fact(article(named(asked.thing)))
        return (Message("user", (picture, Text(asked.question), known)),)

    def prompts(self, every: Iterable[Asked]) -> list[Prompt]:
        """One for each."""
        with files.writing(str(self.folder)):
            return [Prompt(self.talk(one), one.scene.name) for one in every]

    def answered(self, every: Iterable[Asked], mistakes: float, seed: int) -> list[Demonstration]:
        """An answer to each, a share of them with another colour or shape."""
        chance, told = random.Random(f"answered {seed}"), []
        with files.writing(str(self.folder)):
            for one in every:
                wrong = chance.random() < mistakes
                seen = mistaken(one.alone, chance).things[0] if wrong else one.thing
                answer = place(seen, chance).answer
                told.append(Demonstration(self.talk(one), answer, id=one.scene.name))
        return told


@dataclass(frozen=True, slots=True)
class Seen:
    """What a text says of a scene."""

    false: int
    """claims that are not so"""
    claims: int
    told: float
    """share of the things of the scene that it rightly names"""
    words: int

    @classmethod
    def of(cls, scene: Scene, text: str) -> "Seen":
        """Counted."""
        said = judged(scene, text)
        named = {(c.of.colour, c.of.shape) for c, true in said if true and c.kind == "thing"}
        there = [(one.colour, one.shape) for one in scene.things]
        told = sum(look in named for look in there) / len(there)
        return cls(sum(not true for _, true in said), len(said), told, len(text.split()))


def compared(
    asked: Asked, talk: Conversation, texts: tuple[str, str], errs: float, chance: random.Random
) -> Comparison | None:
    """What a simulated annotator says of two answers: the one with fewer false claims is better,
    then the one that tells more (the order of questions in Sun et al. 2023); a share of verdicts
    is turned round.  None where neither is better.
    """
    first, second = (Seen.of(asked.alone, text) for text in texts)
    marks = [(one.false, -one.told) for one in (first, second)]
    if marks[0] == marks[1] or not all(text.strip() for text in texts):
        return None
    best = (marks[0] < marks[1]) != (chance.random() < errs)
    why = f"{first.false} and {second.false} false claims"
    ranks = (0, 1) if best else (1, 0)
    return Comparison(talk, texts, ranks, "simulated", why=why, id=asked.scene.name)


def verdicts(
    every: Sequence[Asked], prompts: Sequence[Prompt], texts: Sequence[str], errs: float, seed: int
) -> list[Comparison]:
    """Of two texts to each prompt, side by side in `texts`."""
    chance = random.Random(f"compared {seed}")
    found = [
        compared(asked, prompt.messages, (texts[2 * i], texts[2 * i + 1]), errs, chance)
        for i, (asked, prompt) in enumerate(zip(every, prompts, strict=True))
    ]
    return [one for one in found if one is not None]
