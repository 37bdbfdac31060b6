"""What the demo of Fact-RLHF shows and asks: scenes as pictures, prompts, descriptions, pairs."""

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
from accord.worlds.scenes.captions import facts, plainly
from accord.worlds.scenes.claims import judged
from accord.worlds.scenes.drawing import draw
from accord.worlds.scenes.mistakes import mistaken
from accord.worlds.scenes.things import Scene

QUESTION = "What is in the picture?"
SIDE = 96
"""pixels, as the shipped tower wants them"""


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

    def talk(self, scene: Scene) -> Conversation:
        """The question about a picture, with the facts for those who judge."""
        known = tuple(Fact(fact) for fact in facts(scene))
        return (Message("user", (Image(str(self.path(scene))), Text(QUESTION), *known)),)

    def prompts(self, scenes: Iterable[Scene]) -> list[Prompt]:
        """One for each."""
        with files.writing(str(self.folder)):
            return [Prompt(self.talk(scene), scene.name) for scene in scenes]

    def described(self, scenes: Iterable[Scene], mistakes: float, seed: int) -> list[Demonstration]:
        """A description of each, a share of them wrong about one thing."""
        chance, told = random.Random(f"described {seed}"), []
        with files.writing(str(self.folder)):
            for scene in scenes:
                seen = mistaken(scene, chance) if chance.random() < mistakes else scene
                told.append(Demonstration(self.talk(scene), plainly(seen, chance), id=scene.name))
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
    scene: Scene, talk: Conversation, texts: tuple[str, str], errs: float, chance: random.Random
) -> Comparison | None:
    """What a simulated annotator says of two descriptions: the one with fewer false claims is
    better, then the one that tells of more things (the order of questions in Sun et al. 2023); a
    share of verdicts is turned round.  None where neither is better.
    """
    first, second = (Seen.of(scene, text) for text in texts)
    marks = [(one.false, -one.told) for one in (first, second)]
    if marks[0] == marks[1] or not all(text.strip() for text in texts):
        return None
    best = (marks[0] < marks[1]) != (chance.random() < errs)
    why = f"{first.false} and {second.false} false claims"
    ranks = (0, 1) if best else (1, 0)
    return Comparison(talk, texts, ranks, "simulated", why=why, id=scene.name)


def verdicts(
    scenes: Sequence[Scene], prompts: Sequence[Prompt], texts: Sequence[str], errs: float, seed: int
) -> list[Comparison]:
    """Of two texts to each prompt, side by side in `texts`."""
    chance = random.Random(f"compared {seed}")
    found = [
        compared(scene, prompt.messages, (texts[2 * i], texts[2 * i + 1]), errs, chance)
        for i, (scene, prompt) in enumerate(zip(scenes, prompts, strict=True))
    ]
    return [one for one in found if one is not None]
