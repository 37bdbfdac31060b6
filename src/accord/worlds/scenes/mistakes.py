"""Scenes as somebody wrongly remembers them: what a description that makes things up is made of."""

import random
from dataclasses import replace

from accord.worlds.scenes.things import COLOURS, SHAPES, Scene, Thing


def mistaken(scene: Scene, chance: random.Random, count: int = 1) -> Scene:
    """The scene with another colour or shape for up to `count` of its things; none of them is
    there, so a true description of this scene is false of the other in so many things.
    """
    things = list(scene.things)
    for at in chance.sample(range(len(things)), min(count, len(things))):
        taken = {(one.colour, one.shape) for one in (*scene.things, *things)}
        things[at] = chance.choice([one for one in _others(things[at]) if _looks(one) not in taken])
    return Scene(scene.name, tuple(things))


def _others(thing: Thing) -> list[Thing]:
    """The thing in every other colour, and in every other shape."""
    colours = [replace(thing, colour=colour) for colour in COLOURS if colour != thing.colour]
    return colours + [replace(thing, shape=shape) for shape in SHAPES if shape != thing.shape]


def _looks(thing: Thing) -> tuple[str, str]:
    return thing.colour, thing.shape
