"""What lies beside a file of rows: the folder of its pictures, and what is known of each.

LLaVA-RLHF's captions (Sun et al. 2023) are such a file: {"000000123456.jpg": [five captions], …},
and under "aok_000000123456.jpg" the rationales of A-OKVQA's question about the same picture.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from accord.data.opening import opened
from accord.data.pieces import Flaw, words
from accord.errors import BadData

Facts = tuple[str, ...]
AOK = "aok_"
"""what stands before a picture's name where its A-OKVQA question is meant"""
CHOICES = ("2", "3", "4", "5")
"""caption_type of LLaVA-RLHF's rows that come from A-OKVQA: the right one is A, B, C, D"""


@dataclass(frozen=True)
class Captions:
    """What a file says of pictures."""

    path: str
    told: Mapping[str, Facts]

    @classmethod
    def read(cls, path: Path) -> "Captions":
        """A JSON object: a picture's file -> a text, a list of texts, or an object of these.

        BadData names the file, and the key that holds something else or stands there twice.
        """
        try:
            with opened(path) as file:
                pairs = json.load(file, object_pairs_hook=_Pairs)
        except OSError as error:
            raise BadData(f"facts={path}: cannot be read ({error.strerror or error})") from None
        except (ValueError, RecursionError, EOFError) as error:
            raise BadData(f"facts={path}: not JSON ({error})") from None
        if not isinstance(pairs, _Pairs):
            raise BadData(f'facts={path}: no object of pictures, {{"0.jpg": ["a cat"], …}}')
        told: dict[str, Facts] = {}
        for key, value in pairs:
            if key in told:
                raise BadData(f"facts={path}: {key!r} stands there twice; leave one")
            try:
                told[key] = tuple(words(one, key) for one in _texts(value))
            except Flaw as flaw:
                raise BadData(f"facts={path}: {flaw.detail}") from None
            except RecursionError:
                raise BadData(f"facts={path}: {key!r} holds lists in lists too deep") from None
            if not told[key] or not all(map(str.strip, told[key])):
                raise BadData(
                    f"facts={path}: {key!r} holds no text, nor a list of texts, none of them empty"
                )
        return cls(str(path), told)

    def of(self, picture: str, row: Mapping[str, Any]) -> Facts:
        """What is known of a row's picture, by its path as the row has it, or by its file's name;
        Flaw where the file has no entry.
        """
        mark = AOK if str(row.get("caption_type")) in CHOICES else ""
        name = PurePath(picture).name
        for key in (mark + picture, mark + name):
            if key in self.told:
                return self.told[key]
        raise Flaw("no facts of its picture", f"{self.path} has no entry {mark + name!r}")


class _Pairs(list[tuple[str, Any]]):
    """An object of JSON whose keys may come twice."""


def _texts(value: object) -> list[str]:
    """A text, and the texts of lists and objects in order; an empty one for what is none."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, _Pairs):
        return [text for _, one in value for text in _texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    return [""]


@dataclass(frozen=True)
class Beside:
    """Where the pictures of rows lie, and what is known of them beside what rows say."""

    images: Path | None = None
    """the folder that relative paths count from; none: that of the row's file, or the working
    folder"""
    captions: Captions | None = None

    @classmethod
    def of(cls, images: Path | None = None, facts: Path | None = None) -> "Beside":
        """As a command says it; BadData where there is no such folder or file."""
        if images is not None and not images.is_dir():
            raise BadData(f"images={images}: no such folder")
        return cls(images, Captions.read(facts) if facts is not None else None)
