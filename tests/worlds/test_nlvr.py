"""NLVR: read, refused with file and line, and drawn as the corpus drew it."""

import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from accord.errors import BadData
from accord.worlds import nlvr

THING = {"type": "square", "color": "#0099ff", "size": 20, "x_loc": 40, "y_loc": 80}
ROW = {
    "image": "dev/7-0.png",
    "sentence": "There is a blue square on the ground. ",
    "label": "true",
    "boxes": [[THING], [], [{**THING, "type": "circle", "color": "Black", "y_loc": 0}]],
}


def written(tmp_path, *rows):
    path = tmp_path / "dev.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_row_in_either_form(tmp_path):
    other = {**ROW, "identifier": "7-1", "structured_rep": ROW["boxes"], "label": "false"}
    del other["image"], other["boxes"]
    one, two = nlvr.read(written(tmp_path, ROW, other))
    assert (one.name, one.sentence) == ("dev/7-0", "There is a blue square on the ground.")
    assert (one.true, two.true, two.name) == (True, False, "7-1")
    assert one.boxes == two.boxes
    assert one.boxes == (
        (nlvr.Item("square", "blue", 20, 40, 80),),
        (),
        (nlvr.Item("circle", "black", 20, 40, 0),),
    )


def test_things_stand_where_the_row_says(tmp_path):
    (shown,) = nlvr.show(nlvr.read(written(tmp_path, ROW)), tmp_path / "pictures")
    assert shown[1:] == ("There is a blue square on the ground.", True)
    assert shown.picture == tmp_path / "pictures" / "dev" / "7-0.png"
    pixels = np.asarray(Image.open(shown.picture))
    assert pixels.shape == (100, 400, 3)
    blue = (pixels == (0, 153, 255)).all(-1)
    assert blue[80:100, 40:60].all()
    assert blue.sum() == 400
    black = (pixels == 0).all(-1)
    assert black[0:20, 340:360].sum() == black.sum() > 250
    assert (pixels[:, 100:150] == 128).all()
    assert (pixels[:, 150:250] == 211).all()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"label": "maybe"}, "'maybe', and true or false is meant"),
        ({"sentence": None}, 'no text under "sentence"'),
        ({"boxes": [[], []]}, "a list of 3 lists"),
        ({"boxes": [[], [], 3]}, "box 3 must be a list"),
        ({"boxes": [[], [{**THING, "type": "star"}], []]}, "box 2, thing 1: .*'star'; known are"),
        ({"boxes": [[{**THING, "color": "red"}], [], []]}, "'red'; known are"),
        ({"boxes": [[{**THING, "x_loc": 90}], [], []]}, "not within its box"),
        ({"boxes": [[{**THING, "size": 0}], [], []]}, "not within its box"),
        ({"boxes": [[{**THING, "y_loc": "low"}], [], []]}, "'low', not a number of pixels"),
        ({"image": "../7-1.png"}, "leads out of the folder"),
        ({}, "stands already at"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path, changed, said):
    path = written(tmp_path, ROW, {**ROW, **changed})
    with pytest.raises(BadData, match=rf"dev\.jsonl:2: .*{said}"):
        nlvr.read(path)


def test_the_corpus_is_drawn_as_its_pictures_are(shared, tmp_path):
    """Pixel beside pixel, but for the edges of things, on every 37th picture."""
    with zipfile.ZipFile(shared("data/nlvr/nlvr_2961.zip")) as packed:
        examples = []
        for split in ("dev", "test", "hidden"):
            packed.extract(f"{split}.jsonl", tmp_path)
            examples += nlvr.read(tmp_path / f"{split}.jsonl")
        assert len(examples) == 2964
        assert sum(one.true for one in examples) == 1649
        for one in examples[::37]:
            with packed.open(f"{one.name}.png") as file:
                theirs = np.asarray(Image.open(file).convert("RGB")).astype(int)
            differ = np.abs(np.asarray(nlvr.draw(one)) - theirs).max(-1) > 40
            assert differ.mean() < 0.005, one.name
