"""Pictures as ids, and pictures that are none."""

import io
import json
import os
import zlib

import pytest
from PIL import Image as Pillow

import seeing
from accord.errors import BadData, BadModel
from accord.records import Image, Message, Text, ask
from accord.text import images
from accord.text.images import collapsed, ids_of, name_of, spans
from accord.text.pictures import open_picture
from accord.text.tokenizer import Speller


@pytest.fixture(scope="module")
def speller(tmp_path_factory):
    return Speller.load(seeing.folder(tmp_path_factory.mktemp("llava")))


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    return Speller.load(seeing.folder(tmp_path_factory.mktemp("qwen"), "qwen2_vl"))


@pytest.fixture
def red(tmp_path):
    return seeing.picture(tmp_path / "red.png")


def test_ids_name_a_picture_and_number_its_places():
    name = (1 << 48) - 1
    ids = ids_of(name, images.MOST_PLACES)
    assert len({*ids}) == images.MOST_PLACES
    assert {name_of(i) for i in ids} == {name}
    assert min(ids) >= -(2**63)
    assert spans((5, *ids_of(3, 2), *ids_of(3, 2), 7)) == [(1, 3, 2), (3, 3, 2)]
    assert collapsed((5, *ids_of(3, 2), *ids_of(3, 2), 7), 9) == [5, 9, 9, 7]


def test_it_is_spelled_as_transformers_expands_it(speller, red):
    ids = speller.prompt_ids(seeing.about(red, "Hi"))
    assert speller.decode(ids, special=True) == "USER: <image>\nHi ASSISTANT: "
    whole = speller._tokenizer("USER: <image>\nHi ASSISTANT: ")["input_ids"]
    assert collapsed(ids, speller.sight.place) == whole
    assert [span.places for span in spans(ids)] == [4]


def test_the_same_bytes_are_the_same_picture(speller, red, tmp_path):
    (tmp_path / "again.png").write_bytes((tmp_path / "red.png").read_bytes())
    other = seeing.picture(tmp_path / "blue.png", "blue")
    first, again, blue = (
        speller.sight.ids(Image(str(path))) for path in (red, tmp_path / "again.png", other)
    )
    assert first == again != blue


def test_two_pictures_in_one_turn_stand_where_they_were_said(speller, red, tmp_path):
    blue = seeing.picture(tmp_path / "blue.png", "blue")
    talk = (Message("user", (Image(red), Text("and"), Image(blue), Text("?"))),)
    ids = speller.prompt_ids(talk)
    names = [speller.sight.ids(Image(path)) for path in (red, blue)]
    assert [span.name for span in spans(ids)] == [name_of(ids[0]) for ids in names]
    same = (Message("user", (Image(red), Image(red))),)
    assert len(spans(speller.prompt_ids(same))) == 2


def test_qwen_counts_by_size(qwen, tmp_path):
    small = seeing.picture(tmp_path / "s.png", size=(16, 16))
    wide = seeing.picture(tmp_path / "w.png", size=(40, 16))
    assert len(qwen.sight.ids(Image(small))) == 4
    assert len(qwen.sight.ids(Image(wide))) == 10
    thin = seeing.picture(tmp_path / "t.png", size=(3000, 8))
    with pytest.raises(BadData, match=r"t\.png: the model's processor refuses it"):
        qwen.sight.ids(Image(thin))


def test_a_placeholder_in_a_text_is_text(speller, red):
    ids = speller.prompt_ids(ask("a <image> b"))
    assert not spans(ids)
    assert speller.sight.place not in ids
    assert "a <image> b" in speller.decode(ids)
    talk = seeing.about(red, "is <image> a word?")
    assert len(spans(speller.prompt_ids(talk))) == 1
    assert "is <image> a word?" in speller.decode(speller.prompt_ids(talk))


def test_a_base_model_reads_pictures_in_its_one_message(tmp_path, red):
    plain = Speller.load(seeing.folder(tmp_path / "m", template=None))
    alone = plain.prompt_ids((Message("user", (Image(red),)),))
    assert spans(alone)[0].places == 4
    ids = plain.prompt_ids(seeing.about(red, "It is <image>"))
    assert [span.start for span in spans(ids)] == [len(plain.head)]
    assert plain.decode(ids) == "It is <image>"


