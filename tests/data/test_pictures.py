"""Files of pictures: kinds by content, data URLs, and those that are missing."""

from base64 import b64decode
from pathlib import Path

import pytest

from accord.data.pictures import all_there, data_url, kind_of
from accord.errors import BadData


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\nrest", "image/png"),
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF0000WEBPVP8 ", "image/webp"),
        (b"RIFF0000WAVEfmt ", None),
        (b"<svg/>", None),
    ],
)
def test_a_kind_is_told_by_content(data: bytes, kind: str | None) -> None:
    assert kind_of(data) == kind


def test_a_data_url_holds_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"  # the name does not decide
    path.write_bytes(b"\x89PNG\r\n\x1a\n123")
    head, body = data_url(str(path)).split(",")
    assert head == "data:image/png;base64"
    assert b64decode(body) == path.read_bytes()
    path.write_text("no picture")
    with pytest.raises(BadData, match=r"a\.jpg is no picture that can be sent"):
        data_url(str(path))
    for path, why in (("/dev/zero", "it is no file"), ("a\0b", "null byte")):
        with pytest.raises(BadData, match=why):
            data_url(path)
    with pytest.raises(BadData, match=r"gone\.png cannot be read \(No such file"):
        data_url(str(tmp_path / "gone.png"))


def test_all_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    all_there([("q:1", tmp_path / "there")])
    rows = [(f"q:{n}", tmp_path / f"{n}.png") for n in range(1, 8)]
    with pytest.raises(BadData, match=r"q:1: .*1\.png; q:2: .*and 2 more.*images=FOLDER"):
        all_there([("q:0", tmp_path / "there"), *rows])
