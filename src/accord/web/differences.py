"""What differs between two texts, word by word: the places to look at when two answers are long."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

PIECES = re.compile(r"\s+|\w+|[^\w\s]")
MOST = 2000
"""words and marks beyond which texts are compared with common words left aside: faster, coarser"""


@dataclass(frozen=True)
class Piece:
    """A stretch of one text: shared with the other text, or its own."""

    text: str
    own: bool


def differ(left: str, right: str) -> tuple[list[Piece], list[Piece]]:
    """Both texts in pieces; joined again they are the texts, and the shared pieces are alike."""
    a, b = PIECES.findall(left), PIECES.findall(right)
    junk = max(len(a), len(b)) > MOST
    first: list[Piece] = []
    second: list[Piece] = []
    for what, a0, a1, b0, b1 in SequenceMatcher(None, a, b, autojunk=junk).get_opcodes():
        own = what != "equal"
        _add(first, a[a0:a1], own)
        _add(second, b[b0:b1], own)
    return first, second


def _add(pieces: list[Piece], words: Sequence[str], own: bool) -> None:
    text = "".join(words)
    if not text:
        return
    if pieces and pieces[-1].own == own:
        text = pieces.pop().text + text
    pieces.append(Piece(text, own))
