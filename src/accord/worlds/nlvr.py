"""Cornell's NLVR (Suhr et al. 2017): what people said of three boxes of shapes, true or false.

Every example lists its things, so its picture can be drawn again, and what is false be counted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from accord.data.benchmark import Row, distinct, objects
from accord.store import files

BOX, GAP = 100, 50
"""pixels: a box each way; what is between two"""
BOXES = 3
GROUND, BETWEEN = (211, 211, 211), (128, 128, 128)
PAINT = {
    "yellow": ("yellow", (255, 255, 0)),
    "black": ("black", (0, 0, 0)),
    "#0099ff": ("blue", (0, 153, 255)),
}
"""colours as the file writes them"""
SHAPES = ("circle", "square", "triangle")
FINE = 4
"""how many times larger a picture is drawn, so that edges are smooth"""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing: its upper left corner and its side, in pixels of its box."""

    shape: str
    colour: str
    size: int
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence, whether it is true, and of what."""

    name: str
    sentence: str
    true: bool
    boxes: tuple[tuple[Item, ...], ...]


class Shown(NamedTuple):
    """A sentence beside its picture."""

    picture: Path
    sentence: str
    true: bool


def read(path: Path) -> list[Example]:
    """The examples of a file of JSON lines: of the corpus as it is published, or with `image` and
    `boxes` in place of `identifier` and `structured_rep`.  BadData names file and line.
    """
    rows = objects(path)
    found = [_example(row) for row in rows]
    distinct([(one.name, row.where) for one, row in zip(found, rows, strict=True)])
    return found


def show(examples: Iterable[Example], folder: Path) -> list[Shown]:
    """Each with its picture, drawn into the folder."""
    shown = []
    for one in examples:
        path = folder / f"{one.name}.png"
        with files.writing(str(path)):
            path.parent.mkdir(parents=True, exist_ok=True)
            draw(one).save(path, "PNG")
        shown.append(Shown(path, one.sentence, one.true))
    return shown


def draw(example: Example) -> Any:
    """The picture, RGB, as the corpus has it: three boxes in a row."""
    from PIL import Image, ImageDraw

    width, height = BOXES * BOX + (BOXES - 1) * GAP, BOX
    picture = Image.new("RGB", (width * FINE, height * FINE), BETWEEN)
    pencil = ImageDraw.Draw(picture)
    paints = dict(PAINT.values())
    for n, box in enumerate(example.boxes):
        left = n * (BOX + GAP) * FINE
        pencil.rectangle((left, 0, left + BOX * FINE - 1, BOX * FINE - 1), GROUND)
        for item in box:
            x, y, side = left + item.x * FINE, item.y * FINE, item.size * FINE - 1
            if item.shape == "circle":
                pencil.ellipse((x, y, x + side, y + side), paints[item.colour])
            elif item.shape == "square":
                pencil.rectangle((x, y, x + side, y + side), paints[item.colour])
            else:
                corners = [(x, y + side), (x + side / 2, y), (x + side, y + side)]
                pencil.polygon(corners, paints[item.colour])
    return picture.resize((width, height), Image.Resampling.BOX)


# --- rows ---


def _example(row: Row) -> Example:
    label = str(row.row.get("label")).lower()
    if label not in ("true", "false"):
        raise row.bad(f'"label" is {row.row.get("label")!r}, and true or false is meant')
    boxes = row.row.get("boxes", row.row.get("structured_rep"))
    if not isinstance(boxes, list) or len(boxes) != BOXES:
        raise row.bad(f'"boxes" must be a list of {BOXES} lists of things')
    name = row.text("image", "identifier").removesuffix(".png")
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise row.bad(f"the name {name!r} leads out of the folder of pictures")
    made = tuple(_box(box, f"box {n}", row) for n, box in enumerate(boxes, 1))
    return Example(name, row.text("sentence").strip(), label == "true", made)


def _box(box: Any, where: str, row: Row) -> tuple[Item, ...]:
    if not isinstance(box, list) or not all(isinstance(one, Mapping) for one in box):
        raise row.bad(f"{where} must be a list of things")
    return tuple(_item(one, f"{where}, thing {n}", row) for n, one in enumerate(box, 1))


def _item(thing: Mapping[str, Any], where: str, row: Row) -> Item:
    shape, paint = str(thing.get("type")).lower(), str(thing.get("color")).lower()
    if shape not in SHAPES:
        raise row.bad(f'{where}: "type" is {thing.get("type")!r}; known are {", ".join(SHAPES)}')
    if paint not in PAINT:
        raise row.bad(f'{where}: "color" is {thing.get("color")!r}; known are {", ".join(PAINT)}')
    size, x, y = (_pixels(thing, key, where, row) for key in ("size", "x_loc", "y_loc"))
    if not size or max(x, y) + size > BOX:
        raise row.bad(f"{where}: {size} pixels wide at ({x}, {y}) is not within its box of {BOX}")
    return Item(shape, PAINT[paint][0], size, x, y)


def _pixels(thing: Mapping[str, Any], key: str, where: str, row: Row) -> int:
    value = thing.get(key)
    if type(value) is not int or value < 0:
        raise row.bad(f'{where}: "{key}" is {value!r}, not a number of pixels')
    return value
