"""What is in a scene: two to five things on a grid of three by three.

A scene is a pure function of (seed, index), so that anybody can make the same ones again, and what
is true of it can be counted.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SHAPES = ("circle", "square", "triangle", "star", "heart", "cross", "diamond", "moon")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black")
SIZES = ("big", "small")
GRID = 3
FEWEST, MOST = 2, 5
"""things of a scene"""
ALIKE = 0.35
"""how likely a thing takes the shape, or the colour, of one before it: else nothing would be worth
counting"""


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing, and the cell it is in: 0 at the top left, 8 at the bottom right."""

    size: str
    colour: str
    shape: str
    cell: int

    @property
    def row(self) -> int:
        return self.cell // GRID

    @property
    def column(self) -> int:
        return self.cell % GRID


@dataclass(frozen=True, slots=True)
class Scene:
    """Things by their cells, no two of one colour and shape; and its name, "seed/index", which also
    decides what no words speak of: the exact place of a thing, its shade, the ground.
    """

    name: str
    things: tuple[Thing, ...]


def scene(seed: int, index: int) -> Scene:
    """The scene of that seed and index, always the same."""
    name = f"{seed}/{index}"
    chance = random.Random(f"scene {name}")
    cells = sorted(chance.sample(range(GRID * GRID), chance.randint(FEWEST, MOST)))
    looks: list[tuple[str, str]] = []
    while len(looks) < len(cells):
        colour = _pick(chance, COLOURS, [colour for colour, _ in looks])
        shape = _pick(chance, SHAPES, [shape for _, shape in looks])
        if (colour, shape) not in looks:
            looks.append((colour, shape))
    things = [
        Thing(chance.choice(SIZES), colour, shape, cell)
        for (colour, shape), cell in zip(looks, cells, strict=True)
    ]
    return Scene(name, tuple(things))


def scenes(seed: int, count: int, start: int = 0) -> Iterator[Scene]:
    """`count` scenes of a seed, from that of index `start` on."""
    return (scene(seed, index) for index in range(start, start + count))


def _pick(chance: random.Random, known: Sequence[str], before: Sequence[str]) -> str:
    return chance.choice(before if before and chance.random() < ALIKE else known)
