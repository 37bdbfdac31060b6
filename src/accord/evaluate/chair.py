"""Objects that a description names and that are not there (Rohrbach et al. 2018, CHAIR, eq. 1-2).

CHAIR_i is the share of mentions whose object is not in the picture, CHAIR_s the share of
descriptions with such a mention.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from accord.errors import BadData
from accord.maths.intervals import Estimate, proportion, redrawn


@dataclass(frozen=True)
class Chair:
    """What was counted."""

    instances: Estimate | None
    """CHAIR_i; none where no object is mentioned. Its interval draws descriptions again, whole"""
    sentences: Estimate
    """CHAIR_s"""
    mentions: int
    wrong: Sequence[tuple[str, ...]]
    """of each description, the mentions that are not there, by their common name"""


def chair(
    mentioned: Sequence[Iterable[str]],
    true: Sequence[Iterable[str]],
    synonyms: Mapping[str, str] | None = None,
    *,
    seed: int = 0,
) -> Chair:
    """Objects mentioned in each description, beside those in its picture.

    A mention counts as often as it is listed.  `synonyms` gives a word's common name; case and
    space around it play no part.
    """
    if len(mentioned) != len(true) or not mentioned:
        raise BadData(f"{len(mentioned)} descriptions and {len(true)} pictures: one for each")
    common = {_plain(word): _plain(name) for word, name in (synonyms or {}).items()}

    def named(words: Iterable[str]) -> list[str]:
        return [common.get(_plain(word), _plain(word)) for word in words]

    said = [named(words) for words in mentioned]
    there = [{*named(words)} for words in true]
    wrong = [
        tuple(word for word in words if word not in known)
        for words, known in zip(said, there, strict=True)
    ]
    return Chair(
        _instances([(len(bad), len(words)) for bad, words in zip(wrong, said, strict=True)], seed),
        proportion(sum(map(bool, wrong)), len(wrong)),
        sum(map(len, said)),
        wrong,
    )


def _instances(counts: Sequence[tuple[int, int]], seed: int) -> Estimate | None:
    """The share of wrong mentions, of (wrong, all) in each description."""
    units: dict[tuple[int, int], int] = {}
    for one in counts:
        units[one] = units.get(one, 0) + 1
    value = _share(units)
    if value is None:
        return None
    return Estimate(value, *(redrawn(units, _share, seed=seed) or (0.0, 1.0)))


def _share(units: Mapping[tuple[int, int], int]) -> float | None:
    every = sum(n * k for (_, n), k in units.items())
    return sum(bad * k for (bad, _), k in units.items()) / every if every else None


def _plain(word: str) -> str:
    return " ".join(word.lower().split())
