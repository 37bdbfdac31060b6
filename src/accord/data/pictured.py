"""What a row says beside its text: pictures, and facts that only judges are told."""

import re
from collections.abc import Mapping
from dataclasses import replace
from os.path import normpath
from pathlib import Path
from typing import Any, TypeVar

from accord.data.beside import Beside
from accord.data.pieces import Flaw, listed, words
from accord.records import Conversation, Fact, Image, Message, Prompt, Text, facts
from accord.records.conversation import Part

R = TypeVar("R")
ALONE = Beside()
UNSEEN = "no row shows a picture: images= and facts= change nothing there"
ADDRESS = re.compile("(https?|data|file|s3|gs):")
"""of a picture that is no file's path: what is wrong is said when it is read"""
MARK = "<image>"
"""where a text says that a picture stands, in rows that name one beside (LLaVA's way)"""


def joined(record: R, row: Mapping[str, Any], file: str, beside: Beside = ALONE) -> R:
    """The record with the row's `image` or `images`, and `facts`, in its prompt, and what is known
    of its pictures beside.

    A picture's path, where it is relative, counts from the folder that is named, else from that of
    the row's file if it lies there.
    """
    key = "messages" if isinstance(record, Prompt) else "prompt"
    talk: Conversation = getattr(record, key)
    if pictures := _paths(row):
        if not any(message.images for message in talk):
            talk = _shown(talk, pictures)
        elif [image.path for message in talk for image in message.images] != pictures:
            raise Flaw("pictures differ", "the messages show other pictures than the row names")
    told = _texts(row, "facts")
    if beside.captions is not None:
        for image in (image for message in talk for image in message.images):
            known = {*facts(talk), *told}
            told += [one for one in beside.captions.of(image.path, row) if one not in known]
    if told:
        last = talk[-1]
        talk = (*talk[:-1], replace(last, content=(*last.content, *map(Fact, told))))
    talk = tuple(_placed(message, file, beside.images) for message in talk)
    return record if talk == getattr(record, key) else replace(record, **{key: talk})  # type: ignore[type-var]


def shows(record: object) -> bool:
    """Whether its prompt shows a picture."""
    talk: Conversation = getattr(record, "messages" if isinstance(record, Prompt) else "prompt")
    return any(message.images for message in talk)


def _paths(row: Mapping[str, Any]) -> list[str]:
    key = next((key for key in ("images", "image") if row.get(key) not in (None, "")), None)
    if key is None or (key == "image" and "text" in row and "question_id" in row):
        return []  # of such a row the picture is part of its shape
    found = []
    for one in row[key] if isinstance(row[key], list) else [row[key]]:
        path = one.get("path") if isinstance(one, dict) else one
        if not isinstance(path, str) or not path:
            raise Flaw("wrong type", f"key {key!r} holds no path of a picture, nor a list of them")
        found.append(words(path, key))
    return found


def _texts(row: Mapping[str, Any], key: str) -> list[str]:
    if row.get(key) in (None, ""):
        return []
    value = [row[key]] if isinstance(row[key], str) and row[key][:1] != "[" else row[key]
    told = [words(one, key) for one in listed(value, key)]
    if not all(map(str.strip, told)):
        raise Flaw("empty fact", f"key {key!r} holds an empty text")
    return told


def _shown(talk: Conversation, pictures: list[str]) -> Conversation:
    """The pictures where the text says so, else before the first words of the user."""
    marks = sum(message.text.count(MARK) for message in talk)
    first = next((i for i, message in enumerate(talk) if message.role == "user"), 0)
    if not marks:
        shown = replace(talk[first], content=(*map(Image, pictures), *talk[first].content))
        return (*talk[:first], shown, *talk[first + 1 :])
    if marks != len(pictures):
        raise Flaw(
            "pictures differ", f"the text shows {marks} pictures, and the row names {len(pictures)}"
        )
    each = iter(pictures)
    told = []
    for message in talk:
        parts: list[Part] = []
        for i, text in enumerate(message.text.split(MARK)):
            parts += [Image(next(each))] if i else []
            text = text.strip("\n") if MARK in message.text else text
            parts += [Text(text)] if text else []
        told.append(replace(message, content=(*parts, *map(Fact, message.facts))))
    return tuple(told)


def _placed(message: Message, file: str, images: Path | None) -> Message:
    if not message.images:
        return message
    home = images or Path(file).parent
    parts = [
        Image(normpath(home / part.path))
        if isinstance(part, Image) and (_beside(part, home) if images is None else _below(part))
        else part
        for part in message.content
    ]
    return replace(message, content=tuple(parts))


def _below(image: Image) -> bool:
    return not (Path(image.path).is_absolute() or ADDRESS.match(image.path))


def _beside(image: Image, home: Path) -> bool:
    try:
        return not Path(image.path).is_absolute() and (home / image.path).exists()
    except (OSError, ValueError):  # no path at all: what is wrong is said when it is read
        return False
