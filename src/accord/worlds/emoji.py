"""Emoji as four hands drew them: the same things in four styles, of which one can be held out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from accord.errors import BadData, BadSettings
from accord.store import files

NAMES, PICTURES = "emoji48.json", "emoji48.npz"


class Drawn(NamedTuple):
    """One emoji in one style."""

    picture: Path
    name: str
    style: str


@dataclass(frozen=True)
class Emoji:
    """All of a folder: what they are called, and how each style draws them."""

    names: tuple[str, ...]
    styles: tuple[str, ...]
    pixels: Any
    """uint8 [styles, names, height, width, 3]"""

    def save(self, folder: Path, held_out: str) -> tuple[list[Drawn], list[Drawn]]:
        """Every picture as PNG in a folder of its style: those to learn from, and those of the
        style that is held out.
        """
        from PIL import Image

        if held_out not in self.styles:
            known = ", ".join(self.styles)
            raise BadSettings(f"there is no style {held_out!r} to hold out; there are {known}")
        learned: list[Drawn] = []
        kept: list[Drawn] = []
        for style, pictures in zip(self.styles, self.pixels, strict=True):
            with files.writing(str(folder)):
                (folder / style).mkdir(parents=True, exist_ok=True)
                for n, (name, pixels) in enumerate(zip(self.names, pictures, strict=True)):
                    path = folder / style / f"{n:04}.png"
                    Image.fromarray(pixels).save(path, "PNG")
                    (kept if style == held_out else learned).append(Drawn(path, name, style))
        return learned, kept


def read(folder: Path) -> Emoji:
    """The emoji of a folder with `emoji48.json` and `emoji48.npz`; BadData says what is wrong."""
    import numpy

    listed, packed = folder / NAMES, folder / PICTURES
    try:
        rows = json.loads(listed.read_text(encoding="utf-8"))
        with numpy.load(packed) as arrays:
            pixels, styles = arrays["images"], tuple(str(style) for style in arrays["styles"])
    except OSError as error:
        raise BadData(f"{error.filename or folder}: cannot be read ({error.strerror})") from None
    except KeyError as error:
        raise BadData(
            f"{packed}: holds no array {error}; 'images' and 'styles' are meant"
        ) from None
    except ValueError as error:  # no JSON, no npz
        raise BadData(f"{folder}: {NAMES} or {PICTURES} cannot be read: {error}") from None
    return Emoji(_names(rows, listed), styles, _checked(pixels, (len(styles), len(rows)), packed))


def _names(rows: Any, path: Path) -> tuple[str, ...]:
    if not isinstance(rows, list):
        raise BadData(f"{path}: a list of emoji is meant, each with a 'name'")
    for n, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not isinstance(row.get("name"), str):
            raise BadData(f"{path}, record {n}: no text under 'name'")
    return tuple(row["name"] for row in rows)


def _checked(pixels: Any, counts: tuple[int, int], path: Path) -> Any:
    if pixels.ndim != 5 or pixels.shape[:2] != counts or pixels.shape[-1] != 3:
        raise BadData(
            f"{path}: 'images' has the shape {pixels.shape}; {counts[0]} styles of {counts[1]} "
            "emoji are meant, each of height × width × 3"
        )
    if pixels.dtype.name != "uint8":
        raise BadData(f"{path}: 'images' holds {pixels.dtype.name}, and bytes (uint8) are meant")
    return pixels
