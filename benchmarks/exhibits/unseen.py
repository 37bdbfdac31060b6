"""What a small model that sees makes of pictures that nobody drew for it.

    python benchmarks/exhibits/unseen.py nlvr FOLDER [NAME=POLICY …] [--out FILE.json]
    python benchmarks/exhibits/unseen.py scenes [--out FILE.json]
    python benchmarks/exhibits/unseen.py emoji FOLDER --held-out noto --work DIR [--out FILE.json]

`nlvr`: Cornell's corpus (FOLDER/*.jsonl).  A box of one to three things is a picture, and
every policy is asked what is in it and what is at a place; colours and shapes that are not there
are counted.  And people's sentences: does it tell those that are true?
`scenes`: the project's own, drawn in other sizes, farther from the middles of cells, or on grey.
`emoji`: three hands' drawings are learned by name, and the fourth's are to be named.
"""

import argparse
import json
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy
import torch
from PIL import Image

from accord.demo.factual import views
from accord.demo.find import SEER
from accord.demo.sights import Gallery
from accord.engine.draw import Sampling
from accord.engine.llm import Ask
from accord.engine.local import Local
from accord.engine.roles import Policy
from accord.engine.steps import Optimizer
from accord.recipes.sft import SFT
from accord.recipes.stage import Place
from accord.recipes.stages import sft_stage
from accord.records import Conversation, Demonstration, Message, Text
from accord.records import Image as Picture
from accord.worlds import emoji, nlvr
from accord.worlds.scenes import drawing
from accord.worlds.scenes.captions import placed
from accord.worlds.scenes.claims import claims
from accord.worlds.scenes.drawing import PAINT
from accord.worlds.scenes.things import GRID, SIZES, Thing

MOST, WIDE = 3, nlvr.BOX / GRID
"""things of a box that is asked about, as in the demo; pixels of a cell"""
DESCRIBE, NAME = "What is in the picture?", "What is this?"
OPTIONS = 16
"""names to choose from"""
Paint = tuple[tuple[int, int, int], tuple[int, int, int]]
PAINTS: dict[str, list[Paint]] = {
    "as drawn": [],
    "ground": [(nlvr.GROUND, (243, 243, 243))],
    "ground-and-paint": [
        (nlvr.GROUND, (243, 243, 243)),
        *((nlvr.PAINT[old][1], PAINT[nlvr.PAINT[old][0]]) for old in nlvr.PAINT),
    ],
}
"""the corpus's colours, or those that the scenes have"""
Looks = set[tuple[str, str]]


def talk(picture: Path, text: str) -> Conversation:
    """A question about a picture."""
    return (Message("user", (Picture(str(picture)), Text(text))),)


def interval(right: int, of: int) -> tuple[float, float]:
    """95 %, Wilson."""
    z, share = NormalDist().inv_cdf(0.975), right / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return middle - half, middle + half


def share(right: int, of: int) -> dict[str, Any]:
    """A share as it is kept."""
    return {"share": right / of, "of": of, "interval": interval(right, of)}


def said(policy: Policy, talks: Sequence[Conversation], how: Sampling, longest: int) -> list[str]:
    """An answer to each."""
    spoken = Local(policy).say([Ask(one) for one in talks], longest=longest, how=how)
    return [one.text for one in spoken]  # type: ignore[union-attr]


# --- NLVR ---


def examples(folder: Path) -> list[nlvr.Example]:
    """All of the corpus."""
    return [one for path in sorted(folder.glob("*.jsonl")) for one in nlvr.read(path)]


def boxes(every: Iterable[nlvr.Example]) -> Iterator[tuple[str, nlvr.Example, int]]:
    """Each box once that holds one to three things, each in a cell of its own."""
    seen = set()
    for one in every:
        for n, box in enumerate(one.boxes):
            if 0 < len(box) <= MOST and len({cell(item) for item in box}) == len(box):
                if box not in seen:
                    yield f"{one.name}-{n}", one, n
                seen.add(box)


