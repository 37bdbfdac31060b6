"""Questions about scenes, with their right answers: short, so that a program can tell."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from accord.worlds.scenes.captions import named, placed, short
from accord.worlds.scenes.things import COLOURS, SHAPES, Scene, Thing
from accord.worlds.scenes.words import article, number, plural

Kind = Literal["exists", "colour", "count", "choice", "place"]
LETTERS = "ABCD"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and what is right."""

    kind: Kind
    text: str
    answer: str


def questions(scene: Scene, chance: random.Random) -> list[Question]:
    """One of each kind that can be asked of it."""
    ways: tuple[Callable[[Scene, random.Random], Question | None], ...] = (
        exists,
        colour,
        count,
        choice,
    )
    return [one for way in ways if (one := way(scene, chance)) is not None]


def exists(scene: Scene, chance: random.Random) -> Question:
    """Half of the time what is asked for is there.  What is not, is made of a colour and a shape
    that are, where it can be, as the adversarial questions of POPE are of what goes together.
    """
    if chance.random() < 0.5:
        return _asked(short(chance.choice(scene.things)), "Yes.")
    near = [look for look in _absent(scene) if _made_of(scene, look)]
    return _asked(" ".join(chance.choice(near or _absent(scene))), "No.")


def _asked(what: str, answer: str) -> Question:
    return Question("exists", f"Is there {article(what)}?", answer)


def colour(scene: Scene, chance: random.Random) -> Question | None:
    """Of a thing whose shape no other has; None where there is none."""
    shapes = Counter(one.shape for one in scene.things)
    alone = [one for one in scene.things if shapes[one.shape] == 1]
    if not alone:
        return None
    one = chance.choice(alone)
    return Question("colour", f"What colour is the {one.shape}?", f"It is {one.colour}.")


def count(scene: Scene, chance: random.Random) -> Question:
    """Of a shape, of a colour, or of all."""
    of = chance.choice(("shape", "colour", "all"))
    one = chance.choice(scene.things)
    if of == "all":
        what, many = "things", len(scene.things)
    elif of == "shape":
        what = plural(one.shape)
        many = sum(other.shape == one.shape for other in scene.things)
    else:
        what = f"{one.colour} things"
        many = sum(other.colour == one.colour for other in scene.things)
    return Question("count", f"How many {what} are there?", f"{number(many).capitalize()}.")


def choice(scene: Scene, chance: random.Random) -> Question:
    """Which of four is there; the three others are not."""
    right = short(chance.choice(scene.things))
    options = [right, *(" ".join(look) for look in chance.sample(_absent(scene), 3))]
    chance.shuffle(options)
    listed = " ".join(f"{letter}. {what}." for letter, what in zip(LETTERS, options, strict=True))
    letter = LETTERS[options.index(right)]
    return Question("choice", f"Which one is there? {listed}", f"{letter}. {right}")


def place(thing: Thing, chance: random.Random) -> Question:
    """What there is at the place of a thing; it is no part of `questions`."""
    said = chance.choice(("There is", "I see"))
    return Question("place", f"What is {placed(thing)}?", f"{said} {article(named(thing))}.")


def _absent(scene: Scene) -> list[tuple[str, str]]:
    there = {(one.colour, one.shape) for one in scene.things}
    return [(c, s) for c in COLOURS for s in SHAPES if (c, s) not in there]


def _made_of(scene: Scene, look: tuple[str, str]) -> bool:
    return look[0] in {one.colour for one in scene.things} and look[1] in {
        one.shape for one in scene.things
    }
