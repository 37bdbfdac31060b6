"""Scenes as pictures, drawn with PIL: large, then made smaller, so that edges are smooth."""

import math
import random
from typing import Any

from accord.worlds.scenes.things import GRID, Scene, Thing

SIDE = 64
"""pixels of a picture, each way"""
FINE = 8
"""how many times larger a picture is drawn"""
PAINT = {
    "red": (222, 38, 44),
    "orange": (250, 134, 12),
    "yellow": (252, 214, 20),
    "green": (38, 160, 70),
    "blue": (38, 92, 224),
    "purple": (128, 52, 178),
    "pink": (252, 132, 192),
    "black": (30, 30, 36),
}
RADIUS = {"big": 0.41, "small": 0.235}
"""of a thing, in cells"""
JITTER = {"big": 0.05, "small": 0.16}
"""how far a thing is from the middle of its cell, at most, in cells"""
SHADE = 14
"""how much each of the three colours may differ from its paint"""
GROUND = (236, 250)
"""how light the ground is"""
Point = tuple[float, float]
Colour = tuple[int, int, int]


def draw(scene: Scene, side: int = SIDE) -> Any:
    """The picture, RGB, `side` pixels wide and high; the same pixels every time."""
    from PIL import Image, ImageDraw

    chance = random.Random(f"look {scene.name}")
    large = side * FINE
    base = chance.randint(*GROUND)
    ground = tuple(base + chance.randint(-4, 4) for _ in range(3))
    picture = Image.new("RGB", (large, large), ground)
    pencil = ImageDraw.Draw(picture)
    cell = large / GRID
    for thing in scene.things:
        radius = RADIUS[thing.size] * chance.uniform(0.95, 1.05)
        off = JITTER[thing.size]
        x = thing.column + 0.5 + chance.uniform(-off, off)
        y = thing.row + 0.5 + chance.uniform(-off, off)
        _put(
            pencil, thing, _shaded(chance, PAINT[thing.colour]), (x * cell, y * cell, radius * cell)
        )
    return picture.resize((side, side), Image.Resampling.BOX)


def _shaded(chance: random.Random, paint: Colour) -> Colour:
    """A paint, a little lighter or darker as a whole, and a little off."""
    lighter = chance.randint(-SHADE // 2, SHADE // 2)
    red, green, blue = (
        min(255, max(0, part + lighter + chance.randint(-SHADE // 2, SHADE // 2))) for part in paint
    )
    return red, green, blue


def _put(pencil: Any, thing: Thing, colour: Colour, at: tuple[float, float, float]) -> None:
    x, y, radius = at
    pencil.polygon(
        [(x + dx * radius, y + dy * radius) for dx, dy in _OUTLINES[thing.shape]], colour
    )


# --- outlines, around (0, 0), about 1 wide each way ---


def _at(degrees: float, radius: float) -> Point:
    """Clockwise from the top."""
    angle = math.radians(degrees)
    return radius * math.sin(angle), -radius * math.cos(angle)


def _circle() -> list[Point]:
    return [_at(degrees, 0.96) for degrees in range(0, 360, 4)]


def _square() -> list[Point]:
    return [(-0.87, -0.87), (0.87, -0.87), (0.87, 0.87), (-0.87, 0.87)]


def _triangle() -> list[Point]:
    return [(0, -1.0), (1.06, 0.86), (-1.06, 0.86)]


def _star() -> list[Point]:
    points = [_at(36 * turn, 1.14 if turn % 2 == 0 else 0.46) for turn in range(10)]
    return [(x, y + 0.08) for x, y in points]


def _heart() -> list[Point]:
    points = []
    for degrees in range(0, 360, 4):
        t = math.radians(degrees)
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((x / 15.5, -(y + 2.5) / 15.5))
    return points


def _cross() -> list[Point]:
    arm, tip = 0.33, 1.0
    corner = [(arm, -tip), (arm, -arm), (tip, -arm)]
    points = []
    for _ in range(4):
        points += corner
        corner = [(-y, x) for x, y in corner]
    return points


def _diamond() -> list[Point]:
    return [(0, -1.12), (0.8, 0), (0, 1.12), (-0.8, 0)]


def _moon() -> list[Point]:
    """A disc, less a smaller disc to the right of its middle."""
    radius, hole, off = 1.06, 0.86, 0.56
    x = (radius**2 - hole**2 + off**2) / (2 * off)
    y = math.sqrt(radius**2 - x**2)
    horn, inner = math.atan2(y, x), math.atan2(y, x - off)
    points = []
    for step in range(65):
        turn = horn + (2 * math.pi - 2 * horn) * step / 64
        points.append((radius * math.cos(turn), -radius * math.sin(turn)))
    for step in range(65):
        turn = 2 * math.pi - inner - (2 * math.pi - 2 * inner) * step / 64
        points.append((off + hole * math.cos(turn), -hole * math.sin(turn)))
    return [(x + 0.24, y) for x, y in points]


_OUTLINES = {
    "circle": _circle(),
    "square": _square(),
    "triangle": _triangle(),
    "star": _star(),
    "heart": _heart(),
    "cross": _cross(),
    "diamond": _diamond(),
    "moon": _moon(),
}
