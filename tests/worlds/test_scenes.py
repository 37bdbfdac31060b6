"""Scenes: the same for all, drawn and described truly; what is false is found, word by word."""

import random
import re

import numpy as np
import pytest
from PIL import Image

from accord.worlds.scenes.captions import caption, captions, facts, plainly
from accord.worlds.scenes.claims import claims, hallucinated, judged
from accord.worlds.scenes.drawing import draw
from accord.worlds.scenes.mistakes import mistaken
from accord.worlds.scenes.things import COLOURS, FEWEST, MOST, SHAPES, Scene, Thing, scene, scenes

ONE = Scene(
    "hand/1",
    (
        Thing("big", "red", "circle", 0),
        Thing("small", "blue", "star", 4),
        Thing("small", "red", "heart", 8),
    ),
)


def wrong(text: str, view: Scene = ONE) -> list[str]:
    """The words that are false."""
    return [text[a:b] for a, b in hallucinated(view, text)]


def test_a_scene_is_a_function_of_its_seed_and_index():
    assert list(scenes(7, 20)) == [scene(7, i) for i in range(20)]
    assert list(scenes(7, 5, start=15)) == [scene(7, i) for i in range(15, 20)]
    assert len({one.things for one in scenes(7, 500)}) > 490


def test_every_thing_comes_and_none_twice():
    seen = [one for view in scenes(3, 500) for one in view.things]
    assert {one.shape for one in seen} == {*SHAPES}
    assert {one.colour for one in seen} == {*COLOURS}
    for view in scenes(3, 500):
        looks = [(one.colour, one.shape) for one in view.things]
        assert FEWEST <= len(looks) == len(set(looks)) <= MOST
        assert len({one.cell for one in view.things}) == len(looks)


def test_the_picture_is_the_same_and_shows_every_thing_in_its_cell():
    for view in scenes(5, 40):
        image = np.asarray(draw(view, 96)).astype(int)
        assert (image == np.asarray(draw(view, 96))).all()
        ground = np.median(image.reshape(-1, 3), 0)
        full = set()
        for cell in range(9):
            row, column = divmod(cell, 3)
            part = image[row * 32 + 10 : row * 32 + 22, column * 32 + 10 : column * 32 + 22]
            if (np.abs(part - ground).sum(-1) > 60).mean() > 0.2:
                full.add(cell)
        assert full == {one.cell for one in view.things}


def test_no_true_description_is_called_false():
    for view in scenes(11, 700):
        for text in captions(view, 3):
            assert wrong(text, view) == [], text
            told = {(c.of.colour, c.of.shape) for c in claims(text) if c.kind == "thing"}
            assert {(one.colour, one.shape) for one in view.things} <= told, text
        for text in (". ".join(facts(view)), plainly(view, random.Random(0))):
            assert wrong(text, view) == []
            assert len([c for c in claims(text) if c.kind == "place"]) == len(view.things)


def test_of_another_scene_just_the_things_are_false_that_differ():
    """Beside a reading of its own, by the few words that true descriptions are made of."""
    phrase = re.compile(rf"\b(?:(big|small) )?({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})\b")
    seen = [*scenes(13, 400)]
    for view, other in zip(seen[1:], seen[:-1], strict=True):
        for text in captions(other, 2):
            expected = [
                match.span()
                for match in phrase.finditer(text)
                if not any(
                    match[1] in (None, one.size) and match.group(2, 3) == (one.colour, one.shape)
                    for one in view.things
                )
            ]
            found = [c.span for c, true in judged(view, text) if c.kind == "thing" and not true]
            assert [span for span in found if phrase.fullmatch(text, *span)] == expected, text


def test_a_mistake_is_found_and_nothing_else():
    chance = random.Random(0)
    for view in scenes(12, 500):
        other = mistaken(view, chance)
        (was,) = {*view.things} - {*other.things}
        (now,) = {*other.things} - {*view.things}
        assert was.cell == now.cell
        text = caption(other, chance)
        found = wrong(text, view)
        assert found, text
        things = [x for x in judged(view, text) if x[0].kind == "thing" and not x[1]]
        assert {(c.of.colour, c.of.shape) for c, _ in things} <= {(now.colour, now.shape)}, text


def test_two_mistakes_are_two_things():
    view = scene(1, 1)
    other = mistaken(view, random.Random(1), 2)
    assert len({*view.things} & {*other.things}) == len(view.things) - 2


@pytest.mark.parametrize(
    ("text", "false"),
    [
        ("There is a big red circle at the top left.", []),
        ("There is a big red circle at the top.", []),
        ("There is a big red circle at the bottom.", ["at the bottom"]),
        ("There is a big red square.", ["big red square"]),
        ("There is a small red circle.", ["small red circle"]),
        ("I see two red things.", []),
        ("I see three red things.", ["three"]),
        ("There are three things here.", []),
        ("There is no star.", ["no"]),
        ("There is no cross.", []),
        ("The blue star is below the red circle.", []),
        ("The blue star is above the red circle.", ["above"]),
        ("It is a red circle. It is big and at the top.", []),
        ("There is a blue star. It is green.", ["green"]),
        ("At the top is a red circle and in the middle a star.", []),
        ("At the top is a star and at the bottom a red heart.", ["At the top"]),
        ("There is a star and it is at the top and red.", ["at the top", "red"]),
        ("There is a white rabbit in the middle.", ["white rabbit"]),
        ("Once upon a time there was a little girl.", []),
        ("", []),
        ("!!! ??? 12 and the of", []),
    ],
)
def test_what_is_false_is_found_word_by_word(text, false):
    assert wrong(text) == false


def test_the_code_of_the_page_runs(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (root / "docs" / "scenes.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    known: dict = {}
    exec(compile(code, "docs/scenes.md", "exec"), known)
    with Image.open("scene.png") as picture:
        assert picture.size == (96, 96)
    text = captions(known["wrong"], 1)[0]
    assert wrong(text, known["here"])
