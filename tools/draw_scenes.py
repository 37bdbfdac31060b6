"""Draws docs/scenes.png: scenes, and descriptions whose false words are marked.

python tools/draw_scenes.py
"""

import random
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from accord.worlds.scenes.captions import caption
from accord.worlds.scenes.claims import Span, hallucinated
from accord.worlds.scenes.drawing import draw
from accord.worlds.scenes.mistakes import mistaken
from accord.worlds.scenes.things import Scene, scene

OUT = Path(__file__).resolve().parents[1] / "docs" / "scenes.png"
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
SHOWN = (0, 2, 3, 12)
"""indices of seed 0"""
SIDE, EDGE, TEXT, LINE = 330, 15, 255, 27
INK, FALSE, RULE = "#1f2933", "#c8102e", "#d5dce3"


def told(one: Scene) -> str:
    """A description of the scene as somebody remembers it who errs about one thing."""
    chance = random.Random(f"figure {one.name}")
    return caption(mistaken(one, chance), chance)


def words(pencil: ImageDraw.ImageDraw, text: str, false: list[Span], left: int) -> None:
    """The text below its picture, word by word."""
    font = ImageFont.truetype(str(FONT), 18)
    x, y, at = left, SIDE + 2 * EDGE, 0
    for word in text.split(" "):
        width = pencil.textlength(f"{word} ", font)
        if x + width > left + SIDE:
            x, y = left, y + LINE
        wrong = any(start <= at < stop for start, stop in false)
        pencil.text((x, y), word, FALSE if wrong else INK, font)
        if wrong:
            pencil.line((x, y + 23, x + width - 6, y + 23), FALSE, 2)
        x, at = x + width, at + len(word) + 1


def main() -> None:
    """One file, the same pixels each time."""
    wide = EDGE + len(SHOWN) * (SIDE + EDGE)
    sheet = Image.new("RGB", (wide, SIDE + 2 * EDGE + TEXT), "white")
    pencil = ImageDraw.Draw(sheet)
    for n, index in enumerate(SHOWN):
        one, left = scene(0, index), EDGE + n * (SIDE + EDGE)
        sheet.paste(draw(one, SIDE), (left, EDGE))
        pencil.rectangle((left, EDGE, left + SIDE, EDGE + SIDE), outline=RULE)
        text = told(one)
        words(pencil, text, hallucinated(one, text), left)
    sheet.quantize(128).save(OUT, optimize=True)
    print(f"{OUT.name}: {OUT.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
