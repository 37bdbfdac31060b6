"""Emoji: read, one style held out, and refused where a folder is not as it should be."""

import json

import numpy as np
import pytest
from PIL import Image

from accord.errors import BadData, BadSettings
from accord.worlds import emoji

STYLES = ("flat", "round")


def folder(tmp_path, names=("cat", "dog", "sun"), **arrays):
    pixels = np.arange(2 * 3 * 4 * 4 * 3).reshape(2, 3, 4, 4, 3) % 256
    arrays = {"images": pixels.astype(np.uint8), "styles": np.array(STYLES)} | arrays
    np.savez(tmp_path / emoji.PICTURES, **{k: v for k, v in arrays.items() if v is not None})
    (tmp_path / emoji.NAMES).write_text(json.dumps([{"name": name} for name in names]))
    return tmp_path


def test_one_style_is_held_out(tmp_path):
    found = emoji.read(folder(tmp_path))
    learned, kept = found.save(tmp_path / "png", "round")
    assert [(one.name, one.style) for one in learned] == [(n, "flat") for n in found.names]
    assert [(one.name, one.style) for one in kept] == [(n, "round") for n in found.names]
    for style, drawn in enumerate((learned, kept)):
        for n, one in enumerate(drawn):
            assert (np.asarray(Image.open(one.picture)) == found.pixels[style, n]).all()


def test_a_style_that_is_not_there(tmp_path):
    with pytest.raises(BadSettings, match="no style 'square' to hold out; there are flat, round"):
        emoji.read(folder(tmp_path)).save(tmp_path, "square")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"names": ("cat", None, "sun")}, "json, record 2: no text under 'name'"),
        ({"names": ("cat", "dog")}, "2 styles of 2 emoji are meant"),
        ({"images": np.zeros((2, 3, 4, 4, 3))}, "holds float64"),
        ({"images": None}, "holds no array 'images"),
        ({"styles": np.array(["flat"])}, "1 styles of 3 emoji"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, changed, said):
    with pytest.raises(BadData, match=said):
        emoji.read(folder(tmp_path, **changed))


def test_files_that_are_missing_or_broken(tmp_path):
    with pytest.raises(BadData, match=r"emoji48\.json: cannot be read"):
        emoji.read(tmp_path)
    (folder(tmp_path) / emoji.NAMES).write_text("{")
    with pytest.raises(BadData, match="cannot be read"):
        emoji.read(tmp_path)
    (folder(tmp_path) / emoji.PICTURES).write_bytes(b"no archive")
    with pytest.raises(BadData, match="cannot be read"):
        emoji.read(tmp_path)


def test_the_real_ones(shared, tmp_path):
    found = emoji.read(shared("data/emoji"))
    assert found.styles == ("openmoji", "twemoji", "fluent-emoji-flat", "noto")
    assert len(found.names) == 1535
    assert found.names[0] == "grinning face"
    assert found.pixels.shape == (4, 1535, 48, 48, 3)
