"""Pictures that clients send: as data URLs, read before anything is kept, gone with their request.

Nothing is fetched: an address of another machine would let whoever asks look around from here.
"""

import asyncio
import os
import tempfile
import weakref
from base64 import b64decode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from threading import Lock

from accord.data.pictures import kind_of
from accord.errors import BadData
from accord.records import Conversation, Image, Message, Text
from accord.serve.asked import ImagePart, Said
from accord.serve.wrong import Wrong
from accord.text.images import forget
from accord.text.pictures import MOST_PIXELS, open_picture

MOST = 64
"""pictures of one request"""
PIXELS = MOST_PIXELS
"""of one request: a few kilobytes may hold a hundred million, which take a gigabyte to look at"""


class Shown:
    """A picture in a file of its own, for as long as somebody holds this."""

    def __init__(self, path: Path, data: bytes, pixels: int):
        path.write_bytes(data)
        os.utime(path, ns=(0, 0))  # the same picture is the same file to whoever looked at it
        self.path, self.pixels = path, pixels
        weakref.finalize(self, _gone, path, sha256(data).hexdigest())


def _gone(path: Path, digest: str) -> None:
    path.unlink(missing_ok=True)
    forget(str(path), digest)


class Album:
    """The pictures of all requests that are under way; each lies there once."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="accord-pictures-")
        self._there: weakref.WeakValueDictionary[str, Shown] = weakref.WeakValueDictionary()
        self._lock, self._count = Lock(), 0
        self.gate = asyncio.Lock()
        """one request's pictures are decoded at a time, whatever memory they take"""

    def keep(self, where: str, url: str) -> Shown:
        """The picture of a data URL; Wrong, which names the part, for what is none."""
        data = _bytes(where, url)
        digest = sha256(data).hexdigest()
        with self._lock:
            if there := self._there.get(digest):
                return there
        try:
            width, height = open_picture(where, data).size
        except BadData as error:
            raise Wrong(400, str(error), param=where, code="bad_picture") from None
        with self._lock:
            there = self._there.get(digest)
            if there is None:
                self._count += 1  # or the last one's end could take the next one's file
                path = Path(self._folder.name, f"{digest}-{self._count}")
                there = self._there[digest] = Shown(path, data, width * height)
            return there

    def close(self) -> None:
        """The folder goes."""
        self._folder.cleanup()


def talk(messages: Sequence[Said], album: Album, sees: bool) -> tuple[Conversation, list[Shown]]:
    """(what was said, the pictures in it): hold these for as long as the model may look at them."""
    held: list[Shown] = []
    said = tuple(
        _message(one, f"messages[{i}]", album, sees, held) for i, one in enumerate(messages)
    )
    return said, held


def shows(messages: Sequence[Said]) -> bool:
    """Whether there is a picture in what was said."""
    parts = (part for one in messages if not isinstance(one.content, str) for part in one.content)
    return any(isinstance(part, ImagePart) for part in parts)


def _message(one: Said, where: str, album: Album, sees: bool, held: list[Shown]) -> Message:
    role = "system" if one.role == "developer" else one.role
    if isinstance(one.content, str):
        return Message.of(role, one.content)
    if not any(isinstance(part, ImagePart) for part in one.content):
        return Message.of(
            role, "".join(p.text for p in one.content if not isinstance(p, ImagePart))
        )
    parts: list[Text | Image] = []
    for k, part in enumerate(one.content):
        here = f"{where}.content[{k}]"
        if not isinstance(part, ImagePart):
            parts.append(Text(part.text))
            continue
        _allowed(here, role, sees, len(held))
        held.append(album.keep(here, part.image_url.url))
        if sum(one.pixels for one in held) > PIXELS:
            said = f"{here}: the request's pictures have over {PIXELS:,} pixels in all"
            raise Wrong(400, f"{said}: make them smaller", param=here, code="bad_picture")
        parts.append(Image(str(held[-1].path)))
    return Message(role, tuple(parts))  # type: ignore[arg-type]


def _allowed(where: str, role: str, sees: bool, before: int) -> None:
    wrong = {
        "this model reads text alone": not sees,
        f"only a user shows pictures, and this is a message of the {role}": role != "user",
        f"a request has at most {MOST} pictures": before >= MOST,
    }
    for said, so in wrong.items():
        if so:
            raise Wrong(400, f"{where} is a picture: {said}", param=where, code="unsupported")


def _bytes(where: str, url: str) -> bytes:
    head, comma, told = url.partition(",")
    if not head.startswith("data:") or not comma or not head.endswith(";base64"):
        said = "nothing is fetched from elsewhere: send the picture as data:image/png;base64,…"
        raise Wrong(400, f"{where}: {said}", param=where, code="bad_picture")
    try:
        data = b64decode(told, validate=True)
    except ValueError:
        raise Wrong(400, f"{where}: is no base64", param=where, code="bad_picture") from None
    if kind_of(data) is None:
        said = "is no picture that is read here: PNG, JPEG, GIF and WebP are"
        raise Wrong(400, f"{where}: {said}", param=where, code="bad_picture")
    return data