def cell(item: nlvr.Item) -> int:
    """Where the middle of a thing is, on the grid of the scenes."""
    row, column = (int((at + item.size / 2) // WIDE) for at in (item.y, item.x))
    return GRID * row + column


def alone(example: nlvr.Example, n: int, path: Path, paints: Sequence[Paint]) -> Path:
    """One box as a picture, with some colours in place of others."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        left = n * (nlvr.BOX + nlvr.GAP)
        box = nlvr.draw(example).crop((left, 0, left + nlvr.BOX, nlvr.BOX))
        pixels = numpy.asarray(box).copy()
        for old, new in paints:
            pixels[(pixels == old).all(-1)] = new
        Image.fromarray(pixels).save(path, "PNG")
    return path


def false(looks: Looks, text: str) -> tuple[int, int]:
    """(things said to be there that are not, things said to be there), by colour and shape."""
    there = [one.of for one in claims(text) if one.kind == "thing"]
    return sum((one.colour, one.shape) not in looks for one in there), len(there)


def first(text: str) -> tuple[str | None, str | None]:
    """Colour and shape of the first thing that is named."""
    return next(((c.of.colour, c.of.shape) for c in claims(text) if c.kind == "thing"), (None,) * 2)


def on_boxes(
    policy: Policy, corpus: Sequence[nlvr.Example], work: Path, how: Sampling, paints: str
) -> dict[str, Any]:
    """What it says of boxes, and of one thing by its place."""
    work = work / paints.replace(" ", "-")
    every = [
        (alone(one, n, work / f"{name}.png", PAINTS[paints]), one.boxes[n])
        for name, one, n in boxes(corpus)
    ]
    chance = random.Random("asked")
    things = [chance.choice(box) for _, box in every]
    where = [placed(Thing("small", one.colour, one.shape, cell(one))) for one in things]
    told = said(policy, [talk(picture, DESCRIBE) for picture, _ in every], how, 100)
    asked = [talk(picture, f"What is {at}?") for (picture, _), at in zip(every, where, strict=True)]
    answers = said(policy, asked, how, 24)
    looks = [{(one.colour, one.shape) for one in box} for _, box in every]
    described = [false(look, text) for look, text in zip(looks, told, strict=True)]
    of_one = [false({(t.colour, t.shape)}, a) for t, a in zip(things, answers, strict=True)]
    few, heads = len(every), [first(answer) for answer in answers]
    return {
        "descriptions with a false thing": share(sum(bad > 0 for bad, _ in described), few),
        "things that are not there, of those told": sum(bad for bad, _ in described)
        / max(1, sum(many for _, many in described)),
        "a place: a wrong thing": share(sum(bad > 0 for bad, _ in of_one), few),
        "a place: the right thing": share(sum(one == (0, 1) for one in of_one), few),
        "a place: the right colour": share(
            sum(t.colour == colour for t, (colour, _) in zip(things, heads, strict=True)), few
        ),
        "a place: the right shape": share(
            sum(t.shape == shape for t, (_, shape) in zip(things, heads, strict=True)), few
        ),
        "samples": [[str(p.name), a, b] for (p, _), a, b in zip(every, told, answers)][:12],
    }


def on_sentences(policy: Policy, corpus: Sequence[nlvr.Example], work: Path) -> dict[str, Any]:
    """Whether it tells true sentences: by what is likelier, and by how much (AUC)."""
    shown = nlvr.show(corpus, work)
    asks = [Ask(talk(one.picture, f"Is it true? {one.sentence}")) for one in shown]
    odds = Local(policy).weigh(asks, [("Yes.", "No.")] * len(asks))
    leans = [yes - no for yes, no in odds]  # type: ignore[misc]
    true = [one.true for one in shown]
    ups = sorted(lean for lean, is_true in zip(leans, true, strict=True) if is_true)
    downs = sorted(lean for lean, is_true in zip(leans, true, strict=True) if not is_true)
    above = sum(up > down for up in ups for down in downs) / (len(ups) * len(downs))
    right = sum((lean > 0) == is_true for lean, is_true in zip(leans, true, strict=True))
    return {
        "right": share(right, len(true)),
        "area under the curve": above,
        "always yes": sum(true) / len(true),
    }


def by_nlvr(
    folder: Path, policies: dict[str, Path], work: Path, heat: float, paints: str
) -> dict[str, Any]:
    """All policies on all of it."""
    out: dict[str, Any] = {}
    corpus = examples(folder)
    for name, path in policies.items():
        policy = Policy.open(path)
        found = on_boxes(policy, corpus, work / "boxes", Sampling(heat), paints)
        out[name] = found
        if (
            len(out) == 1 and paints == "as drawn"
        ):  # the others come of it, and were asked no such thing
            found["sentences"] = on_sentences(policy, corpus, work / "whole")
        print(name, json.dumps({k: v for k, v in out[name].items() if k != "samples"}), flush=True)
    return out


# --- scenes ---


def by_drawing(work: Path, count: int = 400) -> dict[str, Any]:
    """What the seer, taking the likeliest words, says of one thing by its place: share of colours
    and of shapes that are right, by how the same scenes are drawn.
    """
    every, policy, found = views(9, count), Policy.open(SEER), dict[str, Any]()

    def ask(name: str, radius: dict[str, float], off: dict[str, float], ground: Any = None) -> None:
        drawing.RADIUS, drawing.JITTER, drawing.GROUND = radius, off, ground or drawing.GROUND
        gallery = Gallery(work / name.replace(" ", "-"))
        talks = [talk(gallery.path(one.scene), one.question) for one in every]
        heads = [first(text) for text in said(policy, talks, Sampling(0.0), 24)]
        pairs = list(zip(heads, every, strict=True))
        found[name] = {
            "colour": share(sum(c == one.thing.colour for (c, _), one in pairs), count),
            "shape": share(sum(s == one.thing.shape for (_, s), one in pairs), count),
        }
        print(name, {key: round(one["share"], 3) for key, one in found[name].items()}, flush=True)

    radius, off, near = drawing.RADIUS, drawing.JITTER, dict.fromkeys(SIZES, 0.05)
    ask("as they are", radius, off)
    for wide in (0.12, 0.17, 0.235, 0.29, 0.32, 0.37, 0.41, 0.48):
        ask(f"radius {wide}", dict.fromkeys(SIZES, wide), near)
    for far in (0.16, 0.3, 0.4):
        ask(f"up to {far} off", radius, dict.fromkeys(SIZES, far))
    ask("on grey", radius, off, (207, 215))
    return found


# --- emoji ---


def named(policy: Policy, rows: Sequence[emoji.Drawn], names: Sequence[str]) -> dict[str, Any]:
    """Whether the right name is the likeliest of sixteen; and of another picture, where it should
    not be.
    """
    chance = random.Random("names")
    few = rows[:: max(1, len(rows) // 500)]
    others = [chance.sample([n for n in names if n != one.name], OPTIONS - 1) for one in few]
    options = [(one.name, *more) for one, more in zip(few, others, strict=True)]
    llm, asks = Local(policy), [Ask(talk(one.picture, NAME)) for one in few]
    moved = [asks[(i + 7) % len(asks)] for i in range(len(asks))]
    right, blind = (
        sum(max(row) == row[0] for row in llm.weigh(one, options))  # type: ignore[arg-type, index]
        for one in (asks, moved)
    )
    return {"right of 16": share(right, len(few)), "of another picture": share(blind, len(few))}


def by_emoji(folder: Path, held_out: str, work: Path, epochs: int) -> dict[str, Any]:
    """Before and after, on the styles that were learned and on the other."""
    learned, kept = emoji.read(folder).save(work / "pictures", held_out)
    names = sorted({one.name for one in kept})
    cfg = SFT(
        epochs=epochs, batch=32, lr=2e-3, longest=64, held_out=0.0,
        optimizer=Optimizer(micro_tokens=4096),
    )  # fmt: skip
    start = Policy.open(SEER)
    before = {"held out": named(start, kept, names), "learned": named(start, learned, names)}
    rows = [
        Demonstration(talk(one.picture, NAME), one.name, id=f"{one.style}/{one.picture.stem}")
        for one in learned
    ]
    made = sft_stage(Place(work / "sft", 0, 50, (), print), cfg, start, rows)
    after = {
        "held out": named(made.handle, kept, names),
        "learned": named(made.handle, learned, names),
    }
    return {"style": held_out, "names": len(names), "before": before, "after": after}


def main() -> None:
    """Run, tell, keep."""
    asked = argparse.ArgumentParser()
    asked.add_argument("what", choices=("nlvr", "scenes", "emoji"))
    asked.add_argument("folder", type=Path, nargs="?", default=Path())
    asked.add_argument("policies", nargs="*", help="NAME=FOLDER")
    asked.add_argument("--held-out", default="noto")
    asked.add_argument("--epochs", type=int, default=6)
    asked.add_argument("--temperature", type=float, default=1.0)
    asked.add_argument("--paints", choices=PAINTS, default="as drawn")
    asked.add_argument("--work", type=Path, default=Path("unseen"))
    asked.add_argument("--out", type=Path)
    told = asked.parse_args()
    torch.set_num_threads(1)
    if told.what == "nlvr":
        policies = {name: Path(at) for name, at in (one.split("=", 1) for one in told.policies)}
        found = by_nlvr(
            told.folder, policies or {"the seer": SEER}, told.work, told.temperature, told.paints
        )
    elif told.what == "scenes":
        found = by_drawing(told.work / "scenes")
    else:
        found = by_emoji(told.folder, told.held_out, told.work, told.epochs)
    print(json.dumps(found, indent=1))
    if told.out:
        told.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