def test_a_template_that_takes_text_gets_the_token(tmp_path, red):
    text = seeing.PARTS.replace(
        "{% for c in m['content'] %}{% if c['type'] == 'image' %}{{ '<image>\n' }}"
        "{% else %}{{ c['text'] }}{% endif %}{% endfor %}",
        "{{ m['content'] }}",
    )
    speller = Speller.load(seeing.folder(tmp_path / "m", template=text))
    ids = speller.prompt_ids(seeing.about(red, "Hi"))
    assert speller.decode(ids, special=True) == "USER: <image>Hi ASSISTANT: "
    assert len(spans(ids)) == 1


def test_a_template_that_shows_no_picture_is_refused(tmp_path):
    losing = "{% for m in messages %}x{% endfor %}"
    with pytest.raises(BadModel, match="does not show a picture as <image>"):
        Speller.load(seeing.folder(tmp_path / "m", template=losing))


def test_a_model_that_reads_text_alone_says_so(tmp_path, red):
    import tongues

    plain = Speller.load(tongues.folder(tmp_path / "m"))
    with pytest.raises(BadData, match="reads text alone"):
        plain.prompt_ids(seeing.about(red))


def test_how_it_sees_is_part_of_what_it_is(speller, tmp_path):
    folder = seeing.folder(tmp_path / "m")
    file = folder / "preprocessor_config.json"
    assert Speller.load(folder).fingerprint == speller.fingerprint
    file.write_text(json.dumps({**json.loads(file.read_text()), "image_mean": [0.1, 0.1, 0.1]}))
    assert Speller.load(folder).fingerprint != speller.fingerprint
    file.unlink()
    with pytest.raises(BadModel, match=r"no preprocessor_config\.json"):
        Speller.load(folder)
    (folder / "preprocessor_config.json").write_text("{")
    with pytest.raises(BadModel, match="image processor cannot be read"):
        Speller.load(folder)


@pytest.mark.parametrize(
    ("kind", "file", "change", "says"),
    [
        (
            "llava",
            "preprocessor_config",
            {"crop_size": {"height": 32, "width": 32}},
            "16 x 16: one",
        ),
        (
            "qwen2_vl",
            "preprocessor_config",
            {"merge_size": 1},
            "of 4 x 2 x 1, .* at 4 x 2 x 2: one",
        ),
        (
            "qwen2_5_vl",
            "preprocessor_config",
            {"patch_size": 8},
            "of 8 x 2 x 2, .* at 4 x 2 x 2: o",
        ),
        ("llava", "config", {"vision_config": {"model_type": "pixtral"}}, "its tower is a pixtral"),
    ],
)
def test_a_processor_of_another_model_is_refused(kind, file, change, says, tmp_path):
    path = seeing.folder(tmp_path, kind) / f"{file}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BadModel, match=says) as error:
        Speller.load(tmp_path)
    assert str(error.value).count(str(tmp_path)) == 1


def test_it_is_saved_with_the_tokenizer(speller, tmp_path, red):
    speller.save(tmp_path)
    config = seeing.folder(tmp_path / "m") / "config.json"
    (tmp_path / "config.json").write_text(config.read_text())
    again = Speller.load(tmp_path)
    assert again.fingerprint == speller.fingerprint
    assert again.prompt_ids(seeing.about(red)) == speller.prompt_ids(seeing.about(red))


# --- pictures that are none ---


def _png(mode="RGB", size=(8, 8), **more):
    out = io.BytesIO()
    Pillow.new(mode, size).save(out, "PNG", **more)
    return out.getvalue()


def _noise():
    out = io.BytesIO()
    Pillow.effect_noise((64, 64), 80).save(out, "PNG")
    return out.getvalue()


def _animated():
    out = io.BytesIO()
    frames = [Pillow.new("RGB", (4, 4), c) for c in ("red", "blue", "green")]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    return out.getvalue()


def _sized(side):
    """A small file that says it has so many pixels a side."""
    data = bytearray(_png(size=(4, 4)))
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


BAD = {
    "missing": (None, "there is no such picture"),
    "nothing": (b"", "cannot be read as a picture"),
    "text": (b"not a picture", "cannot be read as a picture"),
    "cut": (_noise()[:-60], "cannot be read as a picture"),
    "animated": (_animated(), r"is animated \(3 frames\); save the one that is meant"),
    "bomb": (_sized(60000), "pixels"),
    "large": (_sized(12000), "12000 x 12000 pixels; at most 100,000,000"),
    "zero": (_sized(0), "cannot be read as a picture"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "cannot be read as a picture"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_picture_is_told_with_its_path(name, speller, tmp_path):
    data, says = BAD[name]
    path = tmp_path / f"{name}.png"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(BadData, match=says) as error:
        speller.prompt_ids(seeing.about(str(path)))
    assert str(path) in str(error.value)
    rows = speller.many([(seeing.about(str(path)), ("a",)), (ask("hi"), ("b",))])
    assert isinstance(rows[0], BadData)
    assert not isinstance(rows[1], BadData), "its neighbour goes on"


def test_a_folder_is_no_picture(speller, tmp_path):
    with pytest.raises(BadData, match="cannot be read"):
        speller.prompt_ids(seeing.about(str(tmp_path)))


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("a\0b", "the picture cannot be read .*null"),
        ("a/" * 3000, r"a/a/…: the picture cannot be read \(File name too long\)"),
        ("https://x.org/a.png", r"it is an address \(https:…\), and a file's path is meant"),
        ("data:image/png;base64," + "A" * 5000, r"AAA…: .*it is an address \(data:…\)"),
        ("/dev/zero", "it is no file"),
    ],
)
def test_a_path_that_leads_nowhere(path, says, speller, tmp_path):
    with pytest.raises(BadData, match=says) as error:
        speller.prompt_ids(seeing.about(path))
    assert len(str(error.value)) < 400


def test_a_pipe_is_not_waited_for_and_a_huge_file_not_read(speller, tmp_path, monkeypatch, red):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadData, match="it is no file"):
        speller.prompt_ids(seeing.about(str(tmp_path / "pipe")))
    monkeypatch.setattr(images, "MOST_BYTES", 10)
    seeing.picture(tmp_path / "new.png", "olive")
    with pytest.raises(BadData, match=r"new\.png: .* bytes; a picture has at most 10"):
        speller.prompt_ids(seeing.about(str(tmp_path / "new.png")))


def _opened(picture, form="PNG", **more):
    out = io.BytesIO()
    picture.save(out, form, **more)
    return open_picture("p", out.getvalue())


def test_odd_pictures_are_made_plain():
    assert _opened(Pillow.new("CMYK", (4, 4), (0, 255, 255, 0)), "JPEG").getpixel((1, 1))[0] > 200
    clear = Pillow.new("RGBA", (2, 2), (255, 0, 0, 0))
    assert _opened(clear).getpixel((0, 0)) == (255, 255, 255)
    half = Pillow.new("LA", (2, 2), (0, 0))
    assert _opened(half).getpixel((0, 0)) == (255, 255, 255)
    assert _opened(Pillow.new("1", (2, 2), 1)).getpixel((0, 0)) == (255, 255, 255)
    deep = Pillow.new("I;16", (2, 2), 32768)
    assert _opened(deep).getpixel((0, 0)) == (128, 128, 128)
    assert _opened(Pillow.new("P", (2, 2), 0)).mode == "RGB"


def test_of_a_cameras_two_the_first_is_the_picture():
    """Telephones put a second one behind the first (MPO), and call the file .jpg."""
    red, blue = (Pillow.new("RGB", (4, 4), c) for c in ("red", "blue"))
    assert _opened(red, "MPO", save_all=True, append_images=[blue]).getpixel((1, 1))[0] > 200


def test_what_starts_a_program_is_not_opened(monkeypatch):
    def starts(*_, **__):
        raise AssertionError("ghostscript")

    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", starts)
    with pytest.raises(BadData, match=r"p: cannot be read as a picture \(none of PNG, JPEG, "):
        _opened(Pillow.new("RGB", (4, 4)), "EPS")


def test_it_stands_upright():
    picture = Pillow.new("RGB", (4, 2), "red")
    exif = Pillow.Exif()
    exif[0x0112] = 6  # turned by a quarter
    assert _opened(picture, "JPEG", exif=exif).size == (2, 4)


def test_one_that_changes_in_a_run_is_told(speller, tmp_path):
    path = tmp_path / "moving.png"
    seeing.picture(path, "teal")
    ids = speller.prompt_ids(seeing.about(str(path)))
    seeing.picture(path, "blue", size=(21, 13))
    os.utime(path, ns=(1, 1))
    with pytest.raises(BadData, match="changed since it was read"):
        speller.sight.pixels([spans(ids)[0].name])
    assert speller.prompt_ids(seeing.about(str(path))) != ids, "spelled anew it is another"


def test_one_that_nobody_brought_is_told():
    with pytest.raises(BadData, match="which no prompt of this run brought"):
        images.known(123456)
